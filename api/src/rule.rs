//! The rules of a device.

use fault::{Counters, Rule, RuleReport};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rule and what it has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Rule,
    /// The rule in words.
    #[schema(example = "fail(status=MEDIUM) where op=read,lba=2048+8 when count=1")]
    pub words: String,
    /// What it has done.
    pub counters: Counters,
    /// The generation since which it counts.
    pub since: u64,
    /// How many requests it holds now.
    pub held: u32,
    /// Whether it is armed.
    #[serde(default = "yes")]
    pub armed: bool,
    /// Whether it is enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn yes() -> bool {
    true
}

impl RuleStatus {
    /// The status of a rule that holds `held` requests.
    #[must_use]
    pub fn new(report: RuleReport, held: u32) -> Self {
        let words = report.rule.to_string();
        Self {
            words,
            rule: report.rule,
            counters: report.counters,
            since: report.since,
            held,
            armed: report.armed,
            enabled: report.enabled,
        }
    }
}

/// The rules of a device, in the order of evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleList {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The generation of the rule set.
    pub generation: u64,
    /// Seed of the draws of rules without one of their own.
    pub seed: u64,
    /// The rules.
    pub rules: Vec<RuleStatus>,
}

/// The answer to a change of the rules. When it is sent, every queue decides by this generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesChanged {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The new generation.
    pub generation: u64,
    /// How many rules it has.
    pub rules: u32,
    /// How many held or delayed requests were released, because their rule went away.
    pub released: u64,
}

/// The answer to `heal`: no rule is left and nothing is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healed {
    /// Version of this object; 1.
    pub schema: u32,
    /// Numbers of the devices that were healed.
    pub devices: Vec<u32>,
    /// How many rules were removed.
    pub rules_removed: u64,
    /// How many held or delayed requests were released.
    pub released: u64,
}
