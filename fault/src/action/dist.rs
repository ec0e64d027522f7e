//! How long a delay lasts: a distribution of times.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::MAX_PARK_NS;
use crate::error::ValueError;
use crate::span::{format_ns, parse_ns};

/// The most points that a table has.
pub const MAX_POINTS: usize = 64;

/// How long a delay lasts, drawn anew for each request. No draw is longer than an hour.
///
/// In words and JSON a kind and its parameters: `fixed:2ms` or just `2ms`, `uniform:1ms/5ms`,
/// `normal:MEAN/SD`, `lognormal:P50/P99`, `exponential:MEAN`, `pareto:LEAST/SHAPE`,
/// `table:0=1ms/50=2ms/100=20ms`.
#[derive(Debug, Clone, PartialEq)]
pub enum Dist {
    /// Always so many nanoseconds.
    Fixed(u64),
    /// Anything from the first to the second, in nanoseconds, with the same chance.
    Uniform(u64, u64),
    /// The bell curve; what would be below 0 is 0.
    Normal {
        /// The mean, in nanoseconds.
        mean_ns: u64,
        /// The standard deviation, in nanoseconds.
        sd_ns: u64,
    },
    /// Its logarithm is the bell curve: a long tail, as disks have it.
    Lognormal {
        /// The median, in nanoseconds.
        p50_ns: u64,
        /// What 99 of 100 stay below, in nanoseconds.
        p99_ns: u64,
    },
    /// Memoryless.
    Exponential(u64),
    /// A power law above a least time.
    Pareto {
        /// The least, in nanoseconds.
        least_ns: u64,
        /// The shape: the smaller, the heavier the tail.
        shape: f64,
    },
    /// Percentiles as measured, straight lines between them.
    Table(Box<[Point]>),
}

/// One percentile of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Of 100, so many are not longer, 0 to 100.
    pub percent: f64,
    /// The time, in nanoseconds.
    pub ns: u64,
}

impl Serialize for Dist {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dist {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistVisitor)
    }
}

/// A bare number is nanoseconds, which a string must say.
struct DistVisitor;

impl Visitor<'_> for DistVisitor {
    type Value = Dist;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a delay: a string such as \"2ms\" or \"lognormal:1ms/20ms\", or a number of nanoseconds",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dist, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, ns: u64) -> Result<Dist, E> {
        Ok(Dist::Fixed(ns))
    }

    fn visit_i64<E: serde::de::Error>(self, ns: i64) -> Result<Dist, E> {
        let expected = u64::try_from(ns).map(Dist::Fixed);
        expected.map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(ns), &self))
    }
}

const EXPECTED: &str = "a time such as 2ms, or fixed:TIME, uniform:LEAST/MOST, normal:MEAN/SD, \
                        lognormal:P50/P99, exponential:MEAN, pareto:LEAST/SHAPE or \
                        table:PERCENT=TIME/...";

impl Dist {
    /// What is wrong with its parameters, and what would be right.
    pub(crate) fn fault(&self) -> Option<(String, String)> {
        let most = format_ns(MAX_PARK_NS);
        let too_long = |ns: u64| ns > MAX_PARK_NS;
        let (problem, expected) = match self {
            Self::Fixed(ns) | Self::Exponential(ns) if *ns == 0 || too_long(*ns) => (
                format!("found {}", format_ns(*ns)),
                format!("a time from 1ns to {most}"),
            ),
            Self::Uniform(low, high) if low > high || *high == 0 || too_long(*high) => (
                format!("found {} to {}", format_ns(*low), format_ns(*high)),
                format!("a least time and one that is not less, at most {most}"),
            ),
            Self::Normal { mean_ns, sd_ns }
                if *mean_ns == 0 || too_long((*mean_ns).max(*sd_ns)) =>
            {
                (
                    format!("found {} and {}", format_ns(*mean_ns), format_ns(*sd_ns)),
                    format!("a mean from 1ns and a deviation, at most {most}"),
                )
            }
            Self::Lognormal { p50_ns, p99_ns }
                if *p50_ns == 0 || p99_ns < p50_ns || too_long(*p99_ns) =>
            {
                (
                    format!("found {} and {}", format_ns(*p50_ns), format_ns(*p99_ns)),
                    format!(
                        "a median from 1ns and a 99th percentile that is not less, at most {most}"
                    ),
                )
            }
            Self::Pareto { least_ns, shape }
                if *least_ns == 0 || too_long(*least_ns) || !(0.1..=1000.0).contains(shape) =>
            {
                (
                    format!("found {} and {shape}", format_ns(*least_ns)),
                    format!("a least time from 1ns to {most} and a shape from 0.1 to 1000"),
                )
            }
            Self::Table(points) => return table_fault(points),
            _ => return None,
        };
        Some((problem, expected))
    }
}

