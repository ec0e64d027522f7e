//! Two result files against each other, cell by cell.
//!
//! Files of `bench run` and of `cargo xtask cost` and `bench-peers` are both understood; [`side`] reads
//! them. What is compared, and when a difference is one, [`crate::statistics::verdict`] says.

pub mod peers;
pub mod side;

use serde::{Deserialize, Serialize};

use crate::statistics::sample;
use crate::statistics::verdict::{Answer, Better, Question, Verdict};
use side::{Side, Values};

/// Version of a comparison's form.
pub const SCHEMA: u32 = 1;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests a second.
    Iops,
    /// Bytes a second.
    Bandwidth,
    /// The latency that half of the requests keep to.
    P50,
    /// The latency that 99 of 100 keep to.
    P99,
    /// The latency that 999 of 1000 keep to.
    P99_9,
    /// The same of the requests that no rule fired on.
    CleanP99,
    /// CPU time of client and daemon for a request.
    Cpu,
    /// Instructions of the whole machine for a request.
    Instructions,
}

impl Metric {
    /// Those of times; a file of exact counts has [`Metric::Instructions`] only.
    pub const ALL: [Self; 7] = [
        Self::Iops,
        Self::Bandwidth,
        Self::P50,
        Self::P99,
        Self::P99_9,
        Self::CleanP99,
        Self::Cpu,
    ];

    /// Its word in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iops => "iops",
            Self::Bandwidth => "bandwidth",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P99_9 => "p99_9",
            Self::CleanP99 => "clean_p99",
            Self::Cpu => "cpu",
            Self::Instructions => "instructions",
        }
    }

    const fn better(self) -> Better {
        match self {
            Self::Iops | Self::Bandwidth => Better::Higher,
            _ => Better::Lower,
        }
    }
}

/// How files are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is compared; exact counts are, whatever this says.
    pub metrics: Vec<Metric>,
    /// The least difference that matters, as a part.
    pub least: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was compared with.
    pub base: Origin,
    /// What was compared.
    pub new: Origin,
    /// Slower if a row is, else faster if a row is.
    pub verdict: Verdict,
    /// What both files have.
    pub rows: Vec<Row>,
    /// What only one of them has, with the reason.
    pub unmatched: Vec<String>,
    /// What else differs between the files, so that a difference may have another cause.
    pub warnings: Vec<String>,
}

/// Where a side comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The revision of bvecd, where the file says it.
    pub revision: Option<String>,
    /// The kernel.
    pub kernel: String,
}

/// A value of a cell on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The cell's name.
    pub cell: String,
    /// What is compared.
    pub metric: Metric,
    /// The geometric mean of the repeats before.
    pub base: f64,
    /// The same now.
    pub new: f64,
    /// How many repeats the sides have.
    pub repeats: (usize, usize),
    /// Ratio, noise floor and verdict.
    #[serde(flatten)]
    pub answer: Answer,
}

/// Compares `new` with `base`.
#[must_use]
pub fn compare(base: &Side, new: &Side, options: &Options) -> Comparison {
    let (pairs, unmatched) = pairs(base, new, &options.metrics);
    let rows: Vec<Row> = pairs
        .iter()
        .filter_map(|(before, now)| row(before, now, pairs.len(), options))
        .collect();
    let has = |verdict| rows.iter().any(|row| row.answer.verdict == verdict);
    let verdict = if has(Verdict::Slower) {
        Verdict::Slower
    } else if has(Verdict::Faster) {
        Verdict::Faster
    } else {
        Verdict::CannotTell
    };
    Comparison {
        schema: SCHEMA,
        base: base.origin.clone(),
        new: new.origin.clone(),
        verdict,
        rows,
        unmatched,
        warnings: warnings(base, new),
    }
}

type Pairs<'a> = Vec<(&'a Values, &'a Values)>;

/// The values that both have, and what only one has.
fn pairs<'a>(base: &'a Side, new: &'a Side, metrics: &[Metric]) -> (Pairs<'a>, Vec<String>) {
    let same = |a: &Values, b: &Values| a.cell == b.cell && a.metric == b.metric;
    // Counts are compared unasked, where both have them of a cell. Where clean requests are held against those of
    // another cell, there are none such, and nothing is missing.
    let exact = |values: &&Values| values.exact;
    let both = |before: &Values| new.values.iter().any(|now| same(before, now));
    let counts = base.values.iter().filter(exact).any(both);
    let counted_only = base.values.iter().all(|values| values.exact);
    let asked = |values: &&Values| {
        metrics.contains(&values.metric) || values.exact && (counts || counted_only)
    };
    let (mut pairs, mut unmatched) = (Vec::new(), Vec::new());
    for before in base.values.iter().filter(asked) {
        match new.values.iter().find(|now| same(before, now)) {
            None => unmatched.push(format!("{}: only in the base", before.cell)),
            Some(now) if now.job_text != before.job_text => {
                unmatched.push(format!("{}: the job file is another one", before.cell));
            }
            Some(now) => pairs.push((before, now)),
        }
    }
    let only_new = |now: &&Values| !base.values.iter().any(|before| same(before, now));
    let news = new.values.iter().filter(asked).filter(only_new);
    unmatched.extend(news.map(|now| format!("{}: only in the new file", now.cell)));
    unmatched.dedup();
    (pairs, unmatched)
}

