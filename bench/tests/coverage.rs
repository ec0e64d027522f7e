//! How often the interval of a ratio holds the truth, by drawing equal things again and again.

use bench::statistics::bootstrap::ratio;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One standard error of a part of 0.9 is then 1.9 %.
const TRIALS: u32 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    /// A value as a run's, with a spread of ten per cent: twelve uniform numbers are nearly a normal one.
    fn value(random: &mut ChaCha8Rng) -> f64 {
        let sum: f64 = (0..12)
            .map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX))
            .sum();
        (0.1 * (sum - 6.0)).exp()
    }

    fn coverage(repeats: usize) -> (f64, f64) {
        let mut random = ChaCha8Rng::seed_from_u64(20_261_126);
        let mut side = || -> Vec<f64> { (0..repeats).map(|_| value(&mut random)).collect() };
        let (mut held, mut level) = (0_u32, 0.0);
        for trial in 0..TRIALS {
            let found = ratio(&side(), &side(), 0.05, u64::from(trial)).unwrap();
            held += u32::from(found.low <= 1.0 && 1.0 <= found.high);
            level = found.level;
        }
        (f64::from(held) / f64::from(TRIALS), level)
    }

    #[test]
    fn an_interval_holds_the_truth_as_often_as_it_says() {
        for repeats in [3, 4, 5, 8] {
            let (held, level) = coverage(repeats);
            assert!(
                (held - level).abs() < 0.04,
                "{repeats} repeats: {held} of the intervals, should be {level}"
            );
        }
    }
}
