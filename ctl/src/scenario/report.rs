//! How a scenario went.

use api::{RuleStatus, SCHEMA};
use serde::Serialize;

use crate::units::about_ns;

/// The report: the output of `scenario run --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) scenario: String,
    pub(crate) kernel: String,
    pub(crate) device: Option<u32>,
    pub(crate) seed: Option<u64>,
    pub(crate) verdict: Verdict,
    pub(crate) steps: Vec<StepReport>,
    /// The rules as they were when the last step ended.
    pub(crate) rules: Vec<RuleStatus>,
    /// What could not be put right at the end.
    pub(crate) left: Vec<String>,
    pub(crate) duration_ns: u64,
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Failed,
    /// It was interrupted.
    Interrupted,
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StepReport {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) step: &'static str,
    pub(crate) text: String,
    pub(crate) outcome: Outcome,
    /// What was wrong, or what a command said.
    pub(crate) detail: Option<String>,
    pub(crate) duration_ns: u64,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// It was not come to.
    NotRun,
}

impl Report {
    /// Before the first step.
    pub(super) fn new(scenario: &str, seed: Option<u64>) -> Self {
        let kernel = nix::sys::utsname::uname();
        let kernel = kernel.map(|name| name.release().to_string_lossy().into_owned());
        Self {
            schema: SCHEMA,
            scenario: scenario.to_owned(),
            kernel: kernel.unwrap_or_default(),
            device: None,
            seed,
            verdict: Verdict::Passed,
            steps: Vec::new(),
            rules: Vec::new(),
            left: Vec::new(),
            duration_ns: 0,
        }
    }

    /// What was wrong, in a line, for the message of a failed run.
    pub(crate) fn why(&self) -> String {
        let failed = self
            .steps
            .iter()
            .find(|step| step.outcome == Outcome::Failed);
        match failed {
            Some(step) => format!("step {} ({}) failed", step.number, step.text),
            None => "it left something behind".to_owned(),
        }
    }
}

impl StepReport {
    /// A line, and the detail below it if it failed.
    pub(crate) fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Passed => "ok    ",
            Outcome::Failed => "FAILED",
            Outcome::NotRun => "-     ",
        };
        let mut line = format!("{:>3}  {outcome}  {}", self.number, self.text);
        if self.duration_ns > 100_000_000 {
            line.push_str(&format!("  ({})", about_ns(self.duration_ns)));
        }
        if let (Outcome::Failed, Some(detail)) = (self.outcome, &self.detail) {
            for part in detail.trim_end().lines() {
                line.push_str(&format!("\n             {part}"));
            }
        }
        line
    }
}