fn table_fault(points: &[Point]) -> Option<(String, String)> {
    let rises = points
        .windows(2)
        .all(|pair| pair[0].percent < pair[1].percent && pair[0].ns <= pair[1].ns);
    let ends = points.first().is_some_and(|point| point.percent == 0.0)
        && points.last().is_some_and(|point| point.percent == 100.0);
    let fits = points.len() <= MAX_POINTS && points.iter().all(|point| point.ns <= MAX_PARK_NS);
    if rises && ends && fits {
        return None;
    }
    Some((
        "the points are no table".to_owned(),
        format!(
            "2 to {MAX_POINTS} points, from percent 0 to 100, both rising, no time above {}",
            format_ns(MAX_PARK_NS)
        ),
    ))
}

impl fmt::Display for Dist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = |f: &mut fmt::Formatter<'_>, kind: &str, a: u64, b: u64| {
            write!(f, "{kind}:{}/{}", format_ns(a), format_ns(b))
        };
        match self {
            Self::Fixed(ns) => write!(f, "fixed:{}", format_ns(*ns)),
            Self::Uniform(low, high) => two(f, "uniform", *low, *high),
            Self::Normal { mean_ns, sd_ns } => two(f, "normal", *mean_ns, *sd_ns),
            Self::Lognormal { p50_ns, p99_ns } => two(f, "lognormal", *p50_ns, *p99_ns),
            Self::Exponential(mean) => write!(f, "exponential:{}", format_ns(*mean)),
            Self::Pareto { least_ns, shape } => {
                write!(f, "pareto:{}/{shape}", format_ns(*least_ns))
            }
            Self::Table(points) => {
                let mut before = "table:";
                for point in points {
                    write!(f, "{before}{}={}", point.percent, format_ns(point.ns))?;
                    before = "/";
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Dist {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let dist = read(text)?;
        match dist.fault() {
            None => Ok(dist),
            Some((_, expected)) => {
                let at = text.find(':').map_or(0, |colon| colon + 1);
                Err(ValueError::new(at, &text[at..], expected))
            }
        }
    }
}

fn read(text: &str) -> Result<Dist, ValueError> {
    let Some((kind, rest)) = text.split_once(':') else {
        return match text.starts_with(|c: char| c.is_ascii_digit()) {
            true => parse_ns(text).map(Dist::Fixed),
            false => Err(ValueError::new(0, text, EXPECTED)),
        };
    };
    let at = kind.len() + 1;
    let shift = |error: ValueError| error.shifted(at);
    let one = || parse_ns(rest).map_err(shift);
    let two = || -> Result<(u64, u64), ValueError> {
        let (first, second, at_second) = halves(rest).map_err(shift)?;
        let first = parse_ns(first).map_err(shift)?;
        Ok((
            first,
            parse_ns(second).map_err(|e| shift(e.shifted(at_second)))?,
        ))
    };
    Ok(match kind {
        "fixed" => Dist::Fixed(one()?),
        "exponential" | "exp" => Dist::Exponential(one()?),
        "uniform" => two().map(|(low, high)| Dist::Uniform(low, high))?,
        "normal" => two().map(|(mean_ns, sd_ns)| Dist::Normal { mean_ns, sd_ns })?,
        "lognormal" => two().map(|(p50_ns, p99_ns)| Dist::Lognormal { p50_ns, p99_ns })?,
        "pareto" => pareto(rest).map_err(shift)?,
        "table" => table(rest).map_err(shift)?,
        _ => return Err(ValueError::new(0, text, EXPECTED)),
    })
}

fn halves(text: &str) -> Result<(&str, &str, usize), ValueError> {
    match text.split_once('/') {
        Some((first, second)) => Ok((first, second, first.len() + 1)),
        None => Err(ValueError::new(0, text, "two values with `/` between them")),
    }
}

fn pareto(text: &str) -> Result<Dist, ValueError> {
    let (least, shape, at) = halves(text)?;
    let least_ns = parse_ns(least)?;
    let shape = shape.parse().ok().filter(|shape: &f64| shape.is_finite());
    let shape = shape.ok_or_else(|| ValueError::new(at, &text[at..], "a shape such as 1.5"))?;
    Ok(Dist::Pareto { least_ns, shape })
}

fn table(text: &str) -> Result<Dist, ValueError> {
    let mut points = Vec::new();
    let mut at = 0;
    for word in text.split('/') {
        let expected = "PERCENT=TIME, such as 50=2ms";
        let wrong = || ValueError::new(at, word, expected);
        let (percent, time) = word.split_once('=').ok_or_else(wrong)?;
        let value = percent.parse::<f64>().ok();
        let value = value
            .filter(|value| (0.0..=100.0).contains(value))
            .ok_or_else(wrong)?;
        let ns = parse_ns(time).map_err(|e| e.shifted(at + percent.len() + 1))?;
        points.push(Point {
            percent: value.abs(),
            ns,
        });
        at += word.len() + 1;
    }
    Ok(Dist::Table(points.into()))
}
