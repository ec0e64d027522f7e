//! The normal and Student's distribution.

/// The most steps of the continued fraction; it needs a few dozen.
const STEPS: u32 = 300;
const SMALL: f64 = 1e-300;
/// Halvings that leave nothing of a double's precision.
const HALVINGS: u32 = 200;

/// How likely a value of Student's distribution with `freedom` degrees of freedom is at most `value`.
#[must_use]
pub fn student(value: f64, freedom: f64) -> f64 {
    let tail = 0.5 * beta(freedom / (freedom + value * value), freedom / 2.0, 0.5);
    if value > 0.0 { 1.0 - tail } else { tail }
}

/// The value that Student's distribution exceeds with probability `tail` (above 0, at most 1/2).
#[must_use]
pub fn student_above(tail: f64, freedom: f64) -> f64 {
    search(|value| 0.5 * beta(freedom / (freedom + value * value), freedom / 2.0, 0.5) - tail)
}

/// How likely a value of the normal distribution is at most `value`.
#[must_use]
pub fn normal(value: f64) -> f64 {
    // A regularised gamma function of 1/2 is what the error function is.
    let tail = 0.5 * upper_gamma_of_half(value * value / 2.0);
    if value > 0.0 { 1.0 - tail } else { tail }
}

/// The positive value where a falling function crosses 0.
fn search(falling: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while falling(high) > 0.0 && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if falling(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function `I_x(a, b)`, by its continued fraction (Lentz's method).
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta(1.0 - x, b, a);
    }
    let logarithm = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    logarithm.exp() * fraction(x, a, b) / a
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < SMALL { SMALL } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..=STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let change = d * c;
        result *= change;
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    result
}

/// The regularised upper gamma function `Q(1/2, x)`: by its series below 1.5, else by its fraction.
fn upper_gamma_of_half(x: f64) -> f64 {
    let scale = (-x + 0.5 * x.max(SMALL).ln() - ln_gamma(0.5)).exp();
    if x < 1.5 {
        let (mut term, mut sum) = (2.0, 2.0);
        for step in 1..=STEPS {
            term *= x / (0.5 + f64::from(step));
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    let mut b = x + 0.5;
    let (mut c, mut d) = (1.0 / SMALL, 1.0 / b);
    let mut result = d;
    for step in 1..=STEPS {
        let m = f64::from(step);
        let factor = -m * (m - 0.5);
        b += 2.0;
        d = 1.0 / (factor * d + b);
        c = b + factor / c;
        result *= d * c;
    }
    scale * result
}

/// The logarithm of the gamma function, by Stirling's series above 10.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From printed tables.
    #[test]
    fn quantiles_of_the_tables() {
        for (freedom, tail, value) in [
            (1.0, 0.025, 12.706),
            (2.0, 0.025, 4.303),
            (4.0, 0.025, 2.776),
            (4.0, 0.05, 2.132),
            (30.0, 0.025, 2.042),
            (1000.0, 0.025, 1.962),
        ] {
            let found = student_above(tail, freedom);
            assert!((found - value).abs() < 6e-4, "{freedom}: {found}");
            assert!((student(found, freedom) - (1.0 - tail)).abs() < 1e-9);
        }
        for (value, part) in [
            (0.0, 0.5),
            (1.959_964, 0.975),
            (-1.0, 0.158_655_25),
            (3.0, 0.998_650_1),
        ] {
            assert!(
                (normal(value) - part).abs() < 1e-7,
                "{value}: {}",
                normal(value)
            );
        }
    }
}
