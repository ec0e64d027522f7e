//! Lengths in sectors and in bytes, in words: `8`, `4K`, `1G`.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::notation::in_words;
use crate::sector::SECTOR_BYTES;

const UNITS: [(&str, u64); 5] = [
    ("B", 1),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
];

/// A length in sectors: a number of 512-byte sectors, or bytes with a suffix `B`, `K`, `M`, `G`, `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sectors(pub u64);

/// A length in bytes: a number, or one with a suffix `B`, `K`, `M`, `G`, `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

in_words!(
    Sectors => "a length: a number of sectors, or a string of bytes with a suffix such as \"4K\"",
    Bytes => "a number of bytes, or a string with a suffix such as \"64K\"",
);

impl Sectors {
    /// The same in bytes, at most 2^64 - 1.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(SECTOR_BYTES)
    }
}

impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Sectors {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXPECTED: &str = "a number of 512-byte sectors, or bytes with a suffix B, K, M, G, T";
        let (number, unit) = split(text, EXPECTED)?;
        let Some(unit_bytes) = unit else {
            return Ok(Self(number));
        };
        let bytes = number.checked_mul(unit_bytes);
        let bytes = bytes.ok_or_else(|| ValueError::new(0, text, "less than 2^64 bytes"))?;
        match bytes.is_multiple_of(SECTOR_BYTES) {
            true => Ok(Self(bytes / SECTOR_BYTES)),
            false => Err(ValueError::new(
                0,
                text,
                "a multiple of 512 bytes, the size of a sector",
            )),
        }
    }
}

/// The largest unit that needs no fraction, which reads back as it was.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit_bytes: u64| self.0 != 0 && self.0.is_multiple_of(unit_bytes);
        match UNITS[1..].iter().rev().find(|(_, bytes)| fits(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Bytes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXPECTED: &str = "a number of bytes, or one with a suffix B, K, M, G, T";
        let (number, unit) = split(text, EXPECTED)?;
        let bytes = number.checked_mul(unit.unwrap_or(1));
        bytes
            .map(Self)
            .ok_or_else(|| ValueError::new(0, text, "less than 2^64 bytes"))
    }
}

/// The number, and the bytes of its unit if it has one.
fn split(text: &str, expected: &str) -> Result<(u64, Option<u64>), ValueError> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number = number
        .parse()
        .map_err(|_| ValueError::new(0, text, expected))?;
    if suffix.is_empty() {
        return Ok((number, None));
    }
    match UNITS.iter().find(|(name, _)| *name == suffix) {
        Some((_, bytes)) => Ok((number, Some(*bytes))),
        None => Err(ValueError::new(digits, suffix, expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, sectors) in [("8", 8), ("4K", 8), ("512B", 1), ("1G", 1 << 21), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Sectors(sectors)), "{text}");
        }
        for (text, shown) in [
            ("8", "8"),
            ("4096", "4K"),
            ("100B", "100"),
            ("0", "0"),
            ("2048M", "2G"),
        ] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused_where_it_goes_wrong() {
        for (text, at) in [("", 0), ("x", 0), ("4Q", 1), ("100B", 0), ("-1", 0)] {
            assert_eq!(text.parse::<Sectors>().unwrap_err().at, at, "{text}");
        }
        assert!("99999999999T".parse::<Bytes>().is_err());
        assert!("99999999999T".parse::<Sectors>().is_err());
    }
}