fn row(base: &Values, new: &Values, questions: usize, options: &Options) -> Option<Row> {
    let question = Question {
        base: &base.values,
        new: &new.values,
        better: base.metric.better(),
        exact: base.exact,
        questions,
        least: options.least,
        seed: options.seed,
    };
    Some(Row {
        cell: base.cell.clone(),
        metric: base.metric,
        base: sample::geometric_mean(&base.values)?,
        new: sample::geometric_mean(&new.values)?,
        repeats: (base.values.len(), new.values.len()),
        answer: question.answer(),
    })
}

fn warnings(base: &Side, new: &Side) -> Vec<String> {
    let mut warnings = Vec::new();
    for (what, before) in &base.facts {
        let now = new.facts.iter().find(|(name, _)| name == what);
        if let Some((_, now)) = now.filter(|(_, now)| now != before) {
            warnings.push(format!("{what} differs: {before}, then {now}"));
        }
    }
    for (name, side) in [("base", base), ("new file", new)] {
        if !side.complete {
            warnings.push(format!("the {name} is of a session that did not end"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crate::record::{Peer, Record};

    fn options() -> Options {
        Options {
            metrics: vec![Metric::Iops],
            least: 0.0,
            seed: 1,
        }
    }

    fn compared(new: impl FnOnce(&mut Record)) -> Comparison {
        let base = record();
        let mut other = base.clone();
        new(&mut other);
        compare(&Side::of(&base), &Side::of(&other), &options())
    }

    #[test]
    fn counts_that_no_one_asked_for_are_not_missing() {
        let mut record = record();
        record.cells.truncate(1);
        for run in &mut record.cells[0].runs {
            run.cost.guest_instructions_per_io = Some(20_000.0);
        }
        let mut faulted = record.clone();
        faulted.cells[0].cell.faults = vec!["late".to_owned()];
        let asked = Options {
            metrics: vec![Metric::CleanP99],
            ..options()
        };
        let (plain, ruled) = (Side::of(&record), Side::of(&faulted));
        let clean = compare(&plain, &ruled, &asked);
        assert_eq!(clean.unmatched, Vec::<String>::new());
        assert_eq!(clean.rows.len(), 1);
        // Between equal cells they are compared beside it.
        let metrics: Vec<Metric> = compare(&plain, &plain, &asked)
            .rows
            .iter()
            .map(|row| row.metric)
            .collect();
        assert_eq!(metrics, [Metric::CleanP99, Metric::Instructions]);
    }

    #[test]
    fn a_record_and_itself_cannot_be_told_apart() {
        let found = compared(|_| {});
        assert_eq!(found.verdict, Verdict::CannotTell);
        assert_eq!(found.rows.len(), 2);
        assert!(found.unmatched.is_empty() && found.warnings.is_empty());
    }

    #[test]
    fn the_ratio_is_that_of_the_two_values_beside_it() {
        let found = compared(|new| {
            for (run, iops) in new.cells[0]
                .runs
                .iter_mut()
                .zip([5_000.0, 9_000.0, 30_000.0])
            {
                run.job.iops = iops;
            }
        });
        let row = &found.rows[0];
        let ratio = row.answer.interval.unwrap().ratio;
        assert!((row.new / row.base / ratio - 1.0).abs() < 1e-9, "{row:?}");
    }

    #[test]
    fn one_slower_cell_makes_it_slower() {
        let found = compared(|new| {
            for run in &mut new.cells[0].runs {
                run.job.iops *= 0.5;
            }
            for run in &mut new.cells[1].runs {
                run.job.iops *= 2.0;
            }
        });
        assert_eq!(found.verdict, Verdict::Slower);
        let verdicts: Vec<_> = found.rows.iter().map(|row| row.answer.verdict).collect();
        assert_eq!(verdicts, [Verdict::Slower, Verdict::Faster]);
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let found = compared(|new| {
            new.cells[0].cell.job_text.push_str("norandommap=1\n");
            new.cells[1].cell.peer = Peer::Brd;
            "6.12".clone_into(&mut new.environment.kernel);
            new.complete = false;
        });
        assert!(found.rows.is_empty());
        let text = found.unmatched.join("\n");
        for needle in [
            "job file is another",
            "null_blk ram: rand-destination-4k-qd1: only in the base",
            "brd ram",
        ] {
            assert!(text.contains(needle), "{needle}: {text}");
        }
        let text = found.warnings.join("\n");
        assert!(text.contains("kernel differs: 7.3.0, then 6.12"), "{text}");
        assert!(text.contains("did not end"), "{text}");
    }
}
