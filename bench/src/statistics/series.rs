//! How steady a run was, from what it did in each interval.

use serde::{Deserialize, Serialize};

use super::{count, sample};

/// A stall is an interval with less than this part of the median.
const STALL: f64 = 0.1;
/// Blocks into which a run is divided to ask whether it was steady.
const BLOCKS: usize = 5;
/// How far apart the blocks of a steady run are, and how far its line climbs, as parts of the mean: the
/// steady state of SNIA's Solid State Storage Performance Test Specification.
const RANGE: f64 = 0.20;
const CLIMB: f64 = 0.10;
/// A run is not steady if that leaves less than this part of it.
const LEAST: f64 = 0.5;

/// How steady a series of equal intervals was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Steadiness {
    /// Coefficient of variation of the intervals.
    pub variation: Option<f64>,
    /// Intervals with less than a tenth of the median.
    pub stalls: u64,
    /// The longest row of such intervals, in ns.
    pub longest_stall_ns: u64,
    /// What the run gained from its beginning to its end along the median slope, as a part of the median.
    pub drift: Option<f64>,
    /// From when on it was steady, in ns from the beginning; `None` if it never was for half of its time.
    pub steady_from_ns: Option<u64>,
}

impl Steadiness {
    /// Of a series of what was done in each interval of `interval_ns`.
    #[must_use]
    pub fn of(values: &[f64], interval_ns: u64) -> Self {
        let (stalls, longest) = stalls(values);
        let ns = |intervals: usize| {
            u64::try_from(intervals)
                .unwrap_or(u64::MAX)
                .saturating_mul(interval_ns)
        };
        Self {
            variation: sample::variation(values),
            stalls: ns(stalls) / interval_ns.max(1),
            longest_stall_ns: ns(longest),
            drift: drift(values),
            steady_from_ns: steady_from(values).map(ns),
        }
    }
}

/// How many intervals are stalls, and the length of the longest row of them.
#[must_use]
pub fn stalls(values: &[f64]) -> (usize, usize) {
    let Some(median) = sample::median(values) else {
        return (0, 0);
    };
    let (mut all, mut row, mut longest) = (0, 0, 0);
    for value in values {
        if *value < STALL * median {
            all += 1;
            row += 1;
            longest = longest.max(row);
        } else {
            row = 0;
        }
    }
    (all, longest)
}

/// What the series gains from its first to its last value, as a part of the median: the median of the
/// slopes between any two values (Theil and Sen), which a few stalls do not move.
#[must_use]
pub fn drift(values: &[f64]) -> Option<f64> {
    let median = sample::median(values).filter(|median| *median != 0.0)?;
    let slopes: Vec<f64> = values
        .iter()
        .enumerate()
        .flat_map(|(early, a)| {
            let later = values.iter().enumerate().skip(early + 1);
            later.map(move |(late, b)| (b - a) / count(late - early))
        })
        .collect();
    Some(sample::median(&slopes)? * count(values.len() - 1) / median)
}

/// From which interval on the series is steady to its end.
#[must_use]
pub fn steady_from(values: &[f64]) -> Option<usize> {
    (0..values.len())
        .take_while(|start| count(values.len() - start) >= LEAST * count(values.len()))
        .find(|start| is_steady(&values[*start..]))
}

/// Whether the blocks of a series lie close together and its line is flat.
#[must_use]
pub fn is_steady(values: &[f64]) -> bool {
    if values.len() < BLOCKS {
        return false;
    }
    let edge = |block: usize| block * values.len() / BLOCKS;
    let blocks: Vec<f64> = (0..BLOCKS)
        .filter_map(|block| sample::mean(&values[edge(block)..edge(block + 1)]))
        .collect();
    let Some(mean) = sample::mean(&blocks).filter(|mean| *mean > 0.0) else {
        return false;
    };
    let most = blocks.iter().copied().fold(f64::MIN, f64::max);
    let least = blocks.iter().copied().fold(f64::MAX, f64::min);
    let climb = slope(&blocks) * count(BLOCKS - 1);
    most - least <= RANGE * mean && climb.abs() <= CLIMB * mean
}

/// The slope of the line with the least squares.
#[must_use]
pub fn slope(values: &[f64]) -> f64 {
    let middle = count(values.len().saturating_sub(1)) / 2.0;
    let mean = sample::mean(values).unwrap_or(0.0);
    let (mut above, mut below) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let x = count(index) - middle;
        above += x * (value - mean);
        below += x * x;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_run_is_steady_from_the_beginning() {
        let steady = Steadiness::of(&[100.0; 20], 1_000);
        assert_eq!((steady.variation, steady.drift), (Some(0.0), Some(0.0)));
        assert_eq!((steady.stalls, steady.steady_from_ns), (0, Some(0)));
    }

    #[test]
    fn a_warm_up_is_left_out() {
        let mut values = vec![10.0, 20.0, 60.0];
        values.extend([100.0; 17]);
        let from = steady_from(&values).unwrap();
        assert!((1..=3).contains(&from), "{from}");
    }

    #[test]
    fn a_run_that_climbs_or_sags_is_not_steady() {
        let climbing: Vec<f64> = (0..40).map(|at| 100.0 + 3.0 * f64::from(at)).collect();
        assert_eq!(steady_from(&climbing), None);
        let drift = drift(&climbing).unwrap();
        assert!((drift - 117.0 / 158.5).abs() < 1e-9, "{drift}");
        assert!(!is_steady(&[100.0; 4]), "too short to tell");
        assert!(!is_steady(&[0.0; 20]), "nothing was done");
    }

    #[test]
    fn stalls_are_counted_and_do_not_move_the_drift() {
        let mut values = vec![100.0; 30];
        for at in [4, 11, 12, 13] {
            values[at] = 3.0;
        }
        let found = Steadiness::of(&values, 100);
        assert_eq!((found.stalls, found.longest_stall_ns), (4, 300));
        assert_eq!(found.drift, Some(0.0));
    }
}
