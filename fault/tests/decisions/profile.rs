//! Delays follow the distribution that the rule names, as the engine decides them.

use fault::{Rule, RuleSet};

use super::support::{FACTS, read};

/// Of the Kolmogorov-Smirnov statistic times the square root of the number of draws: exceeded by one sample in
/// twenty, and by one in a thousand (the limiting distribution, N. Smirnov 1948).
const ONE_IN_20: f64 = 1.358;
const ONE_IN_1000: f64 = 1.949;

const DRAWS: u32 = 20_000;
const SEEDS: u64 = 20;

/// Where 99 of 100 of the standard normal distribution lie below.
const Z_99: f64 = 2.326_347_874;

/// The standard normal distribution function, to 1e-7 (Abramowitz and Stegun, 7.1.26).
fn phi(x: f64) -> f64 {
    const A: [f64; 5] = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let tail = A.iter().fold(0.0, |sum, a| sum * t + a) * t * (-z * z).exp();
    if x < 0.0 {
        tail / 2.0
    } else {
        1.0 - tail / 2.0
    }
}

/// A lognormal distribution with this median and 99th percentile, in milliseconds.
fn lognormal(p50: f64, p99: f64) -> impl Fn(f64) -> f64 {
    let sigma = (p99 / p50).ln() / Z_99;
    move |ns| phi((ns / 1e6 / p50).ln() / sigma)
}

/// What the engine decides for so many reads, in ascending order.
fn delays(seed: u64) -> Vec<u64> {
    let rule = Rule::parse("profile", "delay(dist=lognormal:1ms/20ms) where op=read").unwrap();
    let set = RuleSet::compile(1, seed, vec![rule], None, FACTS).unwrap();
    let reads = (0..u64::from(DRAWS)).map(|number| read(number % 1000 * 8));
    let mut delays: Vec<_> = reads
        .map(|read| set.decide(&read, 0).submit_delay_ns)
        .collect();
    delays.sort_unstable();
    delays
}

/// The largest distance between draws and a distribution, times the square root of their number.
fn distance(delays: &[u64], cdf: impl Fn(f64) -> f64) -> f64 {
    let count = f64::from(DRAWS);
    let distances = (0..DRAWS).zip(delays).map(|(rank, ns)| {
        let at = cdf(*ns as f64);
        let below = (at - f64::from(rank) / count).abs();
        below.max((f64::from(rank + 1) / count - at).abs())
    });
    distances.fold(0.0, f64::max) * count.sqrt()
}

#[test]
fn lognormal_delays_pass_a_goodness_of_fit_test() {
    let found: Vec<f64> = (0..SEEDS)
        .map(|seed| distance(&delays(seed), lognormal(1.0, 20.0)))
        .collect();
    assert!(
        found.iter().all(|distance| *distance < ONE_IN_1000),
        "{found:?}"
    );
    let above = found
        .iter()
        .filter(|distance| **distance > ONE_IN_20)
        .count();
    assert!(
        above <= 4,
        "{above} of {SEEDS} above what one in twenty is: {found:?}"
    );
}

#[test]
fn the_goodness_of_fit_test_finds_what_is_planted() {
    for seed in 0..SEEDS {
        let delays = delays(seed);
        // A sigma that is a tenth too large, or too small; a median that is a tenth too large.
        for (p50, p99) in [(1.0, 27.0), (1.0, 14.8), (1.1, 22.0)] {
            let distance = distance(&delays, lognormal(p50, p99));
            assert!(distance > ONE_IN_1000, "{p50} and {p99}: {distance}");
        }
    }
}
