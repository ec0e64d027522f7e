//! Ranges of sectors in words: `2048+8`, `0..1M`, `1234`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ValueError;
use crate::sector::{SECTOR_BYTES, Sector};

const EXPECTED: &str = "a range of sectors: START+LENGTH, START..END (END not included) or one SECTOR; \
                        numbers are 512-byte sectors, or bytes with a suffix B, K, M, G";

/// Sectors from `start` up to, not including, `end`. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectorRange {
    start: Sector,
    end: Sector,
}

impl SectorRange {
    /// The range `start..end`, or `None` if it has no sector.
    #[must_use]
    pub fn new(start: Sector, end: Sector) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Its first sector.
    #[must_use]
    pub const fn start(&self) -> Sector {
        self.start
    }

    /// The sector after its last one.
    #[must_use]
    pub const fn end(&self) -> Sector {
        self.end
    }

    /// Its length in sectors, at least 1.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.end.0 - self.start.0
    }
}

impl fmt::Display for SectorRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sectors() {
            1 => write!(f, "{}", self.start),
            sectors => write!(f, "{}+{sectors}", self.start),
        }
    }
}

impl FromStr for SectorRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some((start, length)) = text.split_once('+') {
            let at = start.len() + 1;
            let start = parse_sectors(start)?;
            let sectors = parse_sectors(length).map_err(|e| e.shifted(at))?;
            let end = start.checked_add(sectors).ok_or_else(|| too_far(text))?;
            return Self::new(Sector(start), Sector(end))
                .ok_or_else(|| ValueError::new(at, length, "a length of at least one sector"));
        }
        if let Some((start, end)) = text.split_once("..") {
            let at = start.len() + 2;
            let first = parse_sectors(start)?;
            let last = parse_sectors(end).map_err(|e| e.shifted(at))?;
            return Self::new(Sector(first), Sector(last)).ok_or_else(|| {
                ValueError::new(
                    at,
                    end,
                    format!("an end after {start}, which it does not include"),
                )
            });
        }
        let sector = parse_sectors(text)?;
        let end = sector.checked_add(1).ok_or_else(|| too_far(text))?;
        Self::new(Sector(sector), Sector(end)).ok_or_else(|| too_far(text))
    }
}

fn too_far(text: &str) -> ValueError {
    ValueError::new(0, text, "a range that ends before sector 2^64")
}

/// Reads a number of sectors, or of bytes with a suffix, into sectors.
fn parse_sectors(text: &str) -> Result<u64, ValueError> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| ValueError::new(0, text, EXPECTED))?;
    let unit_bytes: u64 = match suffix {
        "" => return Ok(number),
        "B" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(ValueError::new(digits, suffix, EXPECTED)),
    };
    let bytes = number
        .checked_mul(unit_bytes)
        .ok_or_else(|| too_far(text))?;
    if !bytes.is_multiple_of(SECTOR_BYTES) {
        return Err(ValueError::new(
            0,
            text,
            "a multiple of 512 bytes, the size of a sector",
        ));
    }
    Ok(bytes / SECTOR_BYTES)
}

/// One range or several, in the order given: `0+8|2048..2056`. Never empty. A string in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ranges(Box<[SectorRange]>);

impl Ranges {
    /// The set of these ranges, or `None` without any.
    #[must_use]
    pub fn new(ranges: Vec<SectorRange>) -> Option<Self> {
        (!ranges.is_empty()).then(|| Self(ranges.into()))
    }

    /// The ranges, at least one.
    pub fn iter(&self) -> impl Iterator<Item = SectorRange> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.iter().enumerate() {
            let bar = if position == 0 { "" } else { "|" };
            write!(f, "{bar}{range}")?;
        }
        Ok(())
    }
}

impl FromStr for Ranges {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut ranges = Vec::new();
        let mut at = 0;
        for word in text.split('|') {
            ranges.push(word.parse().map_err(|e: ValueError| e.shifted(at))?);
            at += word.len() + 1;
        }
        Ok(Self(ranges.into()))
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_range_is_read() {
        for (text, shown) in [
            ("2048+8", "2048+8"),
            ("2048..2056", "2048+8"),
            ("1234", "1234"),
            ("1M+4K", "2048+8"),
            ("0B+512B", "0"),
            ("0..1G", "0+2097152"),
            ("0+8|16..24", "0+8|16+8"),
        ] {
            assert_eq!(text.parse::<Ranges>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_where_it_goes_wrong() {
        for (text, at) in [
            ("", 0),
            ("x", 0),
            ("8+0", 2),
            ("8..8", 3),
            ("8..4", 3),
            ("8+", 2),
            ("+8", 0),
            ("100B", 0),
            ("8+4Q", 3),
            ("0+8|", 4),
            ("18446744073709551615", 0),
            ("18446744073709551615+2", 0),
            ("18446744073709551615G", 0),
        ] {
            assert_eq!(text.parse::<Ranges>().unwrap_err().at, at, "{text}");
        }
    }
}
