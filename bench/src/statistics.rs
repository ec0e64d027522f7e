//! What can be said of numbers that were measured, and how surely.
//!
//! Pure: no clock, no entropy, no files. A seed comes in as an argument, so that the same numbers give the
//! same answer.
//!
//! | module | what it knows |
//! |---|---|
//! | [`histogram`] | latency percentiles of fio's bins, and their merging |
//! | [`sample`] | mean, median, spread of few values |
//! | [`series`] | how steady a run was: drift, stalls, from when on |
//! | [`distribution`] | quantiles of the normal and of Student's distribution |
//! | [`bootstrap`] | the interval of a ratio |
//! | [`verdict`] | faster, slower or cannot tell |

pub mod bootstrap;
pub mod distribution;
pub mod histogram;
pub mod sample;
pub mod series;
pub mod verdict;

pub use histogram::Histogram;

/// A count as a number to calculate with.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of one run are far below 2^52"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// A length as a number to calculate with.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "what is kept in memory is far below 2^52 values"
)]
pub(crate) fn count(length: usize) -> f64 {
    length as f64
}

/// A number as an index or count: rounded down, at least 0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made positive first; what is above the range becomes its end"
)]
pub(crate) fn whole(number: f64) -> usize {
    number.max(0.0).floor() as usize
}
