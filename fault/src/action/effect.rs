//! What of a failing request reaches the medium.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tear::{Persist, Unit};
use crate::error::ValueError;
use crate::length::Sectors;
use crate::notation::{in_words, names};

/// The largest number of parts that a request is cut into.
pub const MAX_PARTS: u16 = 16;

/// What of a failing request reaches the medium, or is read from it.
///
/// In words and JSON: `none`, `full`, `prefix:SECTORS`, `torn:PARTS/PERSIST[/UNIT]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the medium is not touched.
    #[default]
    None,
    /// All of it: the request is carried out, and then fails.
    Full,
    /// The first sectors.
    Prefix(Sectors),
    /// Some of the equal parts that it is cut into.
    Torn {
        /// How many parts, 1 to 16.
        parts: u16,
        /// Which of them.
        persist: Persist,
        /// Where cuts may lie.
        unit: Unit,
    },
}

in_words!(Effect => "what reaches the medium: none, full, prefix:SECTORS or torn:PARTS/PERSIST[/UNIT]");

const EXPECTED: &str =
    "none, full, prefix:SECTORS or torn:PARTS/PERSIST[/UNIT], such as torn:4/1+3/sector";

impl Effect {
    /// Whether nothing reaches the medium, which holds if nothing is said.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Full => f.write_str("full"),
            Self::Prefix(sectors) => write!(f, "prefix:{sectors}"),
            Self::Torn {
                parts,
                persist,
                unit,
            } => {
                write!(f, "torn:{parts}/{persist}")?;
                match unit.is_default() {
                    true => Ok(()),
                    false => write!(f, "/{unit}"),
                }
            }
        }
    }
}

impl FromStr for Effect {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "full" => Ok(Self::Full),
            Some(("prefix", sectors)) => {
                match sectors.parse().map_err(|e: ValueError| e.shifted(7))? {
                    Sectors(0) => Err(ValueError::new(
                        7,
                        sectors,
                        "at least one sector, or effect=none",
                    )),
                    sectors => Ok(Self::Prefix(sectors)),
                }
            }
            Some(("torn", spec)) => torn(spec).map_err(|e| e.shifted(5)),
            _ => Err(ValueError::new(0, text, EXPECTED)),
        }
    }
}

fn torn(spec: &str) -> Result<Effect, ValueError> {
    let Some((count, rest)) = spec.split_once('/') else {
        return Err(ValueError::new(0, spec, EXPECTED));
    };
    let (persist, unit) = match rest.split_once('/') {
        Some((persist, unit)) => (persist, Some(unit)),
        None => (rest, None),
    };
    let at_persist = count.len() + 1;
    let at_unit = at_persist + persist.len() + 1;
    let parts = parse_parts(count)?;
    let unit = unit.map_or(Ok(Unit::default()), str::parse);
    Ok(Effect::Torn {
        parts,
        persist: persist
            .parse()
            .map_err(|e: ValueError| e.shifted(at_persist))?,
        unit: unit.map_err(|e: ValueError| e.shifted(at_unit))?,
    })
}

/// Reads how many parts a request is cut into.
pub(crate) fn parse_parts(text: &str) -> Result<u16, ValueError> {
    let parts = text
        .parse()
        .ok()
        .filter(|parts| (1..=MAX_PARTS).contains(parts));
    parts.ok_or_else(|| ValueError::new(0, text, format!("1 to {MAX_PARTS} parts")))
}

/// What of a request a failure is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The request as a whole.
    #[default]
    Request,
    /// The sectors of the rule's `lba` alone: the others reach the medium, and the request fails.
    Sectors,
}

names!(Scope { Request = "request", Sectors = "sectors" });
