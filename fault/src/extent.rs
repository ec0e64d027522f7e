//! Which bytes of a request reach the medium.

use std::ops::Range;

/// Which bytes of a request reach the medium, or are read from it. Small and `Copy`: it is part of a
/// verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The ranges in use; `FULL` for all bytes, however many.
    used: u8,
    ranges: [(u32, u32); Self::MAX_RANGES],
}

const FULL: u8 = u8::MAX;

impl Extent {
    /// The most ranges it has.
    pub const MAX_RANGES: usize = 8;

    /// No byte.
    pub const NONE: Self = Self {
        used: 0,
        ranges: [(0, 0); Self::MAX_RANGES],
    };

    /// Every byte.
    pub const FULL: Self = Self {
        used: FULL,
        ranges: [(0, 0); Self::MAX_RANGES],
    };

    /// The first `bytes`.
    #[must_use]
    pub const fn prefix(bytes: u32) -> Self {
        if bytes == 0 {
            return Self::NONE;
        }
        let mut ranges = [(0, 0); Self::MAX_RANGES];
        ranges[0] = (0, bytes);
        Self { used: 1, ranges }
    }

    /// Whether no byte is meant.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.used == 0
    }

    /// Whether every byte is meant.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.used == FULL
    }

    /// The ranges in bytes of the request, sorted, disjoint and not empty, none if no byte is meant. Of the
    /// whole request there is one, from 0 to `u32::MAX`: cut it to the request's length.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        let whole = self.is_full().then_some(0..u32::MAX);
        let used = if self.is_full() {
            0
        } else {
            usize::from(self.used)
        };
        let parts = self.ranges.into_iter().take(used);
        whole.into_iter().chain(parts.map(|(from, to)| from..to))
    }

    /// How many of a request's first `len` bytes are meant.
    #[must_use]
    pub fn bytes(&self, len: u32) -> u32 {
        let inside = |range: Range<u32>| range.end.min(len).saturating_sub(range.start);
        self.ranges().map(inside).sum()
    }
}

/// Collects ranges in rising order into an extent of a request.
#[derive(Debug)]
pub(crate) struct Collector {
    extent: Extent,
    len: u64,
}

impl Collector {
    /// For a request of so many bytes.
    pub(crate) const fn new(len: u64) -> Self {
        Self {
            extent: Extent::NONE,
            len,
        }
    }

    /// Adds the bytes `from..to`, which begin where the last range ended or later. What does not fit is
    /// left out: a ninth range, and what lies beyond 4 GiB.
    pub(crate) fn add(&mut self, from: u64, to: u64) {
        let to = to.min(self.len).min(u64::from(LAST));
        let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(to)) else {
            return;
        };
        if from >= to {
            return;
        }
        let used = usize::from(self.extent.used);
        if let Some(last) = used
            .checked_sub(1)
            .map(|last| &mut self.extent.ranges[last])
            && last.1 == from
        {
            last.1 = to;
        } else if let Some(free) = self.extent.ranges.get_mut(used) {
            *free = (from, to);
            self.extent.used += 1;
        }
    }

    /// The extent: none, full or its parts.
    pub(crate) fn end(self) -> Extent {
        let whole = self.extent.used == 1 && u64::from(self.extent.ranges[0].1) == self.len;
        match whole && self.extent.ranges[0].0 == 0 {
            true => Extent::FULL,
            false => self.extent,
        }
    }
}

/// Where ranges end at the latest: the last whole sector that 32 bits of bytes reach.
const LAST: u32 = !511;

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(len: u64, parts: &[(u64, u64)]) -> Extent {
        let mut collector = Collector::new(len);
        for (from, to) in parts {
            collector.add(*from, *to);
        }
        collector.end()
    }

    #[test]
    fn neighbours_join_and_all_is_all() {
        assert!(collect(4096, &[]).is_none());
        assert!(collect(4096, &[(0, 512), (512, 9999)]).is_full());
        let parts = collect(
            4096,
            &[(512, 1024), (1024, 2048), (3072, 9999), (5000, 6000)],
        );
        assert!(parts.ranges().eq([512..2048, 3072..4096]));
        assert_eq!((parts.bytes(4096), parts.bytes(1024)), (2560, 512));
        assert_eq!(Extent::FULL.bytes(4096), 4096);
    }

    #[test]
    fn what_does_not_fit_does_not_reach_the_medium() {
        let many: Vec<(u64, u64)> = (0..20).map(|n| (n * 1024, n * 1024 + 512)).collect();
        assert_eq!(collect(1 << 20, &many).ranges().count(), Extent::MAX_RANGES);
        let far = collect(1 << 40, &[(0, 1 << 40)]);
        assert!(far.ranges().eq(std::iter::once(0..LAST)));
        assert!(collect(1 << 40, &[(1 << 36, 1 << 37)]).is_none());
    }
}
