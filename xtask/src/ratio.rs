//! How two servers compare: the ratio of their runs, round by round, with an interval.
//!
//! The runs of a round follow each other, so their ratio forgets how busy the machine was. Of `n` such
//! ratios the k-th smallest and the k-th largest enclose the true median with a confidence that depends on
//! nothing else, whatever their distribution (the sign test): with k = 1, 94 % of five, 97 % of six. The
//! largest k with 93 % or more is taken, so that one disturbed round of many does not widen the interval.

/// The least confidence of an interval. Five rounds have it.
const CONFIDENCE: f64 = 0.93;

/// A ratio and where it may lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
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
        let outside = outside(ratios.len());
        Some(Self {
            median,
            least: *ratios.get(outside)?,
            most: *ratios.get(ratios.len().checked_sub(1 + outside)?)?,
        })
    }
}

/// How many of `rounds` ratios may lie outside of the interval on each side: so many that their binomial
/// tails, `2 * sum of C(rounds, i) / 2^rounds`, leave the confidence.
fn outside(rounds: usize) -> usize {
    let mut probability = (0..rounds).fold(1.0, |probability, _| probability / 2.0);
    let mut tails = 2.0 * probability;
    let mut outside = 0;
    let (mut left, mut next) = (rounds, 1);
    // The tail with one more ratio, as long as both sides leave one in the middle.
    while 2 * (outside + 1) < rounds {
        probability *= number(left) / number(next);
        tails += 2.0 * probability;
        if 1.0 - tails < CONFIDENCE {
            break;
        }
        outside += 1;
        left -= 1;
        next += 1;
    }
    outside
}

/// A small number, exactly.
fn number(small: usize) -> f64 {
    u32::try_from(small).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_each_other() {
        // The machine was twice as fast in the second round; ours was 10 % faster in both.
        let ratio = Ratio::of(&[110.0, 220.0, 110.0], &[100.0, 200.0, 100.0]).unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert!(ratio.least > 1.0);
    }

    /// From the tables of the sign test.
    #[test]
    fn more_rounds_leave_out_what_was_disturbed() {
        for (rounds, left_out) in [
            (0, 0),
            (1, 0),
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (12, 2),
            (20, 5),
        ] {
            assert_eq!(outside(rounds), left_out, "{rounds}");
        }
        let mut ours = vec![110.0; 12];
        (ours[3], ours[7]) = (1.0, 9000.0);
        let ratio = Ratio::of(&ours, &[100.0; 12]).unwrap();
        assert_eq!((ratio.least, ratio.most), (1.1, 1.1));
    }

    #[test]
    fn few_rounds_have_the_widest_interval() {
        let ratio = Ratio::of(&[90.0, 130.0], &[100.0, 100.0]).unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert!(ratio.least < 1.0 && ratio.most > 1.0);
        assert_eq!(Ratio::of(&[], &[]), None);
    }
}
