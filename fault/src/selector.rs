//! Which requests a rule is about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;
use crate::op::OpSet;
use crate::range::Ranges;

/// The `where` of a rule. A request is selected if every selector given agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Operations, from `read`, `write`, `flush`, `discard`, `write_zeroes` and the groups `rw`, `writes`
    /// and `any`; every operation if absent.
    #[serde(default, skip_serializing_if = "OpSet::is_any")]
    #[schema(value_type = Vec<String>, example = json!(["read"]))]
    pub op: OpSet,
    /// Sectors: `START+LENGTH`, `START..END` (END not included) or one number, in sectors of 512 bytes or
    /// in bytes with a suffix B, K, M, G; several joined by `|`. The whole device if absent. A flush has
    /// no sectors and is never selected by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2048+8")]
    pub lba: Option<Ranges>,
    /// How a request must lie to the sectors of `lba`; `any` if absent.
    #[serde(default, skip_serializing_if = "Overlap::is_any")]
    pub overlap: Overlap,
}

/// How a request must lie to the sectors that a rule names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It has at least one of the sectors.
    #[default]
    Any,
    /// It has no other sectors.
    Within,
    /// It has all sectors of one of the ranges.
    Covers,
    /// It has exactly the sectors of one of the ranges.
    Exact,
}

impl Overlap {
    const ALL: [Self; 4] = [Self::Any, Self::Within, Self::Covers, Self::Exact];

    /// Whether this is the overlap that holds if none is given.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Within => "within",
            Self::Covers => "covers",
            Self::Exact => "exact",
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Overlap {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL
            .into_iter()
            .find(|overlap| overlap.name() == text)
            .ok_or_else(|| ValueError::new(0, text, "one of any, within, covers, exact"))
    }
}

impl Selector {
    /// Whether every request is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// The canonical words after `where`; nothing if every request is selected.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if !self.op.is_any() {
            write!(f, "op={}", self.op)?;
            comma = ",";
        }
        if let Some(lba) = &self.lba {
            write!(f, "{comma}lba={lba}")?;
            comma = ",";
        }
        if !self.overlap.is_any() {
            write!(f, "{comma}overlap={}", self.overlap)?;
        }
        Ok(())
    }
}
