//! Percentiles of a latency histogram.

use std::collections::BTreeMap;

/// A histogram: how often each value, in ns, was seen.
///
/// The values are those that fio's json+ lists: the middle of a bin whose width is below 1/64 of
/// its value (`plat_idx_to_val` in fio's `stat.c`), which bounds the error of a percentile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    bins: BTreeMap<u64, u64>,
}

impl Histogram {
    /// Adds the counts of `bins`.
    pub fn add(&mut self, bins: &BTreeMap<u64, u64>) {
        for (value, count) in bins {
            *self.bins.entry(*value).or_default() += count;
        }
    }

    /// The smallest value that at least `per_mille` thousandths of the samples do not exceed
    /// (nearest rank, as fio reports it); `None` without samples.
    #[must_use]
    pub fn percentile(&self, per_mille: u64) -> Option<u64> {
        let total: u64 = self.bins.values().sum();
        let rank = (u128::from(total) * u128::from(per_mille)).div_ceil(1000);
        let mut seen = 0_u128;
        self.bins.iter().find_map(|(value, count)| {
            seen += u128::from(*count);
            (seen >= rank).then_some(*value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(bins: &[(u64, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(&bins.iter().copied().collect());
        histogram
    }

    #[test]
    fn nearest_rank() {
        let histogram = histogram(&[(10, 500), (20, 490), (30, 9), (40, 1)]);
        assert_eq!(histogram.percentile(500), Some(10));
        assert_eq!(histogram.percentile(501), Some(20));
        assert_eq!(histogram.percentile(990), Some(20));
        assert_eq!(histogram.percentile(999), Some(30));
        assert_eq!(histogram.percentile(1000), Some(40));
    }

    #[test]
    fn merging_counts_a_shared_value_once() {
        let mut merged = histogram(&[(10, 1), (20, 1)]);
        merged.add(&[(10, 2), (30, 4)].into_iter().collect());
        assert_eq!(merged, histogram(&[(10, 3), (20, 1), (30, 4)]));
    }

    #[test]
    fn no_samples_have_no_percentile() {
        assert_eq!(Histogram::default().percentile(500), None);
    }
}
