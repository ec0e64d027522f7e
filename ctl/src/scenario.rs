//! A scenario: steps that break a device and say what must come of it. This is its file; [`run`] does what
//! it says, [`check`] looks whether it makes sense.

mod amount;
pub(crate) mod check;
mod cleanup;
mod command;
mod expect;
pub(crate) mod report;
pub(crate) mod run;
mod step;

use api::fault::Rule;
use api::{DeviceConfig, RuleFile, Version};
use serde::Deserialize;

use crate::units::Span;
pub(crate) use command::Run;
pub(crate) use step::Step;

/// The file. TOML, or JSON with the same keys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Version of this form; 1.
    pub(crate) version: Version,
    /// What it shows, in a few words.
    pub(crate) name: String,
    /// What it shows, at length.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Seed of the draws of rules without one of their own.
    #[serde(default)]
    pub(crate) seed: Option<u64>,
    /// How long the steps may take together.
    #[serde(default = "sixty_seconds")]
    pub(crate) timeout: Span,
    /// A device that is made for it and removed afterwards; without it there must be one.
    #[serde(default)]
    pub(crate) device: Option<DeviceConfig>,
    /// Commands before the device is made.
    #[serde(default)]
    pub(crate) before: Vec<Run>,
    /// Rules in force before the first step.
    #[serde(default)]
    pub(crate) rule: Vec<Rule>,
    /// The steps, one after the other.
    #[serde(default)]
    pub(crate) step: Vec<Step>,
    /// Commands at the end, whatever happened: after everything is healed, before the device is removed.
    #[serde(default)]
    pub(crate) finally: Vec<Run>,
}

const fn sixty_seconds() -> Span {
    Span(std::time::Duration::from_secs(60))
}

impl Scenario {
    /// Its rules from the beginning, as a set.
    pub(crate) fn rules(&self) -> RuleFile {
        RuleFile {
            seed: self.seed,
            ..RuleFile::new(self.rule.clone())
        }
    }
}
