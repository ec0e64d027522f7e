//! A range of a process's address space at one moment.

use serde::Serialize;

use crate::oracle::Pinned;
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
    /// The page behind it, if one is present and its counts can be had.
    pub state: Option<PageState>,
    /// What there is of it where its counts cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kpage: Option<KpageView>,
    /// Whether it may be pinned, where that was asked of an oracle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
}

/// What kpageflags and kpagecount say about a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KpageView {
    /// Names of the flags, see [`KpageFlags`](crate::kpage::KpageFlags).
    pub flags: Vec<String>,
    /// See [`Kpage::map_count`](crate::kpage::Kpage::map_count).
    pub map_count: u64,
}

/// Pages by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// An address divided by the page size.
    pub(crate) first: u64,
    pub(crate) pages: usize,
}

impl Range {
    /// The pages that `length_bytes` from `address` touch.
    pub(crate) fn new(address: u64, length_bytes: u64) -> Result<Self> {
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
        Ok(Self { first, pages })
    }
}

impl PageScope {
    /// Every page of process `pid` that `length_bytes` from `address` touch, in address order.
    ///
    /// The pagemap is read first and in one go; the states follow in batches of neighbours.
    ///
    /// # Errors
    /// [`PagesError::BadRange`] for an empty range, one beyond the address space, or one longer
    /// than [`MAX_SNAPSHOT_BYTES`]; those of [`PageScope::of`].
    pub fn snapshot(&self, pid: u32, address: u64, length_bytes: u64) -> Result<Vec<PageView>> {
        let range = Range::new(address, length_bytes)?;
        let entries: Vec<(u64, PagemapEntry)> = (range.first..)
            .map(|page| page * PAGE_SIZE_BYTES)
            .zip(self.open_pagemap(pid)?.entries(range.first, range.pages)?)
            .collect();
        let states = self.states(&entries)?;
        let views = entries.into_iter().zip(states);
        Ok(views
            .map(|((address, pagemap), state)| PageView {
                address,
                pagemap,
                state,
                kpage: None,
                pinned: None,
            })
            .collect())
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
