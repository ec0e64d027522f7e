//! Faster, slower, or cannot tell.
//!
//! Two things must agree before a difference is said to be one:
//!
//! * the bootstrap interval of the ratio ([`super::bootstrap`]) leaves out 1, and
//! * the difference is above the noise floor: what two equal things would differ by in one of twenty
//!   comparisons, from how their own repeats spread (Welch's test, in logarithms).
//!
//! A comparison of many cells asks many questions, and each would be answered wrongly in one of twenty.
//! So the floor is raised with their number (Bonferroni): in one of twenty comparisons, of however many
//! cells, something equal is called different.
//!
//! Exact counts (instructions in a virtual machine) vary little, and their floor is what they vary. With
//! fewer than [`LEAST_REPEATS`] repeats a side, times say nothing.

use serde::{Deserialize, Serialize};

use super::bootstrap::{self, Interval, logarithms};
use super::{count, distribution, sample};

/// How often a comparison may be wrong about equal things.
pub const WRONG: f64 = 0.05;
/// Repeats below which nothing is said of times.
pub const LEAST_REPEATS: usize = 3;
/// The floor of exact counts: two guests of the same programs differ by that much.
pub const EXACT_FLOOR: f64 = 0.01;

/// Which way a value is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Requests a second, bandwidth.
    Higher,
    /// Latencies, costs.
    Lower,
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new one is better.
    Faster,
    /// The new one is worse.
    Slower,
    /// The difference, if there is one, is below what can be seen.
    CannotTell,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// A question: the repeats of one cell, before and after.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The values that are compared with.
    pub base: &'a [f64],
    /// The values that are compared.
    pub new: &'a [f64],
    /// Which way is better.
    pub better: Better,
    /// Whether they are exact counts rather than times.
    pub exact: bool,
    /// How many questions are asked together, this one among them.
    pub questions: usize,
    /// The least difference that matters, as a part (0.02 for 2 %).
    pub least: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The new value as a part of the old one, with its interval; `None` with less than two repeats a side.
    pub interval: Option<Interval>,
    /// What equal things may differ by, as a part; `None` with too few repeats to know.
    pub noise_floor: Option<f64>,
    /// What can be said.
    pub verdict: Verdict,
}

impl Question<'_> {
    /// Answers it.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let interval = bootstrap::ratio(self.base, self.new, WRONG, self.seed);
        let noise_floor = self.noise_floor();
        // A single exact count has its floor and no interval.
        let ratio = match (interval, self.exact) {
            (None, true) => self.single(),
            _ => interval.map(|it| (it.ratio, it.low, it.high)),
        };
        let verdict = match (ratio, noise_floor) {
            (Some(ratio), Some(floor)) => self.verdict(ratio, floor.max(self.least)),
            _ => Verdict::CannotTell,
        };
        Answer {
            interval,
            noise_floor,
            verdict,
        }
    }

    /// The ratio alone, as one that has no width.
    fn single(&self) -> Option<(f64, f64, f64)> {
        let mean = |values| sample::geometric_mean(values).filter(|mean| *mean > 0.0);
        let ratio = mean(self.new)? / mean(self.base)?;
        Some((ratio, ratio, ratio))
    }

    fn verdict(&self, (ratio, low, high): (f64, f64, f64), floor: f64) -> Verdict {
        let beyond = ratio.ln().abs() > floor.ln_1p();
        let more = low > 1.0;
        if !beyond || !(more || high < 1.0) {
            return Verdict::CannotTell;
        }
        if more == (self.better == Better::Higher) {
            Verdict::Faster
        } else {
            Verdict::Slower
        }
    }

    fn noise_floor(&self) -> Option<f64> {
        if self.exact {
            let widest = spread(self.base)?.max(spread(self.new)?);
            return Some(widest.max(EXACT_FLOOR));
        }
        noise_floor(self.base, self.new, WRONG / count(self.questions.max(1)))
    }
}

