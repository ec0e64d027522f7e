//! What came of experiments, as `lab run --json` says it.

use std::time::Duration;

use api::Driver;
use serde::{Deserialize, Serialize};

use crate::expected::Observations;

/// What came of an experiment, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was not done.
    Skipped,
    /// Everything is as predicted.
    Holds,
    /// An observation differs from what is known of this kernel version.
    Changed,
    /// An invariant broke, or the experiment could not be finished.
    Violated,
}

/// One run of an experiment, as `lab run --json` says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this form.
    pub schema: u32,
    /// The experiment.
    pub experiment: String,
    /// The kernel's release.
    pub kernel: String,
    /// What made the block device.
    #[serde(default)]
    pub driver: Driver,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, unless it holds.
    pub reason: Option<String>,
    /// Whether it was skipped because this kernel cannot have what it asks about.
    pub not_applicable: bool,
    /// What was seen.
    pub observations: Observations,
    /// The seed of the order in which experiments were run; 0 where it was that of the list.
    pub seed: u64,
    /// How long it took.
    pub duration_ns: u64,
}

/// How many runs came to what: the last line of `lab run --json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The version of this form.
    pub schema: u32,
    /// The kernel's release.
    pub kernel: String,
    /// Runs that hold.
    pub holds: u32,
    /// Runs in which an invariant broke.
    pub violated: u32,
    /// Runs that differ from what is known.
    pub changed: u32,
    /// Runs that were not done, for whatever reason.
    pub skipped: u32,
    /// Those of them that this kernel cannot have.
    pub not_applicable: u32,
    /// How long all of it took.
    pub duration_ns: u64,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(kernel: &str) -> Self {
        Self {
            schema: api::SCHEMA,
            kernel: kernel.to_owned(),
            ..Self::default()
        }
    }

    /// Counts a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.count(outcome.verdict, outcome.not_applicable);
        let sum = self.duration_ns.saturating_add(outcome.duration_ns);
        self.duration_ns = sum;
    }

    pub(crate) fn count(&mut self, verdict: Verdict, not_applicable: bool) {
        *match verdict {
            Verdict::Holds => &mut self.holds,
            Verdict::Violated => &mut self.violated,
            Verdict::Changed => &mut self.changed,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
        self.not_applicable += u32::from(not_applicable);
    }

    /// The time that all runs took together.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_nanos(self.duration_ns)
    }
}
