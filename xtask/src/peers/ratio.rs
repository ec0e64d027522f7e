//! How two servers compare: the ratio of their runs, round by round, with an interval.
//!
//! The runs of a round follow each other, so their ratio forgets how busy the machine was. Of `n` such
//! ratios the smallest and the largest enclose the true median with a confidence of 1 - 2^(1-n), whatever
//! their distribution (the sign test): 94 % of five, 97 % of six.

/// A ratio and where it may lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// What an interval allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    More,
    Less,
    CannotTell,
}

impl Ratio {
    /// Ours to theirs, of runs of the same rounds; none without a round.
    pub(crate) fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let upper = ratios.len() / 2;
        let median = if ratios.len() % 2 == 1 {
            *ratios.get(upper)?
        } else {
            f64::midpoint(*ratios.get(upper.checked_sub(1)?)?, *ratios.get(upper)?)
        };
        Some(Self {
            median,
            least: *ratios.first()?,
            most: *ratios.last()?,
        })
    }

    /// Whether ours is more or less than theirs, as far as it can be told.
    pub(crate) fn verdict(self) -> Verdict {
        if self.least > 1.0 {
            Verdict::More
        } else if self.most < 1.0 {
            Verdict::Less
        } else {
            Verdict::CannotTell
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_each_other() {
        // The machine was twice as fast in the second round; ours was 10 % faster in both.
        let ratio = Ratio::of(&[110.0, 220.0, 110.0], &[100.0, 200.0, 100.0]).unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert_eq!(ratio.verdict(), Verdict::More);
    }

    #[test]
    fn an_interval_around_one_says_nothing() {
        let ratio = Ratio::of(&[90.0, 130.0], &[100.0, 100.0]).unwrap();
        assert_eq!(ratio.verdict(), Verdict::CannotTell);
        assert!((ratio.median - 1.1).abs() < 1e-9);
        let less = Ratio::of(&[90.0, 99.0], &[100.0, 100.0]).unwrap();
        assert_eq!(less.verdict(), Verdict::Less);
        assert_eq!(Ratio::of(&[], &[]), None);
    }
}
