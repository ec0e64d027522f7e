//! What must hold of the statistics whatever the numbers are.

use bench::statistics::bootstrap::ratio;
use bench::statistics::histogram::{BINS, Histogram, bin_of, middle};
use bench::statistics::verdict::{Better, Question, Verdict};
use bench::statistics::{sample, series};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    vec(1_u64..10_000_000_000, 1..300)
}

fn speeds() -> impl Strategy<Value = Vec<f64>> {
    vec(10.0..1e7_f64, 2..12)
}

fn histogram(latencies: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for latency in latencies {
        histogram.record(*latency);
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn a_bin_is_close_to_its_values(latency in 0_u64..17_000_000_000) {
            let middle = middle(bin_of(latency));
            prop_assert!(middle.abs_diff(latency) <= latency / 128 + 1);
            prop_assert!(bin_of(latency) < BINS);
        }

        #[test]
        fn bins_rise_with_values(a in any::<u64>(), b in any::<u64>()) {
            prop_assert_eq!(bin_of(a.min(b)).cmp(&bin_of(a.max(b))).is_gt(), false);
        }

        #[test]
        fn merging_is_the_histogram_of_all(mut one in latencies(), other in latencies()) {
            let mut merged = histogram(&one);
            merged.merge(&histogram(&other));
            one.extend(other);
            prop_assert_eq!(merged, histogram(&one));
        }

        /// Nearest rank of the sorted samples, each moved to the middle of its bin.
        #[test]
        fn percentiles_are_ranks(mut values in latencies(), part in 1_u64..=10_000) {
            let found = histogram(&values).percentile_of(part, 10_000).unwrap();
            values.sort_unstable();
            let rank = (u64::try_from(values.len()).unwrap() * part).div_ceil(10_000);
            let value = values[usize::try_from(rank).unwrap() - 1];
            prop_assert_eq!(found, middle(bin_of(value)));
        }

        #[test]
        fn a_histogram_survives_json(values in latencies()) {
            let histogram = histogram(&values);
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }

        #[test]
        fn quantiles_lie_within(values in speeds(), part in 0.0..=1.0_f64) {
            let found = sample::quantile(&values, part).unwrap();
            prop_assert!(values.iter().any(|value| *value <= found));
            prop_assert!(values.iter().any(|value| *value >= found));
        }

        #[test]
        fn the_ratio_lies_in_its_interval(base in speeds(), new in speeds(), seed in any::<u64>()) {
            let found = ratio(&base, &new, 0.05, seed).unwrap();
            prop_assert!(found.low <= found.ratio && found.ratio <= found.high);
        }

        #[test]
        fn scaling_both_changes_nothing(base in speeds(), new in speeds(), factor in 0.1..10.0_f64) {
            let scaled = |values: &[f64]| values.iter().map(|v| v * factor).collect::<Vec<_>>();
            let before = ratio(&base, &new, 0.05, 1).unwrap();
            let after = ratio(&scaled(&base), &scaled(&new), 0.05, 1).unwrap();
            prop_assert!((before.low / after.low - 1.0).abs() < 1e-9);
            prop_assert!((before.high / after.high - 1.0).abs() < 1e-9);
        }

        /// However they vary, exact counts that are all 5 % higher are found, if they vary by less.
        #[test]
        fn a_planted_slowdown_of_exact_counts_is_always_found(
            count in 1_000.0..1e6_f64,
            noise in vec(0.0..0.009_f64, 1..6),
        ) {
            let base: Vec<f64> = noise.iter().map(|part| count * (1.0 + part)).collect();
            let new: Vec<f64> = base.iter().map(|value| value * 1.05).collect();
            let question = Question {
                base: &base,
                new: &new,
                better: Better::Lower,
                exact: true,
                questions: 50,
                least: 0.0,
                seed: 9,
            };
            prop_assert_eq!(question.answer().verdict, Verdict::Slower);
        }

        #[test]
        fn a_series_and_its_multiple_are_as_steady(values in vec(1.0..1e6_f64, 5..80)) {
            let doubled: Vec<f64> = values.iter().map(|value| value * 2.0).collect();
            prop_assert_eq!(series::steady_from(&values), series::steady_from(&doubled));
            prop_assert_eq!(series::stalls(&values), series::stalls(&doubled));
        }
    }
}
