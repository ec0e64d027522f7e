//! Which way data moves, for transfers that have pages at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Seen from the pages of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// They receive data: a read.
    Destination,
    /// They supply it: a write.
    Source,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Destination, Self::Source];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Destination => "destination",
            Self::Source => "source",
        })
    }
}
