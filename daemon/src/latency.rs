//! How long requests take, counted in buckets that are there from the start: no allocation, no lock.

use std::array;

use crate::stats::Count;

/// Buckets with an upper end; one more takes what is above them all.
pub(crate) const BOUNDS: usize = 26;
/// The end of the first bucket is two to this power, in ns: about a microsecond. Each next one ends at twice
/// that, the last one at 34 s.
const FIRST_BITS: u32 = 10;

/// Times of one kind of request of one queue. The queue's thread is the only one that counts.
#[derive(Debug, Default)]
pub struct Latencies {
    buckets: [Count; BOUNDS + 1],
    sum_ns: Count,
}

impl Latencies {
    /// Counts one.
    #[inline]
    pub(crate) fn count(&self, ns: u64) {
        self.buckets[bucket(ns)].add(1);
        self.sum_ns.add(ns);
    }
}

/// The end of a bucket in ns, which belongs to it.
pub(crate) const fn bound_ns(index: usize) -> u64 {
    1 << (FIRST_BITS as usize + index)
}

/// Where a time is counted: in the first bucket whose end it does not pass.
#[inline]
fn bucket(ns: u64) -> usize {
    let passed = ns.saturating_sub(1) >> FIRST_BITS;
    let bits = u64::BITS - passed.leading_zeros();
    usize::try_from(bits).map_or(BOUNDS, |bits| bits.min(BOUNDS))
}

/// What queues have counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Requests that took no longer than [`bound_ns`] of the same index, those of the buckets before included;
    /// the last are all.
    pub(crate) cumulative: [u64; BOUNDS + 1],
    /// All their times, in ns.
    pub(crate) sum_ns: u64,
}

impl Counted {
    /// Adds up. A bucket that is counted while this looks is seen or not, so that the whole is always one that
    /// was true of some set of requests.
    pub(crate) fn of<'a>(queues: impl Iterator<Item = &'a Latencies> + Clone) -> Self {
        let mut below = 0;
        let cumulative = array::from_fn(|index| {
            let here = queues.clone().map(|queue| queue.buckets[index].get());
            below += here.sum::<u64>();
            below
        });
        Self {
            cumulative,
            sum_ns: queues.map(|queue| queue.sum_ns.get()).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_its_own_end() {
        for (ns, index) in [
            (0, 0),
            (1024, 0),
            (1025, 1),
            (2048, 1),
            (2049, 2),
            (bound_ns(BOUNDS - 1), BOUNDS - 1),
            (bound_ns(BOUNDS - 1) + 1, BOUNDS),
            (u64::MAX, BOUNDS),
        ] {
            assert_eq!(bucket(ns), index, "{ns}");
        }
        for index in 0..BOUNDS {
            assert_eq!(bucket(bound_ns(index)), index);
            assert_eq!(bucket(bound_ns(index) + 1), index + 1);
        }
    }

    #[test]
    fn queues_are_added_up() {
        let queues = [Latencies::default(), Latencies::default()];
        queues[0].count(500);
        queues[0].count(50_000_000);
        queues[1].count(1500);
        let counted = Counted::of(queues.iter());
        assert_eq!(&counted.cumulative[..3], &[1, 2, 2]);
        assert_eq!(counted.cumulative[BOUNDS], 3);
        assert_eq!(counted.sum_ns, 50_002_000);
    }
}
