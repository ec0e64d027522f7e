//! How a request is cut into parts, and which of them reach the medium.

use std::fmt;
use std::str::FromStr;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::effect::MAX_PARTS;
use crate::Status;
use crate::error::ValueError;
use crate::length::Bytes;
use crate::notation::in_words;

/// A write of which only some parts reach the medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Torn {
    /// How many equal parts the request is cut into, 1 to 16; not together with `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 16)]
    pub parts: Option<u16>,
    /// Lengths of the parts in bytes, from the first on, at most 15; what is left is the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u32>>,
    /// Which parts reach the medium: their numbers, from 1, joined by `+`, or `none` or `random`; a list
    /// of numbers is taken too.
    #[schema(value_type = String, example = "1+3")]
    pub persist: Persist,
    /// Where the cuts may lie: `byte`, `sector`, `block` (the logical block) or a number of bytes;
    /// `sector` if absent.
    #[serde(default, skip_serializing_if = "Unit::is_default")]
    #[schema(value_type = String, default = "sector")]
    pub unit: Unit,
    /// The error the request fails with; it succeeds if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Which parts of a request reach the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persist {
    /// These: bit n stands for part n + 1.
    Parts(u16),
    /// Each with a chance of one half, by the rule's draw.
    Random,
}

const PERSIST: &str = "numbers of parts from 1 to 16 joined by `+`, such as 1+3, or none or random";

impl Persist {
    fn with(self, number: u64) -> Option<Self> {
        let bit = u32::try_from(number.checked_sub(1)?).ok()?;
        let mask = 1_u16
            .checked_shl(bit)
            .filter(|_| bit < u32::from(MAX_PARTS))?;
        match self {
            Self::Parts(parts) => Some(Self::Parts(parts | mask)),
            Self::Random => None,
        }
    }

    /// The highest part named, from 1; 0 without any.
    pub(crate) const fn highest(self) -> u32 {
        match self {
            Self::Parts(parts) => u16::BITS - parts.leading_zeros(),
            Self::Random => 0,
        }
    }
}

impl fmt::Display for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match self {
            Self::Random => return f.write_str("random"),
            Self::Parts(0) => return f.write_str("none"),
            Self::Parts(parts) => *parts,
        };
        let mut plus = "";
        for number in (1..=MAX_PARTS).filter(|number| parts >> (number - 1) & 1 == 1) {
            write!(f, "{plus}{number}")?;
            plus = "+";
        }
        Ok(())
    }
}

impl FromStr for Persist {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "random" => return Ok(Self::Random),
            "none" => return Ok(Self::Parts(0)),
            _ => {}
        }
        let mut persist = Self::Parts(0);
        let mut at = 0;
        for word in text.split('+') {
            let with = word.parse().ok().and_then(|number| persist.with(number));
            persist = with.ok_or_else(|| ValueError::new(at, word, PERSIST))?;
            at += word.len() + 1;
        }
        Ok(persist)
    }
}

impl Serialize for Persist {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Persist {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PersistVisitor)
    }
}

struct PersistVisitor;

impl<'de> Visitor<'de> for PersistVisitor {
    type Value = Persist;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PERSIST)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Persist, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Persist, A::Error> {
        let mut persist = Persist::Parts(0);
        while let Some(number) = numbers.next_element::<u64>()? {
            persist = persist.with(number).ok_or_else(|| {
                serde::de::Error::custom(ValueError::new(0, &number.to_string(), PERSIST))
            })?;
        }
        Ok(persist)
    }
}

/// Where a request may be cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// Anywhere.
    Byte,
    /// Between sectors of 512 bytes.
    #[default]
    Sector,
    /// Between logical blocks of the device.
    Block,
    /// Between so many bytes, 1 to 1 MiB.
    Bytes(u32),
}

in_words!(Unit => "where cuts may lie: byte, sector, block or a number of bytes");

/// The largest unit that is accepted.
const MAX_UNIT_BYTES: u32 = 1 << 20;

impl Unit {
    /// Whether cuts lie between sectors, which holds if nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Its length in bytes on a device with this logical block; at least 1.
    pub(crate) fn bytes(self, logical_block_bytes: u32) -> u64 {
        u64::from(match self {
            Self::Byte => 1,
            Self::Sector => 512,
            Self::Block => logical_block_bytes.max(512),
            Self::Bytes(bytes) => bytes.max(1),
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte => f.write_str("byte"),
            Self::Sector => f.write_str("sector"),
            Self::Block => f.write_str("block"),
            Self::Bytes(bytes) => write!(f, "{}", Bytes(u64::from(*bytes))),
        }
    }
}

impl FromStr for Unit {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "byte" => return Ok(Self::Byte),
            "sector" => return Ok(Self::Sector),
            "block" => return Ok(Self::Block),
            _ => {}
        }
        let bytes = text.parse::<Bytes>().ok();
        let bytes = bytes.and_then(|bytes| u32::try_from(bytes.0).ok());
        bytes
            .filter(|bytes| (1..=MAX_UNIT_BYTES).contains(bytes))
            .map(Self::Bytes)
            .ok_or_else(|| ValueError::new(0, text, "byte, sector, block or 1 to 1M bytes"))
    }
}
