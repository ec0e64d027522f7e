//! How a rule stands among the others, and how it comes and goes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Status;
use crate::error::ValueError;
use crate::label::Label;
use crate::notation::{in_words, maybe_ns, names};
use crate::span::format_ns;

/// The `with` of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Rules with a higher one are asked first, those with the same in the order of the list; 0 if absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prio: i32,
    /// Whether no later rule is asked when this one fires.
    #[serde(default, rename = "final", skip_serializing_if = "is_no")]
    pub is_final: bool,
    /// What arms the rule: `now`, `manual` or `mark:LABEL`; `now` if absent.
    #[serde(default, skip_serializing_if = "Arm::is_default")]
    #[schema(value_type = String, default = "now")]
    pub arm: Arm,
    /// What draws and counts are about: the `order` of requests, or their `address`; `order` if absent.
    #[serde(default, skip_serializing_if = "DrawBy::is_default")]
    pub draw: DrawBy,
    /// What becomes of the requests that it holds or delays when it is removed: `release`, `expire` or
    /// `fail:STATUS`; `release` if absent.
    #[serde(default, skip_serializing_if = "OnRemove::is_default")]
    #[schema(value_type = String, default = "release")]
    pub on_remove: OnRemove,
    /// How long after it is armed it stops to fire; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_ns")]
    pub ttl_ns: Option<u64>,
    /// Seed of this rule's draws; that of the rule set if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether the rule is accepted although it can never do anything.
    #[serde(default, skip_serializing_if = "is_no")]
    pub allow_inert: bool,
}

const fn is_zero(prio: &i32) -> bool {
    *prio == 0
}

const fn is_no(value: &bool) -> bool {
    !*value
}

/// What arms a rule. Until then it fires on nothing and counts no turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Arm {
    /// Being added.
    #[default]
    Now,
    /// A command.
    Manual,
    /// A mark.
    Mark(Label),
}

in_words!(Arm => "what arms the rule: now, manual or mark:LABEL");

impl Arm {
    /// Whether this is what holds if nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Now
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Manual => f.write_str("manual"),
            Self::Mark(label) => write!(f, "mark:{label}"),
        }
    }
}

impl FromStr for Arm {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "now" => Ok(Self::Now),
            None if text == "manual" => Ok(Self::Manual),
            Some(("mark", label)) => {
                let label = label.parse().map_err(|e: ValueError| e.shifted(5))?;
                Ok(Self::Mark(label))
            }
            _ => Err(ValueError::new(0, text, "now, manual or mark:LABEL")),
        }
    }
}

/// What a rule's draws and turns are counted over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrawBy {
    /// The requests it selects, in the order in which they come.
    #[default]
    Order,
    /// Those of one operation, sector and length: `skip`, `nth`, `every`, `seq`, `prob` and `count` are
    /// about each address by itself, whatever happens elsewhere and by whichever queue it comes.
    Address,
}

names!(DrawBy { Order = "order", Address = "address" });

/// What becomes of the requests that a rule holds or delays when it is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnRemove {
    /// They go on at once.
    #[default]
    Release,
    /// They wait until their time is over.
    Expire,
    /// They fail.
    Fail(Status),
}

in_words!(OnRemove => "what becomes of held requests: release, expire or fail:STATUS");

impl OnRemove {
    /// Whether this is what holds if nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Release
    }
}

impl fmt::Display for OnRemove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release => f.write_str("release"),
            Self::Expire => f.write_str("expire"),
            Self::Fail(status) => write!(f, "fail:{status}"),
        }
    }
}

impl FromStr for OnRemove {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "release" => Ok(Self::Release),
            None if text == "expire" => Ok(Self::Expire),
            None if text == "fail" => Ok(Self::Fail(Status::default())),
            Some(("fail", status)) => {
                let status = status.parse().map_err(|e: ValueError| e.shifted(5))?;
                Ok(Self::Fail(status))
            }
            _ => Err(ValueError::new(0, text, "release, expire or fail:STATUS")),
        }
    }
}

impl Options {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The canonical words after `with`; nothing if nothing is said.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        let mut put = |wanted: bool, key: &str, value: &dyn fmt::Display| {
            if wanted {
                items.push(format!("{key}={value}"));
            }
        };
        put(self.prio != 0, "prio", &self.prio);
        put(self.is_final, "final", &"yes");
        put(!self.arm.is_default(), "arm", &self.arm);
        put(!self.draw.is_default(), "draw", &self.draw);
        put(!self.on_remove.is_default(), "on_remove", &self.on_remove);
        put(
            self.ttl_ns.is_some(),
            "ttl",
            &format_ns(self.ttl_ns.unwrap_or(0)),
        );
        put(self.seed.is_some(), "seed", &self.seed.unwrap_or(0));
        put(self.allow_inert, "allow_inert", &"yes");
        f.write_str(&items.join(","))
    }
}
