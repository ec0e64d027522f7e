//! A session: every cell, round by round, saved after each run.
//!
//! Rounds go forth and back (A B C, C B A, ...), so that a machine that gets slower over time slows all
//! cells alike. Each run has a device of its own. A session that is interrupted or fails keeps what it has.

mod device;
mod marking;
mod peer;
mod shared;
mod split;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fio_log::Logs;
use crate::matrix::Planned;
use crate::record::{
    CellResult, Environment, Mark, Missing, Percentiles, Plan, Record, RunResult, environment,
    store,
};
use crate::statistics::series::Steadiness;
use crate::{Bench, Limits, Measured, Observer, Result, pins};

pub use device::Stage;
use marking::Marking;
pub use peer::lacks;
use split::Ran;

/// Intervals of a run's series.
const INTERVALS: u32 = 20;
/// No interval is shorter: fio counts milliseconds, and writes down each one.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Nor longer, so that a stall of some seconds shows.
const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// What a run takes beside its time, until it is known.
const BESIDE: Duration = Duration::from_millis(1500);

/// A run that begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The cell's name.
    pub cell: String,
    /// The round, from 1.
    pub round: u32,
    /// Runs that are done.
    pub done: usize,
    /// All runs.
    pub total: usize,
    /// How long this run and all that follow may take together.
    pub left: Duration,
}

/// Somebody who follows a session and may end it.
pub trait Follow: Observer {
    /// A run begins.
    fn begin(&mut self, beginning: &Beginning);
}

/// How a session measures.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the session is called.
    pub name: String,
    /// The revision that the record names.
    pub revision: String,
    /// How often each cell is run.
    pub rounds: u32,
    /// How much a run may do.
    pub limits: Limits,
    /// What is done before each run and not counted.
    pub warm_up: Duration,
    /// Seed of fio's offsets and of the rules.
    pub seed: u64,
    /// Which part of the matrix it is, from 1, and of how many.
    pub shard: Option<(usize, usize)>,
    /// Where the record and fio's reports go; nowhere if absent.
    pub out: Option<PathBuf>,
}

/// A session.
#[derive(Debug)]
pub struct Session<'a> {
    bench: &'a Bench,
    stage: &'a Stage,
    settings: Settings,
    planned: Vec<Planned>,
    record: Record,
    /// How long the runs so far took, and how many they were.
    spent: (Duration, u32),
}

impl<'a> Session<'a> {
    /// Of these cells, or of its shard of them. Nothing is run yet.
    ///
    /// # Errors
    /// [`BenchError::NoFio`](crate::BenchError::NoFio), [`BenchError::OldFio`](crate::BenchError::OldFio).
    pub fn new(
        bench: &'a Bench,
        stage: &'a Stage,
        planned: Vec<Planned>,
        missing: Vec<Missing>,
        settings: Settings,
    ) -> Result<Self> {
        let fio = bench.fio().version()?;
        let (sys, proc) = (Path::new("/sys"), Path::new("/proc"));
        let environment = Environment::of(sys, proc, &settings.revision, &fio, now_s());
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let plan = Plan {
            name: settings.name.clone(),
            seed: settings.seed,
            rounds: settings.rounds,
            runtime_ns: ns(settings.limits.runtime),
            warm_up_ns: ns(settings.warm_up),
            shard: settings.shard.map(|(part, of)| format!("{part}/{of}")),
        };
        let planned = match settings.shard {
            // Every n-th one, so that shards take equally long.
            Some((part, of)) => planned
                .into_iter()
                .skip(part.max(1) - 1)
                .step_by(of.max(1))
                .collect(),
            None => planned,
        };
        let mut record = Record::new(environment, plan);
        record.missing = missing;
        record.cells = planned.iter().map(empty).collect();
        Ok(Self {
            bench,
            stage,
            settings,
            planned,
            record,
            spent: (Duration::ZERO, 0),
        })
    }

    /// Runs everything. The record has what was finished, whatever the result is.
    pub fn run(mut self, follow: &mut dyn Follow) -> (Record, Result<()>) {
        let ended = self.rounds(follow);
        self.record.complete = ended.is_ok();
        // A cell that no round reached says nothing.
        self.record.cells.retain(|cell| !cell.runs.is_empty());
        let ended = ended.and_then(|()| self.save());
        (self.record, ended)
    }

    fn rounds(&mut self, follow: &mut dyn Follow) -> Result<()> {
        for round in 1..=self.settings.rounds {
            for step in 0..self.planned.len() {
                let cell = if round % 2 == 1 {
                    step
                } else {
                    self.planned.len() - 1 - step
                };
                let start = Instant::now();
                follow.begin(&self.beginning(cell, round, step));
                self.one(cell, round, follow)?;
                self.spent = (self.spent.0 + start.elapsed(), self.spent.1 + 1);
                self.save()?;
            }
        }
        Ok(())
    }

