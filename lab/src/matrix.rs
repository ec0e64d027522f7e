//! Experiments across kernels: one table, experiment by kernel.
//!
//! | module | what it is |
//! |---|---|
//! | here | the table, what is in a cell of it, and its form in JSON (`docs/schemas/lab-matrix.schema.json`) |
//! | [`merge`] | tables of shards put together |
//! | [`rows`] | a row an experiment, with what is the same on every kernel and what differs |
//! | [`store`] | tables in files |

pub mod merge;
pub mod rows;
pub mod store;

use api::Driver;
use serde::{Deserialize, Serialize};

use crate::expected::Observations;
use crate::outcome::{Outcome, Tally, Verdict};

/// The word by which a file says that it has a table.
pub const KIND: &str = "lab-matrix";

/// A table: experiments on kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// The version of this form.
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// What was asked for; the same in every shard.
    pub plan: Plan,
    /// The shards that this table has, such as `1/3`; none if it was not split.
    pub shards: Vec<String>,
    /// Whether every experiment of the plan has an answer on every kernel.
    pub complete: bool,
    /// One a kernel, in the order in which they were asked for.
    pub kernels: Vec<Column>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The revision of bvecd that asked.
    pub revision: String,
    /// The experiments, of all shards together.
    pub experiments: Vec<String>,
    /// How often each was to be run.
    pub repeat: u32,
    /// The seed of the order, 0 for that of the list.
    pub seed: u64,
    /// What was to make the block devices; null for ublk, or NBD where there is no ublk.
    pub driver: Option<Driver>,
    /// The version whose known observations were compared with; null for each kernel's own.
    pub judged_as: Option<String>,
}

/// What came of the experiments on one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The kernel as it was asked for.
    pub asked: String,
    /// Its release; null if it was never heard of.
    pub kernel: Option<String>,
    /// What executed it: `kvm` or `tcg`.
    pub accelerator: Option<String>,
    /// Why the machine failed so that some experiments have no answer; null if it did not.
    pub failed: Option<String>,
    /// From the first power on to the last end, in nanoseconds.
    pub duration_ns: u64,
    /// The answers, one an experiment.
    pub cells: Vec<Cell>,
}

/// What came of an experiment on a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The experiment.
    pub experiment: String,
    /// The worst verdict of its runs.
    pub verdict: Verdict,
    /// Why, unless it holds.
    pub reason: Option<String>,
    /// Whether it was skipped because this kernel cannot have what it asks about.
    pub not_applicable: bool,
    /// What made the block device.
    pub driver: Driver,
    /// Whether its runs differ in their verdicts.
    pub flaky: bool,
    /// The verdict of each run, in their order.
    pub verdicts: Vec<Verdict>,
    /// What was seen in the first run of that verdict.
    pub observations: Observations,
    /// Those of them that were different in another run.
    pub varied: Vec<String>,
    /// How long all runs took together.
    pub duration_ns: u64,
}

impl Matrix {
    /// An empty table.
    #[must_use]
    pub fn new(plan: Plan, shard: Option<String>, kernels: &[String]) -> Self {
        let kernels = kernels.iter().map(|asked| Column::new(asked));
        Self {
            schema: api::SCHEMA,
            kind: KIND.to_owned(),
            plan,
            shards: shard.into_iter().collect(),
            complete: false,
            kernels: kernels.collect(),
        }
    }

    /// The worst verdict of all; none where nothing was asked.
    #[must_use]
    pub fn worst(&self) -> Option<Verdict> {
        let columns = self.kernels.iter();
        let verdicts = columns.flat_map(|column| column.cells.iter().map(|cell| cell.verdict));
        verdicts.max()
    }

    /// What the plan has and the table has not, in words.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = merge::absent(&self.shards)
            .into_iter()
            .map(|shard| format!("shard {shard} is not there"))
            .collect();
        for column in &self.kernels {
            let lacks: Vec<&str> = self
                .plan
                .experiments
                .iter()
                .filter(|name| column.cell(name).is_none())
                .map(String::as_str)
                .collect();
            if !lacks.is_empty() {
                missing.push(format!(
                    "{} has no answer to {} of {} experiments: {}",
                    column.name(),
                    lacks.len(),
                    self.plan.experiments.len(),
                    first_few(&lacks)
                ));
            }
        }
        missing
    }

    /// Says whether it is complete.
    pub fn conclude(&mut self) {
        let failed = self.kernels.iter().any(|column| column.failed.is_some());
        self.complete = !failed && self.missing().is_empty();
    }
}

