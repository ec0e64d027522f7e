//! A request as the engine sees it.

use crate::{Op, Sector};

/// One request of the block layer: everything a verdict may depend on, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub op: Op,
    /// Its first sector; 0 for a flush.
    pub sector: Sector,
    /// Its length in sectors; 0 for a flush.
    pub sectors: u32,
    /// The hardware queue it came by.
    pub queue: u16,
    /// The block layer's tag, unique within its queue while the request is in flight.
    pub tag: u16,
}

impl Request {
    /// The sector after its last one.
    #[must_use]
    pub const fn end(&self) -> Sector {
        Sector(self.sector.0.saturating_add(self.sectors as u64))
    }
}
