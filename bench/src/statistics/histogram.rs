//! Latency histograms in fio's own bins.
//!
//! fio sorts a latency into one of 1856 bins, 64 for each doubling (`plat_val_to_idx` in its `stat.c`), and
//! its json+ lists the middle of each bin that has any. The same bin has the same middle in every report, so
//! that histograms of several runs, jobs or directions are merged exactly, by adding counts. Percentiles are
//! taken of the sum; percentiles themselves cannot be merged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number;

/// Bits of a value that tell bins of one doubling apart (`FIO_IO_U_PLAT_BITS`).
const BITS: u32 = 6;
/// Bins of a doubling (`FIO_IO_U_PLAT_VAL`).
const BINS_A_DOUBLING: usize = 1 << BITS;
/// All bins of fio (`FIO_IO_U_PLAT_NR`).
pub const BINS: usize = 29 * BINS_A_DOUBLING;

/// A histogram: how often each value, in ns, was seen.
///
/// The values are those that fio's json+ lists: the middle of a bin whose width is at most 1/64 of
/// its value, which bounds the error of a percentile to 1/128.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Histogram {
    bins: BTreeMap<u64, u64>,
}

impl From<Vec<(u64, u64)>> for Histogram {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut histogram = Self::default();
        for (value, count) in pairs {
            histogram.count(value, count);
        }
        histogram
    }
}

impl From<Histogram> for Vec<(u64, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.bins.into_iter().collect()
    }
}

impl Histogram {
    /// Adds the counts of `bins`.
    pub fn add(&mut self, bins: &BTreeMap<u64, u64>) {
        for (value, count) in bins {
            self.count(*value, *count);
        }
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.add(&other.bins);
    }

    /// Adds `count` samples at the middle of a bin.
    pub fn count(&mut self, middle_ns: u64, count: u64) {
        if count > 0 {
            *self.bins.entry(middle_ns).or_default() += count;
        }
    }

    /// Adds a latency, in the bin into which fio puts it.
    pub fn record(&mut self, latency_ns: u64) {
        self.count(middle(bin_of(latency_ns)), 1);
    }

    /// The same with 8 bins for each doubling, which is enough to look at.
    #[must_use]
    pub fn coarse(&self) -> Self {
        let mut coarse = Self::default();
        for (value, count) in &self.bins {
            coarse.count(middle(bin_of(*value) / 8 * 8 + 4), *count);
        }
        coarse
    }

    /// How many samples there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.bins.values().sum()
    }

    /// The middles of the bins that have samples, in ns, with their counts, in rising order.
    pub fn bins(&self) -> impl Iterator<Item = (u64, u64)> {
        self.bins.iter().map(|(value, count)| (*value, *count))
    }

    /// The smallest value that at least `per_mille` thousandths of the samples do not exceed.
    #[must_use]
    pub fn percentile(&self, per_mille: u64) -> Option<u64> {
        self.percentile_of(per_mille, 1000)
    }

    /// The smallest value that at least `part` of `whole` samples do not exceed (nearest rank, as fio
    /// reports it); `None` without samples.
    #[must_use]
    pub fn percentile_of(&self, part: u64, whole: u64) -> Option<u64> {
        let rank = (u128::from(self.total()) * u128::from(part)).div_ceil(u128::from(whole));
        let mut seen = 0_u128;
        self.bins.iter().find_map(|(value, count)| {
            seen += u128::from(*count);
            (seen >= rank).then_some(*value)
        })
    }

    /// The mean in ns, off by at most 1/128; `None` without samples.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let total = self.total();
        let weigh = |(value, count): (u64, u64)| number(value) * number(count);
        (total > 0).then(|| self.bins().map(weigh).sum::<f64>() / number(total))
    }
}

/// The bin of a latency in ns (`plat_val_to_idx`).
#[must_use]
pub fn bin_of(latency_ns: u64) -> usize {
    let most = u64::BITS - 1 - latency_ns.max(1).leading_zeros();
    if most <= BITS {
        return usize::try_from(latency_ns).unwrap_or(BINS - 1);
    }
    let error_bits = most - BITS;
    let base = usize::try_from(error_bits + 1).unwrap_or(BINS) << BITS;
    let mask = (1_u64 << BITS) - 1;
    let offset = usize::try_from(mask & (latency_ns >> error_bits)).unwrap_or(0);
    (base + offset).min(BINS - 1)
}

/// The middle of a bin in ns (`plat_idx_to_val`).
#[must_use]
pub fn middle(bin: usize) -> u64 {
    let wide = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    if bin < BINS_A_DOUBLING << 1 {
        return wide(bin);
    }
    let error_bits = (bin >> BITS) - 1;
    let base = 1_u64 << (error_bits + BITS as usize);
    let step = wide(bin % BINS_A_DOUBLING);
    // (k + 0.5) widths of a bin, in whole numbers.
    base + ((2 * step + 1) << error_bits) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(bins: &[(u64, u64)]) -> Histogram {
        bins.to_vec().into()
    }

    #[test]
    fn nearest_rank() {
        let histogram = histogram(&[(10, 500), (20, 490), (30, 9), (40, 1)]);
        assert_eq!(histogram.percentile(500), Some(10));
        assert_eq!(histogram.percentile(501), Some(20));
        assert_eq!(histogram.percentile(990), Some(20));
        assert_eq!(histogram.percentile(999), Some(30));
        assert_eq!(histogram.percentile(1000), Some(40));
        assert_eq!(histogram.percentile_of(9_999, 10_000), Some(40));
    }

    #[test]
    fn merging_counts_a_shared_value_once() {
        let mut merged = histogram(&[(10, 1), (20, 1)]);
        merged.merge(&histogram(&[(10, 2), (30, 4)]));
        assert_eq!(merged, histogram(&[(10, 3), (20, 1), (30, 4)]));
        assert_eq!(merged.total(), 8);
    }

    #[test]
    fn no_samples_have_no_percentile() {
        assert_eq!(Histogram::default().percentile(500), None);
        assert_eq!(Histogram::default().mean(), None);
    }

    #[test]
    fn bins_are_fios() {
        // Every value that fio listed in a real report is the middle of a bin of ours.
        let report: serde_json::Value = serde_json::from_str(include_str!(
            "../../tests/data/rand-destination-4k-qd32.json"
        ))
        .unwrap();
        let bins = report["jobs"][0]["read"]["clat_ns"]["bins"]
            .as_object()
            .unwrap();
        assert!(bins.len() > 50);
        for value in bins.keys() {
            let value: u64 = value.parse().unwrap();
            assert_eq!(middle(bin_of(value)), value);
        }
    }

    #[test]
    fn coarse_bins_keep_the_samples() {
        let mut fine = Histogram::default();
        for value in [1_000, 1_010, 1_020, 5_000_000] {
            fine.record(value);
        }
        let coarse = fine.coarse();
        assert_eq!(coarse.total(), 4);
        assert!(coarse.bins().count() < fine.bins().count());
    }
}
