//! A range of a process's address space at one moment.

use serde::Serialize;

use crate::{PAGE_SIZE_BYTES, PageScope, PageState, PagemapEntry, PagesError, Result};

/// The longest range that a snapshot covers: 16,384 pages.
///
/// A page costs several reads, so that a longer range would not be one moment in any sense.
pub const MAX_SNAPSHOT_BYTES: u64 = 64 << 20;

/// One page of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageView {
    /// Virtual address of the page's first byte.
    pub address: u64,
    /// What pagemap says.
    pub pagemap: PagemapEntry,
    /// The page behind it, if one is present.
    pub state: Option<PageState>,
}

impl PageScope {
    /// Every page of process `pid` that `length_bytes` from `address` touch, in address order.
    ///
    /// The pagemap is read first and in one go; the states follow page by page.
    ///
    /// # Errors
    /// [`PagesError::BadRange`] for an empty range, one beyond the address space, or one longer
    /// than [`MAX_SNAPSHOT_BYTES`]; those of [`PageScope::of`].
    pub fn snapshot(&self, pid: u32, address: u64, length_bytes: u64) -> Result<Vec<PageView>> {
        let refuse = |detail| PagesError::BadRange {
            address,
            length_bytes,
            detail,
        };
        if length_bytes == 0 || length_bytes > MAX_SNAPSHOT_BYTES {
            return Err(refuse("the length should be 1 byte to 64 MiB"));
        }
        let last = address
            .checked_add(length_bytes - 1)
            .ok_or_else(|| refuse("the range should end within the address space"))?;
        let first = address / PAGE_SIZE_BYTES;
        let pages = usize::try_from(last / PAGE_SIZE_BYTES - first + 1)
            .map_err(|_| refuse("the range should fit the address space"))?;
        let entries = self.open_pagemap(pid)?.entries(first, pages)?;
        (first..)
            .zip(entries)
            .map(|(page, pagemap)| {
                let address = page * PAGE_SIZE_BYTES;
                Ok(PageView {
                    address,
                    pagemap,
                    state: self.state_of_entry(address, pagemap)?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kernel, Machine};

    #[test]
    fn pages_that_the_range_touches() {
        let mut machine = Machine::new(Kernel::V7_2);
        machine.small(3, 1, 1);
        machine.small(4, 1025, 1);
        machine.map(42, &[(0x1000, 3), (0x2000, 4)]);
        let scope = PageScope::open_at(machine.roots().clone()).unwrap();
        let views = scope.snapshot(42, 0x1fff, 0x1002).unwrap();
        let seen: Vec<_> = views
            .iter()
            .map(|view| (view.address, view.state.as_ref().map(|page| page.pin_count)))
            .collect();
        assert_eq!(seen, [(0x1000, Some(0)), (0x2000, Some(1)), (0x3000, None)]);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let machine = Machine::new(Kernel::V7_2);
        machine.map(42, &[]);
        let scope = PageScope::open_at(machine.roots().clone()).unwrap();
        for (address, length) in [(0, 0), (0, MAX_SNAPSHOT_BYTES + 1), (u64::MAX, 2)] {
            assert!(matches!(
                scope.snapshot(42, address, length),
                Err(PagesError::BadRange { .. })
            ));
        }
    }
}