    fn beginning(&self, cell: usize, round: u32, step: usize) -> Beginning {
        let cells = self.planned.len();
        let rounds = |rounds: u32| usize::try_from(rounds).unwrap_or(0);
        let total = cells * rounds(self.settings.rounds);
        let done = cells * rounds(round - 1) + step;
        let each = match self.spent {
            (_, 0) => self.settings.limits.runtime + self.settings.warm_up + BESIDE,
            (time, runs) => time / runs,
        };
        Beginning {
            cell: self.planned[cell].cell.to_string(),
            round,
            done,
            total,
            left: each * u32::try_from(total - done).unwrap_or(u32::MAX),
        }
    }

    /// One run on a device of its own, which is gone afterwards.
    fn one(&mut self, at: usize, round: u32, follow: &mut dyn Follow) -> Result<()> {
        let planned = &self.planned[at];
        // Other offsets and other draws each round: repeats of one draw would be one sample.
        let seed = self.settings.seed.wrapping_add(u64::from(round) - 1);
        let opened = self.stage.open(&planned.cell, self.settings.limits, seed)?;
        let setup = &opened.setup;
        self.record.cells[at].scheduler = environment::scheduler(Path::new("/sys"), &setup.device);
        self.record.cells[at].pins_rule_per_io =
            Some(pins::rule_per_io(&planned.job, setup.max_io_bytes));
        self.bench
            .warm_up(&planned.job, setup, self.settings.warm_up, follow)?;
        let interval = (setup.limits.runtime / INTERVALS).clamp(INTERVAL_MIN, INTERVAL_MAX);
        let began_s = now_s();
        let run = if planned.marks.is_empty() {
            let logs = Logs::Averaged(interval);
            let measured = self.bench.measure(&planned.job, setup, logs, follow)?;
            run_result(round, began_s, measured)
        } else {
            let mut marking = Marking::new(follow, self.stage, opened.id, &planned.marks)?;
            let logs = Logs::Requests(interval);
            let measured = self.bench.measure(&planned.job, setup, logs, &mut marking);
            let measured = marking.failure().map_or(measured, Err);
            let done = marking.end();
            let (measured, (marks, account)) = (measured?, done?);
            let ran = Ran::of(setup.limits.bound(&planned.job), &planned.job);
            let split = split::split(&measured.log.requests, &account, ran);
            let began_ms = measured.log.began_ms;
            let (run, raw) = run_result(round, began_s, measured);
            let marks = marks.into_iter().map(|(ms, what)| mark(ms, began_ms, what));
            let run = RunResult {
                marks: marks.collect(),
                split: Some(split),
                ..run
            };
            (run, raw)
        };
        let (mut run, raw) = run;
        run.shared_memory = opened.shared_memory()?;
        opened.close()?;
        self.keep(at, (run, raw))
    }

    /// Puts a run into the record, and fio's report beside it.
    fn keep(&mut self, at: usize, (mut run, raw): (RunResult, String)) -> Result<()> {
        if let Some(out) = &self.settings.out {
            // The cell's number in the whole matrix, so that shards may share a directory.
            let (part, of) = self.settings.shard.unwrap_or((1, 1));
            let number = at * of.max(1) + part.max(1);
            let name = format!("raw/cell-{number}-round-{}.json", run.round);
            store::save_bytes(raw.as_bytes(), &out.join(&name))?;
            run.raw = Some(name);
        }
        self.record.cells[at].runs.push(run);
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let Some(out) = &self.settings.out else {
            return Ok(());
        };
        // A cell that no round has reached yet says nothing.
        let mut record = self.record.clone();
        record.cells.retain(|cell| !cell.runs.is_empty());
        store::save(&record, &out.join("result.json"))
    }
}

fn empty(planned: &Planned) -> CellResult {
    CellResult {
        cell: planned.cell.clone(),
        scheduler: None,
        pins_rule_per_io: None,
        runs: Vec::new(),
    }
}

fn mark(ms: u64, began_ms: u64, what: String) -> Mark {
    Mark {
        at_ns: ms.saturating_sub(began_ms) * 1_000_000,
        what,
    }
}

fn run_result(round: u32, began_s: u64, measured: Measured) -> (RunResult, String) {
    let series = measured.log.series;
    // The last interval is cut short by the end.
    let whole = &series.iops[..series.iops.len().saturating_sub(1)];
    let steadiness = (whole.len() > 1).then(|| Steadiness::of(whole, series.interval_ns));
    let run = RunResult {
        round,
        began_s,
        job: measured.job,
        percentiles_ns: Percentiles::of(&measured.histogram),
        histogram: measured.histogram,
        cost: measured.cost,
        steadiness,
        series,
        marks: Vec::new(),
        split: None,
        shared_memory: None,
        raw: None,
    };
    (run, measured.raw)
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