/// Some names, and how many more there are.
fn first_few(names: &[&str]) -> String {
    const FEW: usize = 4;
    let more = names.len().saturating_sub(FEW);
    let few = names.iter().take(FEW).copied().collect::<Vec<_>>();
    match more {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

impl Column {
    /// Nothing yet.
    #[must_use]
    pub fn new(asked: &str) -> Self {
        Self {
            asked: asked.to_owned(),
            kernel: None,
            accelerator: None,
            failed: None,
            duration_ns: 0,
            cells: Vec::new(),
        }
    }

    /// Its release, or how it was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kernel.as_deref().unwrap_or(&self.asked)
    }

    /// The version alone, as heads of tables have it: without the distribution's words.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let name = self.name();
        let ends = ["+", "-cloud", "-amd64", "-generic"];
        let end = ends.iter().filter_map(|end| name.find(end)).min();
        name.get(..end.unwrap_or(name.len())).unwrap_or(name)
    }

    /// The answer to an experiment.
    #[must_use]
    pub fn cell(&self, experiment: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.experiment == experiment)
    }

    /// Takes one run in.
    pub fn add(&mut self, outcome: &Outcome) {
        self.kernel.get_or_insert_with(|| outcome.kernel.clone());
        let name = &outcome.experiment;
        match self.cells.iter_mut().find(|cell| cell.experiment == *name) {
            Some(cell) => cell.add(outcome),
            None => self.cells.push(Cell::of(outcome)),
        }
    }

    /// How many experiments came to what.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new(self.name());
        for cell in &self.cells {
            tally.count(cell.verdict, cell.not_applicable);
        }
        tally.duration_ns = self.duration_ns;
        tally
    }
}

impl Cell {
    fn of(outcome: &Outcome) -> Self {
        Self {
            experiment: outcome.experiment.clone(),
            verdict: outcome.verdict,
            reason: outcome.reason.clone(),
            not_applicable: outcome.not_applicable,
            driver: outcome.driver,
            flaky: false,
            verdicts: vec![outcome.verdict],
            observations: outcome.observations.clone(),
            varied: Vec::new(),
            duration_ns: outcome.duration_ns,
        }
    }

    /// Takes another run in.
    fn add(&mut self, outcome: &Outcome) {
        let known = self.observations.keys().chain(outcome.observations.keys());
        let varied = known
            .filter(|key| self.observations.get(*key) != outcome.observations.get(*key))
            .cloned();
        let mut varied: Vec<String> = varied.chain(self.varied.drain(..)).collect();
        varied.sort_unstable();
        varied.dedup();
        self.varied = varied;
        self.verdicts.push(outcome.verdict);
        self.duration_ns = self.duration_ns.saturating_add(outcome.duration_ns);
        if outcome.verdict > self.verdict {
            self.verdict = outcome.verdict;
            self.reason.clone_from(&outcome.reason);
            self.not_applicable = outcome.not_applicable;
            self.observations.clone_from(&outcome.observations);
        }
        self.flaky = self.verdicts.iter().any(|verdict| *verdict != self.verdict);
    }

    /// Its verdict in a word or two.
    #[must_use]
    pub fn words(&self) -> String {
        let word = match self.verdict {
            Verdict::Holds => "holds",
            Verdict::Violated => "violated",
            Verdict::Changed => "changed",
            Verdict::Skipped if self.not_applicable => "n/a",
            Verdict::Skipped => "skipped",
        };
        if !self.flaky {
            return word.to_owned();
        }
        let so = |verdict: &&Verdict| **verdict == self.verdict;
        let times = self.verdicts.iter().filter(so).count();
        format!("{word} {times}/{}", self.verdicts.len())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn outcome(experiment: &str, verdict: Verdict, pins: i64) -> Outcome {
        Outcome {
            schema: 1,
            experiment: experiment.to_owned(),
            kernel: "7.3.4+deb13-cloud-amd64".to_owned(),
            driver: Driver::Ublk,
            verdict,
            reason: (verdict != Verdict::Holds).then(|| format!("pins is {pins}")),
            not_applicable: false,
            observations: [("pins".to_owned(), json!(pins))].into(),
            seed: 0,
            duration_ns: 1_000_000,
        }
    }

    pub(crate) fn plan(experiments: &[&str]) -> Plan {
        Plan {
            revision: "abc".to_owned(),
            experiments: experiments.iter().map(|name| (*name).to_owned()).collect(),
            repeat: 1,
            seed: 0,
            driver: None,
            judged_as: None,
        }
    }

    #[test]
    fn the_worst_run_is_the_verdict_and_flaky_is_told() {
        let mut column = Column::new("7.3");
        for (verdict, pins) in [
            (Verdict::Holds, 1),
            (Verdict::Changed, 2),
            (Verdict::Holds, 1),
        ] {
            column.add(&outcome("a", verdict, pins));
        }
        let cell = column.cell("a").unwrap();
        assert!(cell.flaky && cell.verdict == Verdict::Changed);
        assert_eq!(cell.reason.as_deref(), Some("pins is 2"));
        assert_eq!(cell.observations["pins"], 2);
        assert_eq!(cell.varied, ["pins"]);
        assert_eq!(cell.words(), "changed 1/3");
        assert_eq!(column.tally().changed, 1);
        assert_eq!(column.short_name(), "7.3.4");
    }

    #[test]
    fn what_has_no_answer_is_named() {
        let mut matrix = Matrix::new(plan(&["a", "b"]), None, &["7.3".to_owned()]);
        matrix.kernels[0].add(&outcome("a", Verdict::Holds, 1));
        matrix.conclude();
        assert!(!matrix.complete);
        let missing = matrix.missing();
        assert!(
            missing[0].contains("no answer to 1 of 2 experiments: b"),
            "{missing:?}"
        );
        matrix.kernels[0].add(&outcome("b", Verdict::Skipped, 1));
        matrix.conclude();
        assert!(matrix.complete, "{:?}", matrix.missing());
        assert_eq!(matrix.worst(), Some(Verdict::Holds));
        matrix.kernels[0].failed = Some("it hung".to_owned());
        matrix.conclude();
        assert!(!matrix.complete);
    }
}