/// How far apart the values are, as a part of the least.
fn spread(values: &[f64]) -> Option<f64> {
    let least = values.iter().copied().fold(f64::MAX, f64::min);
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    (least > 0.0 && most >= least).then(|| most / least - 1.0)
}

/// What the means of two equal things would differ by with probability `wrong`, as a part, from the spread
/// of their repeats; `None` with fewer than [`LEAST_REPEATS`] of either.
#[must_use]
pub fn noise_floor(base: &[f64], new: &[f64], wrong: f64) -> Option<f64> {
    if base.len().min(new.len()) < LEAST_REPEATS {
        return None;
    }
    // Each side's variance of its mean, and its degrees of freedom (Welch and Satterthwaite).
    let side = |values: &[f64]| {
        let deviation = sample::deviation(&logarithms(values)?)?;
        Some((
            deviation.powi(2) / count(values.len()),
            count(values.len() - 1),
        ))
    };
    let ((one, one_free), (other, other_free)) = (side(base)?, side(new)?);
    let variance = one + other;
    if variance <= 0.0 {
        return Some(0.0);
    }
    let freedom = variance.powi(2) / (one.powi(2) / one_free + other.powi(2) / other_free);
    let error = distribution::student_above(wrong / 2.0, freedom) * variance.sqrt();
    Some(error.exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(base: &'a [f64], new: &'a [f64]) -> Question<'a> {
        Question {
            base,
            new,
            better: Better::Higher,
            exact: false,
            questions: 1,
            least: 0.0,
            seed: 1,
        }
    }

    #[test]
    fn a_clear_difference_has_a_direction() {
        let (slow, fast) = ([100.0, 101.0, 99.0, 100.5], [120.0, 121.0, 119.0, 120.5]);
        assert_eq!(question(&slow, &fast).answer().verdict, Verdict::Faster);
        assert_eq!(question(&fast, &slow).answer().verdict, Verdict::Slower);
        let latency = Question {
            better: Better::Lower,
            ..question(&slow, &fast)
        };
        assert_eq!(latency.answer().verdict, Verdict::Slower);
    }

    #[test]
    fn what_does_not_matter_is_not_told() {
        let (slow, fast) = ([100.0, 100.1, 99.9], [103.0, 103.1, 102.9]);
        let answer = |least| {
            Question {
                least,
                ..question(&slow, &fast)
            }
            .answer()
            .verdict
        };
        assert_eq!(answer(0.0), Verdict::Faster);
        assert_eq!(answer(0.05), Verdict::CannotTell);
    }

    #[test]
    fn many_questions_raise_the_floor() {
        let (slow, fast) = ([100.0, 104.0, 96.0, 101.0], [108.0, 112.0, 106.0, 109.0]);
        let floor = |questions| {
            let asked = Question {
                questions,
                ..question(&slow, &fast)
            };
            asked.answer().noise_floor.unwrap()
        };
        assert!(floor(1) < floor(10) && floor(10) < floor(100));
        assert_eq!(question(&slow, &fast).answer().verdict, Verdict::Faster);
        let many = Question {
            questions: 100,
            ..question(&slow, &fast)
        };
        assert_eq!(many.answer().verdict, Verdict::CannotTell);
    }

    #[test]
    fn two_repeats_of_a_time_say_nothing_and_one_exact_count_does() {
        let few = question(&[100.0, 100.0], &[200.0, 200.0]);
        assert_eq!(few.answer().verdict, Verdict::CannotTell);
        assert_eq!(few.answer().noise_floor, None);
        let exact = Question {
            better: Better::Lower,
            exact: true,
            ..question(&[15_000.0], &[15_750.0])
        };
        assert_eq!(exact.answer().verdict, Verdict::Slower);
        assert_eq!(exact.answer().interval, None);
        let one = question(&[100.0], &[200.0]).answer();
        assert_eq!((one.verdict, one.interval), (Verdict::CannotTell, None));
        assert_eq!(question(&[], &[]).answer().verdict, Verdict::CannotTell);
    }
}
