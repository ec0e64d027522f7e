//! The statistics against numpy and scipy: `reference.py` wrote what they say.

use bench::statistics::bootstrap::ratio;
use bench::statistics::distribution::{normal, student_above};
use bench::statistics::histogram::{Histogram, middle};
use bench::statistics::verdict::{WRONG, noise_floor};
use bench::statistics::{sample, series};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    middles: Vec<u64>,
    samples: Vec<Sample>,
    histograms: Vec<Merged>,
    series: Vec<Series>,
    student: Vec<(f64, f64, f64)>,
    normal: Vec<(f64, f64)>,
    comparisons: Vec<Comparison>,
}

#[derive(Deserialize)]
struct Sample {
    values: Vec<f64>,
    mean: f64,
    deviation: f64,
    variation: f64,
    quantiles: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Merged {
    reports: Vec<Histogram>,
    percentiles: Vec<(u64, u64)>,
    p99_99: u64,
    mean: f64,
}

#[derive(Deserialize)]
struct Series {
    values: Vec<f64>,
    slope: f64,
    drift: f64,
}

#[derive(Deserialize)]
struct Comparison {
    base: Vec<f64>,
    new: Vec<f64>,
    ratio: f64,
    interval: (f64, f64),
    noise_floor: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> Reference {
        serde_json::from_str(include_str!("data/reference.json")).unwrap()
    }

    #[track_caller]
    fn close(found: Option<f64>, expected: f64, part: f64) {
        let found = found.unwrap();
        let difference = (found - expected).abs();
        assert!(
            difference <= part * expected.abs().max(1e-12),
            "found {found}, should be {expected}"
        );
    }

    #[test]
    fn bins_have_fios_middles() {
        for (bin, value) in reference().middles.into_iter().enumerate() {
            assert_eq!(middle(bin), value, "{bin}");
        }
    }

    #[test]
    fn few_values() {
        for case in reference().samples {
            close(sample::mean(&case.values), case.mean, 1e-12);
            close(sample::deviation(&case.values), case.deviation, 1e-9);
            close(sample::variation(&case.values), case.variation, 1e-9);
            for (part, value) in case.quantiles {
                close(sample::quantile(&case.values, part), value, 1e-12);
            }
        }
    }

    #[test]
    fn percentiles_of_merged_reports_are_those_of_all_samples() {
        for case in reference().histograms {
            let mut merged = Histogram::default();
            for report in &case.reports {
                merged.merge(report);
            }
            for (per_mille, value) in case.percentiles {
                assert_eq!(merged.percentile(per_mille), Some(value), "{per_mille}");
            }
            assert_eq!(merged.percentile_of(9_999, 10_000), Some(case.p99_99));
            close(merged.mean(), case.mean, 1e-12);
        }
    }

    #[test]
    fn slopes() {
        for case in reference().series {
            close(Some(series::slope(&case.values)), case.slope, 1e-9);
            close(series::drift(&case.values), case.drift, 1e-9);
        }
    }

    #[test]
    fn distributions() {
        for (tail, freedom, value) in reference().student {
            close(Some(student_above(tail, freedom)), value, 1e-9);
        }
        for (value, part) in reference().normal {
            close(Some(normal(value)), part, 1e-9);
        }
    }

    /// The draws are other ones, so the ends agree as far as the number of draws allows.
    #[test]
    fn intervals_and_floors() {
        for case in reference().comparisons {
            let found = ratio(&case.base, &case.new, WRONG, 3).unwrap();
            close(Some(found.ratio), case.ratio, 1e-12);
            close(Some(found.low), case.interval.0, 0.03);
            close(Some(found.high), case.interval.1, 0.03);
            let floor = noise_floor(&case.base, &case.new, WRONG);
            close(floor, case.noise_floor, 1e-9);
        }
    }
}
