//! File systems and volume managers on a device whose faults they meet: what they report, and what they
//! repair. docs/fsync.md shows the table that the tests of fsync hold the kernels against.

mod fsync;
mod repair;

use crate::outcome::Case;

pub(crate) fn cases() -> Vec<Case> {
    fsync::cases()
        .chain(repair::CASES.iter().copied())
        .collect()
}
