//! File systems on a device whose faults they meet: what they report. docs/fsync.md shows the table that
//! these tests hold the kernels against.

mod fsync;

use crate::outcome::Case;

pub(crate) fn cases() -> Vec<Case> {
    fsync::cases().collect()
}
