//! Sizes and times, as people write and read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use api::fault::{ValueError, format_ns, parse_ns};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Suffixes with their shift; powers of 1024, as fio and truncate(1) have them.
const SUFFIXES: [(char, u32); 5] = [('B', 0), ('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// A number of bytes, written `4096`, `4K`, `256M`, `1G` or `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A span of time, written `500ms`, `10s`, or `10` for seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(seconds) = text.parse::<u32>() {
            return Ok(Self(Duration::from_secs(seconds.into())));
        }
        parse_ns(text).map(|ns| Self(Duration::from_nanos(ns)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// As rules write it: `1500ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_ns(
            u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX),
        ))
    }
}

/// A size that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: found {found}, expected {EXPECTED}")]
pub(crate) struct BadSize {
    /// Counted from 1, in characters.
    column: usize,
    found: String,
}

const EXPECTED: &str =
    "a whole number of bytes below 2^64, or with a suffix K, M, G or T, such as 256M";

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = |at: usize| {
            let (before, found) = text.split_at_checked(at).unwrap_or((text, ""));
            let found = if found.is_empty() {
                "nothing".to_owned()
            } else {
                format!("`{found}`")
            };
            BadSize {
                column: before.chars().count() + 1,
                found,
            }
        };
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        if number.is_empty() {
            return Err(bad(0));
        }
        let shift = match suffix {
            "" => 0,
            _ => shift(suffix).ok_or_else(|| bad(digits))?,
        };
        let number: u64 = number.parse().map_err(|_| bad(0))?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| bad(0))
    }
}

/// The shift of `K`, `k`, `KB` or `KiB`.
fn shift(suffix: &str) -> Option<u32> {
    let mut chars = suffix.chars();
    let unit = chars.next()?.to_ascii_uppercase();
    let (_, shift) = SUFFIXES.into_iter().find(|(name, _)| *name == unit)?;
    let rest_fits = match chars.as_str() {
        "" => true,
        "B" | "b" | "iB" | "ib" => shift > 0,
        _ => false,
    };
    rest_fits.then_some(shift)
}

/// The largest unit that needs no fraction: `256 MiB`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let unit = units
            .into_iter()
            .find(|(shift, _)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((shift, name)) => f.pad(&format!("{} {name}", self.0 >> shift)),
            None => f.pad(&format!("{} B", self.0)),
        }
    }
}

/// About how many bytes, with three digits: `1.21 GiB`.
#[expect(clippy::cast_precision_loss, reason = "only three digits are shown")]
pub(crate) fn about(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift != 0) {
        Some((shift, name)) => {
            let value = bytes as f64 / (1_u64 << shift) as f64;
            let digits = if value < 9.995 {
                2
            } else {
                usize::from(value < 99.95)
            };
            format!("{value:.digits$} {name}")
        }
        None => format!("{bytes} B"),
    }
}

/// About how long, with three digits: `1.21 s`.
#[expect(clippy::cast_precision_loss, reason = "only three digits are shown")]
pub(crate) fn about_ns(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match units.into_iter().find(|(length, _)| ns >= *length) {
        Some((length, name)) => {
            let value = ns as f64 / length as f64;
            let digits = if value < 9.995 {
                2
            } else {
                usize::from(value < 99.95)
            };
            format!("{value:.digits$} {name}")
        }
        None => format!("{ns} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("4096", 4096),
            ("4K", 4096),
            ("4k", 4096),
            ("256M", 256 << 20),
            ("1GiB", 1 << 30),
            ("1gb", 1 << 30),
            ("2T", 2 << 40),
            ("512B", 512),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_located() {
        for (text, column, found) in [
            ("", 1, "nothing"),
            ("M", 1, "`M`"),
            ("-1M", 1, "`-1M`"),
            ("256X", 4, "`X`"),
            ("256MM", 4, "`MM`"),
            ("1.5G", 2, "`.5G`"),
            ("12 M", 3, "` M`"),
            ("1BB", 2, "`BB`"),
            ("5é", 2, "`é`"),
            ("99999999999999999999", 1, "`99999999999999999999`"),
            ("99999999T", 1, "`99999999T`"),
        ] {
            let error = text.parse::<Size>().unwrap_err();
            assert_eq!(
                (error.column, error.found.as_str()),
                (column, found),
                "{text}"
            );
        }
    }

    #[test]
    fn spans_are_read_and_a_bare_number_is_seconds() {
        for (text, ms, written) in [
            ("10", 10_000, "10s"),
            ("0", 0, "0ns"),
            ("1500ms", 1500, "1500ms"),
            ("1m", 60_000, "1m"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span(Duration::from_millis(ms)), "{text}");
            assert_eq!(span.to_string(), written);
        }
        for bad in ["", "s", "1.5s", "-1", "10 s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_times_are_written() {
        assert_eq!(Size(256 << 20).to_string(), "256 MiB");
        assert_eq!(Size(1536).to_string(), "1536 B");
        assert_eq!(Size(0).to_string(), "0 B");
        assert_eq!(about(1_300_000_000), "1.21 GiB");
        assert_eq!(about(99 << 20), "99.0 MiB");
        assert_eq!(about(1000), "1000 B");
        assert_eq!(about_ns(1_210_000_000), "1.21 s");
        assert_eq!(about_ns(45_600), "45.6 us");
        assert_eq!(about_ns(7), "7 ns");
    }
}
