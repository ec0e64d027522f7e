//! Which bytes a request's data loses, and to what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;
use crate::length::Bytes;
use crate::notation::{in_words, maybe_prob, names};
use crate::op::Direction;

/// Damage to the data of a request. Only sectors that the rule selects are damaged.
///
/// How much: at so many drawn `places`, or at the rate `ber`, or at the fixed place `at`. Without any of
/// these at one drawn place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Corruption {
    /// Data of which direction; `both` if absent.
    #[serde(default, skip_serializing_if = "Side::is_default")]
    pub on: Side,
    /// What becomes of the damaged places: `flip`, `stuck0`, `stuck1` (bits), `zero`, `random`, `set:HH`,
    /// `xor:HH` (bytes), `swap:BYTES` (neighbouring pieces change places); `flip` if absent.
    #[serde(default, skip_serializing_if = "Kind::is_default")]
    #[schema(value_type = String, default = "flip", example = "xor:80")]
    pub kind: Kind,
    /// How many places in a request; with `stuck0` and `stuck1` in each sector. 1 to 4096. `bits` and
    /// `bytes` are taken for `places`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        alias = "bits",
        alias = "bytes"
    )]
    #[schema(minimum = 1, maximum = 4096)]
    pub places: Option<u32>,
    /// Chance of each bit (of each byte, for kinds of bytes) to be a place, above 0 and at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_prob")]
    #[schema(minimum = 0, maximum = 1)]
    pub ber: Option<f64>,
    /// A fixed place instead: `START+LENGTH` or `START`, in bytes from the first sector of the rule's
    /// `lba`, or of the device without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "512+16")]
    pub at: Option<Window>,
    /// How many neighbouring bits (bytes, pieces) are damaged from each place on; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65536)]
    pub burst: Option<u32>,
}

/// Data of which direction is damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What the device gives (reads).
    Destination,
    /// What the device is given (writes).
    Source,
    /// Both.
    #[default]
    Both,
}

names!(Side { Destination = "destination", Source = "source", Both = "both" });

impl Side {
    /// Whether data of this direction is meant.
    #[must_use]
    pub const fn includes(self, direction: Direction) -> bool {
        match direction {
            Direction::Destination => matches!(self, Self::Destination | Self::Both),
            Direction::Source => matches!(self, Self::Source | Self::Both),
            Direction::None => false,
        }
    }
}

/// What becomes of a damaged place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// The bit is turned.
    #[default]
    Flip,
    /// The bit is 0, always the same bit.
    Stuck0,
    /// The bit is 1, always the same bit.
    Stuck1,
    /// The byte is 0.
    Zero,
    /// The byte is drawn.
    Random,
    /// The byte is this one.
    Set(u8),
    /// The byte is changed by exclusive or with this one.
    Xor(u8),
    /// Two neighbouring pieces of so many bytes change places.
    Swap(u32),
}

in_words!(Kind => "a kind of damage: flip, stuck0, stuck1, zero, random, set:HH, xor:HH or swap:BYTES");

const KIND: &str = "flip, stuck0, stuck1, zero, random, set:HH, xor:HH or swap:BYTES, HH two digits \
                    from 00 to ff";

impl Kind {
    /// Whether this is the kind that holds if nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether places are bits rather than bytes or pieces.
    pub(crate) const fn is_of_bits(self) -> bool {
        matches!(self, Self::Flip | Self::Stuck0 | Self::Stuck1)
    }

    /// Whether the places belong to the medium: the same sector always has the same ones.
    pub(crate) const fn is_stuck(self) -> bool {
        matches!(self, Self::Stuck0 | Self::Stuck1)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip => f.write_str("flip"),
            Self::Stuck0 => f.write_str("stuck0"),
            Self::Stuck1 => f.write_str("stuck1"),
            Self::Zero => f.write_str("zero"),
            Self::Random => f.write_str("random"),
            Self::Set(byte) => write!(f, "set:{byte:02x}"),
            Self::Xor(byte) => write!(f, "xor:{byte:02x}"),
            Self::Swap(bytes) => write!(f, "swap:{}", Bytes(u64::from(*bytes))),
        }
    }
}

impl FromStr for Kind {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let byte = |at: usize, hex: &str| {
            let digits = hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = u8::from_str_radix(hex, 16).ok().filter(|_| digits);
            byte.ok_or_else(|| ValueError::new(at, hex, "two digits from 00 to ff"))
        };
        Ok(match text.split_once(':') {
            None => match text {
                "flip" => Self::Flip,
                "stuck0" => Self::Stuck0,
                "stuck1" => Self::Stuck1,
                "zero" => Self::Zero,
                "random" => Self::Random,
                _ => return Err(ValueError::new(0, text, KIND)),
            },
            Some(("set", hex)) => Self::Set(byte(4, hex)?),
            Some(("xor", hex)) => match byte(4, hex)? {
                0 => return Err(ValueError::new(4, hex, "01 to ff: 00 changes nothing")),
                byte => Self::Xor(byte),
            },
            Some(("swap", size)) => {
                let bytes = size.parse().map_err(|e: ValueError| e.shifted(5))?;
                let Bytes(bytes) = bytes;
                let bytes = u32::try_from(bytes)
                    .ok()
                    .filter(|b| (1..=1 << 20).contains(b));
                let expected = "pieces of 1 byte to 1M";
                Self::Swap(bytes.ok_or_else(|| ValueError::new(5, size, expected))?)
            }
            Some(_) => return Err(ValueError::new(0, text, KIND)),
        })
    }
}

/// A fixed place: bytes from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Offset of the first byte.
    pub start: u64,
    /// How many bytes, at least 1.
    pub bytes: u64,
}

in_words!(Window => "a place in bytes: START+LENGTH or START");

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            1 => write!(f, "{}", self.start),
            bytes => write!(f, "{}+{bytes}", self.start),
        }
    }
}

impl FromStr for Window {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (start, length) = match text.split_once('+') {
            Some((start, length)) => (start, Some(length)),
            None => (text, None),
        };
        let at = start.len() + 1;
        let Bytes(start) = start.parse()?;
        let Bytes(bytes) = length
            .map_or(Ok(Bytes(1)), str::parse)
            .map_err(|e| e.shifted(at))?;
        if bytes == 0 || start.checked_add(bytes).is_none() {
            let expected = "a length of at least one byte, that ends before 2^64";
            return Err(ValueError::new(at, length.unwrap_or_default(), expected));
        }
        Ok(Self { start, bytes })
    }
}
