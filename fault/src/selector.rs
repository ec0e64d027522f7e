//! Which requests a rule is about.

mod compare;
mod epochs;
mod flags;
mod pattern;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;
use crate::facts::ActionSet;
use crate::length::Sectors;
use crate::op::OpSet;
use crate::range::Ranges;

pub use compare::{Comparison, CountTest, SizeTest};
pub use epochs::Epochs;
pub use flags::{FlagTest, Flags};
pub use pattern::DataTest;

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
    /// Flags: `fua`, `meta`, `nounmap`, `swap`, `failfast`, `integrity`, joined by `+`, with `!` before one
    /// that must be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "fua+!meta")]
    pub flags: Option<FlagTest>,
    /// Length: sectors, or bytes with a suffix, after `<`, `<=`, `>`, `>=`, `!=` or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = ">=64K")]
    pub size: Option<SizeTest>,
    /// The first byte lies on a multiple of this, in sectors, or in bytes with a suffix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "4K")]
    pub align: Option<Sectors>,
    /// The hardware queue it comes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u16>,
    /// Its tag in that queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// Data of a write: `hex:HEX@OFFSET`, `contains:HEX`, `crc32c:XXXXXXXX` or `zero`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "hex:deadbeef@0")]
    pub data: Option<DataTest>,
    /// How many requests the device has taken and not answered, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = ">=32")]
    pub inflight: Option<CountTest>,
    /// How many flushes have completed: `N`, `N..M` (M not included), `N..` or `..M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "3..7")]
    pub epoch: Option<Epochs>,
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
    /// Every way, in the order of listings.
    pub const ALL: [Self; 4] = [Self::Any, Self::Within, Self::Covers, Self::Exact];

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

    /// What the daemon must be able to tell of a request.
    #[must_use]
    pub fn needs(&self) -> ActionSet {
        let mut needs = ActionSet::empty();
        needs.set(ActionSet::FLAGS, self.flags.is_some());
        needs.set(ActionSet::DATA, self.data.is_some());
        needs.set(ActionSet::INFLIGHT, self.inflight.is_some());
        needs.set(ActionSet::EPOCH, self.epoch.is_some());
        needs
    }
}

/// The canonical words after `where`; nothing if every request is selected.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let mut put = |key: &str, value: Option<&dyn fmt::Display>, between: &str| match value {
            Some(value) => {
                write!(f, "{comma}{key}{between}{value}")?;
                comma = ",";
                Ok(())
            }
            None => Ok(()),
        };
        put("op", (!self.op.is_any()).then_some(&self.op as _), "=")?;
        put("lba", shown(self.lba.as_ref()), "=")?;
        put(
            "overlap",
            (!self.overlap.is_any()).then_some(&self.overlap as _),
            "=",
        )?;
        put("flags", shown(self.flags.as_ref()), "=")?;
        // A comparison brings its own sign.
        let size = self.size.map(|test| test.how);
        put("size", shown(self.size.as_ref()), between(size))?;
        put("align", shown(self.align.as_ref()), "=")?;
        put("queue", shown(self.queue.as_ref()), "=")?;
        put("tag", shown(self.tag.as_ref()), "=")?;
        put("data", shown(self.data.as_ref()), "=")?;
        let inflight = self.inflight.map(|test| test.how);
        put("inflight", shown(self.inflight.as_ref()), between(inflight))?;
        put("epoch", shown(self.epoch.as_ref()), "=")
    }
}

fn shown<T: fmt::Display>(value: Option<&T>) -> Option<&dyn fmt::Display> {
    value.map(|value| value as &dyn fmt::Display)
}

fn between(how: Option<Comparison>) -> &'static str {
    match how {
        Some(Comparison::Equal) => "=",
        _ => "",
    }
}
