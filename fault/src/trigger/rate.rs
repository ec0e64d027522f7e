//! How often a rule may fire in a time.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::notation::in_words;
use crate::span::{format_ns, parse_ns};

/// So many firings in so much time. In words and JSON `10/s`, `1/100ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u64,
    /// In how many nanoseconds, at least 1.
    pub per_ns: u64,
}

in_words!(Rate => "a rate such as \"10/s\" or \"1/100ms\"");

const EXPECTED: &str = "a rate such as 10/s or 1/100ms";

impl Rate {
    /// The time between two firings, in nanoseconds.
    pub(crate) const fn gap_ns(self) -> u64 {
        self.per_ns / if self.count == 0 { 1 } else { self.count }
    }

    pub(crate) const fn is_sound(self) -> bool {
        self.count > 0 && self.per_ns > 0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = format_ns(self.per_ns);
        // One second is written `s`, as everybody says it.
        let span = match span.strip_prefix('1') {
            Some(unit) if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => unit,
            _ => &span,
        };
        write!(f, "{}/{span}", self.count)
    }
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |at: usize| ValueError::new(at, &text[at..], EXPECTED);
        let (count, span) = text.split_once('/').ok_or_else(|| wrong(0))?;
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let number = count
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| wrong(0))?;
        let at = count.len() + 1;
        let per_ns = match span.starts_with(|c: char| c.is_ascii_digit()) {
            true => parse_ns(span).map_err(|e| e.shifted(at))?,
            false => parse_ns(&format!("1{span}")).map_err(|_| wrong(at))?,
        };
        let rate = Self {
            count: number,
            per_ns,
        };
        match rate.is_sound() {
            true => Ok(rate),
            false => Err(ValueError::new(
                0,
                text,
                "at least one firing in at least 1ns",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, shown, gap_ns) in [
            ("10/s", "10/s", 100_000_000),
            ("10/1s", "10/s", 100_000_000),
            ("1/100ms", "1/100ms", 100_000_000),
            ("3/m", "3/m", 20_000_000_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.to_string().as_str(), rate.gap_ns()), (shown, gap_ns));
        }
        for (text, at) in [
            ("", 0),
            ("10", 0),
            ("x/s", 0),
            ("0/s", 0),
            ("10/", 3),
            ("10/2", 4),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap_err().at, at, "{text}");
        }
    }
}
