//! The unit of every address: the sector.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes in a sector. The block layer's `SECTOR_SIZE` (include/linux/blk_types.h) is 512 whatever
/// the logical block of the device.
pub const SECTOR_BYTES: u64 = 512;

/// A sector number, counted from the start of the device in units of [`SECTOR_BYTES`].
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(transparent)]
pub struct Sector(pub u64);

impl fmt::Display for Sector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
