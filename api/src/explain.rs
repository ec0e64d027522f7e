//! What the rules would do to a request, and what a device remembers beside its rules.

use fault::{Explained, Flags, Label, Op, Request, Sector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hex::Hex;

/// A request to ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// What it asks for.
    pub op: Op,
    /// Its first sector.
    #[serde(default)]
    #[schema(value_type = u64)]
    pub sector: Sector,
    /// Its length in sectors; 0 for a flush.
    #[serde(default)]
    pub sectors: u32,
    /// The hardware queue it comes by.
    #[serde(default)]
    #[schema(maximum = 65535)]
    pub queue: u16,
    /// Its tag.
    #[serde(default)]
    #[schema(maximum = 65535)]
    pub tag: u16,
    /// Whether it has FUA.
    #[serde(default)]
    pub fua: bool,
    /// Whether it is about metadata.
    #[serde(default)]
    pub meta: bool,
    /// The data of a write, for rules that select by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Hex>,
}

impl ExplainRequest {
    /// As the engine sees it.
    #[must_use]
    pub fn subject(&self) -> Request {
        let mut flags = Flags::empty();
        flags.set(Flags::FUA, self.fua);
        flags.set(Flags::META, self.meta);
        Request {
            queue: self.queue,
            tag: self.tag,
            flags,
            ..Request::new(self.op, self.sector, self.sectors)
        }
    }
}

/// What the rules would do to a request, were it the next one. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The generation of the rules.
    pub generation: u64,
    /// Each rule, in the order of evaluation.
    pub rules: Vec<Explained>,
}

/// A rule to switch: what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// Whether it is armed: from now on, or no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<bool>,
    /// Whether it is enabled. A rule that is disabled fires on nothing and keeps its counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// What a device remembers, for rules with `state=`, `after_mark=`, `arm=mark:`, `op:` and `epoch:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remembered {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The state that it is in.
    #[schema(value_type = Option<String>)]
    pub state: Option<Label>,
    /// The marks that were set, in that order.
    #[schema(value_type = Vec<String>)]
    pub marks: Vec<Label>,
    /// How many requests rules were asked about.
    pub requests: u64,
    /// How many flushes have completed.
    pub epoch: u64,
}

/// What to remember: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RememberRequest {
    /// A mark to set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mark: Option<Label>,
    /// The state to enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub state: Option<Label>,
    /// Forget the state and every mark first.
    #[serde(default)]
    pub forget: bool,
}
