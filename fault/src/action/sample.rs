//! Draws from the distributions of delays, by their inverse cumulative functions: one uniform number makes
//! one sample, so that a sample can be addressed like any other draw.

use super::{Dist, MAX_PARK_NS, Point};

impl Dist {
    /// The time, in nanoseconds, below which the share `unit` of all draws lies; at most an hour.
    #[must_use]
    pub fn sample(&self, unit: f64) -> u64 {
        let unit = unit.clamp(0.0, 1.0);
        // Both tails stay finite: the least number above 0 that `unit` can be is 2^-53.
        let inner = unit.clamp(HALF_STEP, 1.0 - HALF_STEP);
        let ns = match self {
            Self::Fixed(ns) => return *ns,
            Self::Uniform(low, high) => {
                // Half open at the upper end, in whole nanoseconds.
                let span = (*high - *low) as f64 + 1.0;
                return low.saturating_add(whole(unit * span)).min(*high);
            }
            Self::Normal { mean_ns, sd_ns } => *mean_ns as f64 + normal(inner) * *sd_ns as f64,
            Self::Lognormal { p50_ns, p99_ns } => {
                let sigma = (*p99_ns as f64 / *p50_ns as f64).ln() / Z_99;
                *p50_ns as f64 * (sigma * normal(inner)).exp()
            }
            Self::Exponential(mean_ns) => -(1.0 - inner).ln() * *mean_ns as f64,
            Self::Pareto { least_ns, shape } => *least_ns as f64 * (1.0 - inner).powf(-1.0 / shape),
            Self::Table(points) => between(points, unit),
        };
        whole(ns).min(MAX_PARK_NS)
    }
}

/// Half of the distance between two numbers that a draw of 53 bits can be.
const HALF_STEP: f64 = 1.0 / (1_u64 << 54) as f64;

/// Where 99 of 100 of the standard normal distribution lie below.
const Z_99: f64 = 2.326_347_874_040_841;

/// The nearest whole number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion stops at both ends, and what is not a number is 0"
)]
fn whole(value: f64) -> u64 {
    value.floor() as u64
}

fn between(points: &[Point], unit: f64) -> f64 {
    let percent = unit * 100.0;
    let next = points.partition_point(|point| point.percent <= percent);
    match (
        next.checked_sub(1).and_then(|at| points.get(at)),
        points.get(next),
    ) {
        (Some(before), Some(after)) => {
            let share = (percent - before.percent) / (after.percent - before.percent);
            before.ns as f64 + share * (after.ns as f64 - before.ns as f64)
        }
        (Some(last), None) => last.ns as f64,
        (None, first) => first.map_or(0.0, |first| first.ns as f64),
    }
}

/// The inverse of the standard normal distribution, by P. J. Acklam's rational approximation: its relative
/// error is below 1.2e-9, far below a nanosecond in an hour's draw.
fn normal(unit: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const LOW: f64 = 0.024_25;
    if unit < LOW {
        let q = (-2.0 * unit.ln()).sqrt();
        return horner(&C, q) / horner(&D, q);
    }
    if unit > 1.0 - LOW {
        return -normal(1.0 - unit);
    }
    let q = unit - 0.5;
    horner(&A, q * q) * q / horner(&B, q * q)
}

/// The polynomial with these coefficients, the highest first.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard normal distribution function by its series (Marsaglia 2004), apart from the code above.
    fn phi(x: f64) -> f64 {
        let (mut sum, mut term, mut n) = (x, x, 1.0);
        while sum + term != sum {
            n += 2.0;
            term *= x * x / n;
            sum += term;
        }
        0.5 + sum * (-0.5 * x * x - 0.918_938_533_204_672_8).exp()
    }

    #[test]
    fn the_inverse_normal_is_the_inverse() {
        assert!((normal(0.99) - Z_99).abs() < 1e-8);
        for step in 1..1000 {
            let unit = f64::from(step) / 1000.0;
            assert!((phi(normal(unit)) - unit).abs() < 1e-8, "{unit}");
        }
    }

    /// The largest distance between the drawn and the true distribution (Kolmogorov and Smirnov), times the
    /// square root of the number of draws. Above 1.95 once in 1,000 seeds.
    fn distance(dist: &str, cdf: impl Fn(f64) -> f64) -> f64 {
        let dist: Dist = dist.parse().unwrap();
        let draw = crate::draw::Draw::new(7, "profile");
        let count = 20_000_u32;
        let mut times: Vec<u64> = (0..u64::from(count))
            .map(|n| dist.sample(draw.unit(crate::draw::Stream::Action, n)))
            .collect();
        times.sort_unstable();
        let total = f64::from(count);
        let largest = (0..count).zip(&times).map(|(rank, ns)| {
            let at = cdf(*ns as f64);
            let below = (at - f64::from(rank) / total).abs();
            below.max((f64::from(rank + 1) / total - at).abs())
        });
        largest.fold(0.0, f64::max) * total.sqrt()
    }

    #[test]
    fn draws_fit_their_distribution() {
        let ms = 1e6;
        let uniform = |x: f64| ((x - ms) / (4.0 * ms)).clamp(0.0, 1.0);
        let sigma = 20_f64.ln() / Z_99;
        let table = |x: f64| match x / ms {
            x if x < 2.0 => 0.5 * (x - 1.0),
            x => 0.5 + 0.5 * (x - 2.0) / 18.0,
        };
        let found = [
            ("uniform", distance("uniform:1ms/5ms", uniform)),
            (
                "normal",
                distance("normal:50ms/5ms", |x| phi((x / ms - 50.0) / 5.0)),
            ),
            (
                "lognormal",
                distance("lognormal:1ms/20ms", |x| phi((x / ms).ln() / sigma)),
            ),
            (
                "exponential",
                distance("exponential:2ms", |x| 1.0 - (-x / (2.0 * ms)).exp()),
            ),
            (
                "pareto",
                distance("pareto:1ms/2.5", |x| 1.0 - (ms / x).powf(2.5)),
            ),
            ("table", distance("table:0=1ms/50=2ms/100=20ms", table)),
        ];
        for (name, distance) in found {
            assert!(distance < 1.95, "{name}: {distance}");
        }
        // The measure tells a wrong distribution.
        assert!(distance("normal:50ms/5ms", |x| phi((x / ms - 50.0) / 5.2)) > 1.95);
    }

    #[test]
    fn no_draw_is_out_of_bounds() {
        for dist in [
            "fixed:2ms",
            "uniform:1ms/1h",
            "normal:1ns/1h",
            "lognormal:1ns/1h",
            "exponential:1h",
            "pareto:1h/0.1",
            "table:0=0ns/100=1h",
        ] {
            let dist: Dist = dist.parse().unwrap();
            for unit in [0.0, f64::MIN_POSITIVE, 0.5, 1.0 - f64::EPSILON, 1.0] {
                assert!(dist.sample(unit) <= MAX_PARK_NS);
            }
        }
    }
}
