//! A request as the engine sees it.

use crate::{Flags, Op, Sector};

/// One request of the block layer: everything a verdict may depend on, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub op: Op,
    /// Its flags.
    pub flags: Flags,
    /// Its first sector; 0 for a flush.
    pub sector: Sector,
    /// Its length in sectors; 0 for a flush.
    pub sectors: u32,
    /// The hardware queue it came by.
    pub queue: u16,
    /// The block layer's tag, unique within its queue while the request is in flight.
    pub tag: u16,
    /// How many requests the device has taken and not answered, this one included.
    pub inflight: u32,
    /// Its number among all requests of the device, from 0.
    pub ordinal: u64,
    /// How many flushes had completed when it came.
    pub epoch: u64,
}

impl Request {
    /// The first request of a device, by queue 0 with tag 0, alone and without flags. For rules that look
    /// at nothing else, and for tests.
    #[must_use]
    pub const fn new(op: Op, sector: Sector, sectors: u32) -> Self {
        Self {
            op,
            flags: Flags::empty(),
            sector,
            sectors,
            queue: 0,
            tag: 0,
            inflight: 1,
            ordinal: 0,
            epoch: 0,
        }
    }

    /// The sector after its last one.
    #[must_use]
    pub const fn end(&self) -> Sector {
        Sector(self.sector.0.saturating_add(self.sectors as u64))
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.sectors as u64 * crate::SECTOR_BYTES
    }
}
