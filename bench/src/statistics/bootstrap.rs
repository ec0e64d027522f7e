//! The interval of a ratio, by drawing the measured values again.
//!
//! The bootstrap asks how the ratio of two means would vary if the measurement were made again, with the
//! measured values as the only knowledge of how values vary. With few values its intervals are too short: so
//! many draws repeat the same values that the spread is that of n where n - 1 would be right, and the normal
//! distribution is read where Student's is. Both are made up for by reading the draws further out
//! (the expanded percentile interval; Hesterberg, What Teachers Should Know about the Bootstrap, 2014).
//!
//! No draw lies outside the measured values, so that there is a level that no interval can be above
//! ([`reachable`]): 90 % for three values a side, and none at all for one.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::{count, distribution, sample};

/// How often values are drawn again.
pub const DRAWS: usize = 20_000;

/// A ratio and where it lies with the confidence that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The ratio of the means.
    pub ratio: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How surely it holds the truth, as a part: less than was asked for where so few values cannot say more.
    pub level: f64,
}

/// The ratio of the mean of `new` to that of `base`, and its interval, which leaves out `outside` of the
/// draws (0.05 for 95 %). `None` with less than two values of either, or where a mean is not above 0.
///
/// The means are geometric: a ratio and its inverse are then treated alike.
#[must_use]
pub fn ratio(base: &[f64], new: &[f64], outside: f64, seed: u64) -> Option<Interval> {
    let (base, new) = (logarithms(base)?, logarithms(new)?);
    if base.len().min(new.len()) < 2 {
        return None;
    }
    let middle = sample::mean(&new)? - sample::mean(&base)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| mean_of_draw(&new, &mut random) - mean_of_draw(&base, &mut random))
        .collect();
    draws.sort_by(f64::total_cmp);
    let tail = expanded(outside / 2.0, base.len().min(new.len()));
    let end = |part| sample::quantile_of_sorted(&draws, part).map(f64::exp);
    Some(Interval {
        ratio: middle.exp(),
        low: end(tail)?.min(middle.exp()),
        high: end(1.0 - tail)?.max(middle.exp()),
        level: reachable(base.len(), new.len()).min(1.0 - outside),
    })
}

/// The logarithms of values that are all above 0.
pub(crate) fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    let fine = !values.is_empty() && values.iter().all(|value| value.is_finite() && *value > 0.0);
    fine.then(|| values.iter().map(|value| value.ln()).collect())
}

/// What no interval of so many values can be above: all of one side lie above all of the other by chance, where
/// both are equal, in 2 of (base + new over base) orders, and then every draw lies on one side of 1.
fn reachable(base: usize, new: usize) -> f64 {
    let orders: f64 = (1..=base)
        .map(|place| count(new + place) / count(place))
        .product();
    1.0 - 2.0 / orders
}

/// The tail to be read of the draws so that `tail` of the truth lies outside.
fn expanded(tail: f64, values: usize) -> f64 {
    let freedom = count(values - 1);
    let student = distribution::student_above(tail, freedom);
    distribution::normal(-student * (count(values) / freedom).sqrt())
}

fn mean_of_draw(values: &[f64], random: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = values
        .iter()
        .map(|_| values[index(random, values.len())])
        .sum();
    sum / count(values.len())
}

/// A number below `length`, each as likely as the others but for 1 in 2^32 / length.
pub(crate) fn index(random: &mut ChaCha8Rng, length: usize) -> usize {
    let wide = u64::from(random.next_u32()) * u64::try_from(length).unwrap_or(1);
    usize::try_from(wide >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_encloses_the_ratio_and_repeats() {
        let base = [100.0, 104.0, 97.0, 101.0, 99.0];
        let new = [110.0, 113.0, 108.0, 111.0, 107.0];
        let found = ratio(&base, &new, 0.05, 7).unwrap();
        assert_eq!(Some(found), ratio(&base, &new, 0.05, 7));
        assert!(
            found.low < found.ratio && found.ratio < found.high,
            "{found:?}"
        );
        assert!(found.low > 1.0 && found.high < 1.2, "{found:?}");
        let back = ratio(&new, &base, 0.05, 7).unwrap();
        assert!((back.ratio * found.ratio - 1.0).abs() < 1e-12);
    }

    #[test]
    fn equal_values_leave_no_doubt() {
        let found = ratio(&[10.0; 3], &[10.5; 3], 0.05, 1).unwrap();
        assert!((found.low - 1.05).abs() < 1e-9 && (found.high - 1.05).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_ratio() {
        assert_eq!(ratio(&[], &[1.0], 0.05, 1), None);
        assert_eq!(ratio(&[0.0], &[1.0], 0.05, 1), None);
        assert_eq!(ratio(&[f64::NAN], &[1.0], 0.05, 1), None);
        assert_eq!(
            ratio(&[1.0], &[1.1], 0.05, 1),
            None,
            "one value has no width"
        );
    }

    #[test]
    fn few_values_say_less() {
        let level = |values| {
            ratio(&vec![1.0; values], &vec![2.0; values], 0.05, 1)
                .unwrap()
                .level
        };
        assert!((level(2) - 2.0 / 3.0).abs() < 1e-12);
        assert!((level(3) - 0.9).abs() < 1e-12);
        assert!((level(4) - 0.95).abs() < 1e-12);
    }
}
