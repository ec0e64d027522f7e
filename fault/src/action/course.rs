//! Where and how an action acts: points, ways and places.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;
use crate::notation::{in_words, names};
use crate::range::SectorRange;
use crate::sector::Sector;

/// When a delay waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before anything else happens.
    #[default]
    Submit,
    /// After the medium, before the answer.
    Complete,
}

names!(Stage { Submit = "submit", Complete = "complete" });

/// Where the server dies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrashPoint {
    /// When the request has arrived, before the medium is asked.
    #[default]
    BeforeSubmit,
    /// When the medium has done it, before anything else.
    AfterMedia,
    /// Just before the answer.
    BeforeComplete,
    /// While some tags are fetched again and others are not.
    DuringFetch,
}

names!(CrashPoint {
    BeforeSubmit = "before_submit",
    AfterMedia = "after_media",
    BeforeComplete = "before_complete",
    DuringFetch = "during_fetch",
});

/// How a device goes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// At once; what is under way fails.
    #[default]
    Surprise,
    /// After what is under way has ended.
    Graceful,
}

names!(Removal { Surprise = "surprise", Graceful = "graceful" });

/// Which tag of the protection information is made wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PiTag {
    /// The checksum of the data.
    #[default]
    Guard,
    /// The application tag.
    App,
    /// The reference tag: the block's number.
    Ref,
}

names!(PiTag { Guard = "guard", App = "app", Ref = "ref" });

/// Where a misdirected request goes. Wherever it is, it ends up inside the device and on a logical block.
///
/// In words and JSON: `+SECTORS` or `-SECTORS` from where it belongs (around the end of the device),
/// `SECTOR`, or `random:RANGE`, or `random` on the whole device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many sectors further on.
    After(u64),
    /// So many sectors further back.
    Before(u64),
    /// To this sector.
    At(Sector),
    /// Somewhere in this range, or on the device.
    Random(Option<SectorRange>),
}

in_words!(Place => "where to: \"+SECTORS\", \"-SECTORS\", a sector, \"random:RANGE\" or \"random\"");

const PLACE: &str = "+SECTORS or -SECTORS from where it belongs, a SECTOR, random:RANGE or random";

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(sectors) => write!(f, "+{sectors}"),
            Self::Before(sectors) => write!(f, "-{sectors}"),
            Self::At(sector) => write!(f, "{sector}"),
            Self::Random(None) => f.write_str("random"),
            Self::Random(Some(range)) => write!(f, "random:{range}"),
        }
    }
}

impl FromStr for Place {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let distance = |word: &str| -> Result<u64, ValueError> {
            match word.parse().map_err(|e: ValueError| e.shifted(1))? {
                crate::length::Sectors(0) => Err(ValueError::new(1, word, "at least one sector")),
                sectors => Ok(sectors.0),
            }
        };
        if let Some(word) = text.strip_prefix('+') {
            return distance(word).map(Self::After);
        }
        if let Some(word) = text.strip_prefix('-') {
            return distance(word).map(Self::Before);
        }
        if text == "random" {
            return Ok(Self::Random(None));
        }
        if let Some(range) = text.strip_prefix("random:") {
            let range = range.parse().map_err(|e: ValueError| e.shifted(7))?;
            return Ok(Self::Random(Some(range)));
        }
        // The grammar of the survey writes an absolute place with `=`.
        let bare = text.strip_prefix('=').unwrap_or(text);
        match bare.parse::<crate::length::Sectors>() {
            Ok(sector) => Ok(Self::At(Sector(sector.0))),
            Err(error) if bare.starts_with(|c: char| c.is_ascii_digit()) => {
                Err(error.shifted(text.len() - bare.len()))
            }
            Err(_) => Err(ValueError::new(0, text, PLACE)),
        }
    }
}

/// What makes a bad sector good again.
///
/// In words and JSON: `write` (a write or a write of zeroes that covers it), `discard`, `never`, or
/// `after:N` (N failures).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Heal {
    /// Being written.
    #[default]
    Write,
    /// Being discarded.
    Discard,
    /// Nothing.
    Never,
    /// So many failed accesses, 1 to 254.
    After(u8),
}

in_words!(Heal => "what makes a bad sector good again: write, discard, never or after:N");

impl Heal {
    /// Whether this is what holds if nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Heal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write => f.write_str("write"),
            Self::Discard => f.write_str("discard"),
            Self::Never => f.write_str("never"),
            Self::After(failures) => write!(f, "after:{failures}"),
        }
    }
}

impl FromStr for Heal {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "write" => Ok(Self::Write),
            None if text == "discard" => Ok(Self::Discard),
            None if text == "never" => Ok(Self::Never),
            Some(("after", count)) => {
                let failures = count.parse().ok().filter(|n| (1..=254).contains(n));
                let failures =
                    failures.ok_or_else(|| ValueError::new(6, count, "1 to 254 failures"));
                failures.map(Self::After)
            }
            _ => Err(ValueError::new(0, text, "write, discard, never or after:N")),
        }
    }
}
