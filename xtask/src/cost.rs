//! `cargo xtask cost`: how many guest instructions a request to bvecd costs, from the client's system
//! call to its completion. A count, not a time: it repeats to three digits on any machine
//! (docs/benchmarks.md).

mod base;
mod faults;
mod guest;
mod jobs;
mod programs;
mod rows;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vm::Spec;

use crate::process::say;
use crate::setup;
use guest::What;
use jobs::Job;
pub(crate) use rows::{Report, Row};

/// How much is counted, and where.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// The kernel of the virtual machine: newest, a version such as 7.2, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    pub(crate) kernel: Spec,
    /// How often everything runs.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Requests a run; fio's clock of a millisecond is 1000000 instructions among them all.
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    ios: u64,
    /// Measure only the jobs whose names contain one of these; may be given often.
    #[arg(long, value_name = "TEXT")]
    job: Vec<String>,
    /// Measure only these targets: null, loop; may be given often.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Measure only the data paths and transports, such as auto-zero-copy/batch, that contain one of these; may
    /// be given often.
    #[arg(long, value_name = "TEXT")]
    way: Vec<String>,
    /// Also requests of 256 KiB, FUA, flush, discard and write zeroes.
    #[arg(long)]
    operations: bool,
    /// Put all programs in one group of the scheduler, instead of each session in its own.
    #[arg(long)]
    without_autogroup: bool,
}

impl Arguments {
    /// Those of the table that is published, for a kernel.
    pub(crate) fn published(kernel: Spec, rounds: u32, ios: u64, jobs: &BTreeSet<&str>) -> Self {
        Self {
            job: jobs.iter().map(|job| (*job).to_owned()).collect(),
            kernel,
            rounds,
            ios,
            ..Self::default()
        }
    }

    /// What is to be run.
    fn jobs(&self) -> Vec<&'static Job> {
        let wanted =
            |job: &&Job| self.job.is_empty() || self.job.iter().any(|text| job.name.contains(text));
        jobs::of(self.operations).filter(wanted).collect()
    }
}

/// What `cargo xtask cost` does.
#[derive(Debug, Args)]
pub(crate) struct Command {
    #[command(flatten)]
    arguments: Arguments,
    /// Count what rules cost requests that none of them selects, and what the stability watch costs, and hold
    /// it against the bounds.
    #[arg(long, conflicts_with_all = ["base", "operations", "target"])]
    faults: bool,
    /// Build this revision as well, count both in turn, and fail if a row has become dearer.
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// By how many percent a row may become dearer.
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0, requires = "base")]
    regression: f64,
}

/// Counts, and leaves `target/cost/result.json`.
///
/// # Errors
/// If something needed is missing or does not compile, or the virtual machine or a run in it fails.
/// A number alone is no error; one above its bound is exit code 1.
pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    setup::ensure()?;
    let arguments = &command.arguments;
    let measure = |what, programs| measure(arguments, what, programs, "cost");
    if command.faults {
        let report = measure(What::Faults, programs::faults()?)?;
        let (text, holds) = faults::table(&report.results);
        print(&text);
        return Ok(ExitCode::from(u8::from(!holds)));
    }
    if let Some(base) = &command.base {
        let report = measure(What::Revisions, base::build(base)?)?;
        let comparison = base::compare(&report.results, command.regression);
        print(&comparison.text);
        ensure!(
            comparison.compared > 0,
            "{base} has nothing that could be compared"
        );
        say(format_args!(
            "{} of {} rows are more than {} % dearer than {base}",
            comparison.regressions, comparison.compared, command.regression
        ));
        return Ok(ExitCode::from(u8::from(comparison.regressions > 0)));
    }
    let report = measure(What::Alone, programs::bvecd()?)?;
    print(&table(&report.results));
    Ok(ExitCode::SUCCESS)
}

/// Counts for bvecd between its peers, and leaves `target/bench-peers/result.json`.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure_peers(arguments: &Arguments, rublk: &Path) -> Result<Report> {
    let mut programs = programs::bvecd()?;
    programs.extend([programs::floor()?, rublk.to_path_buf()]);
    measure(arguments, What::Peers, programs, "bench-peers")
}

/// Counts for bvecd on every data path and for its peers, and leaves `target/bench-published/KERNEL/result.json`.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure_published(arguments: &Arguments, rublk: &Path) -> Result<Report> {
    let mut programs = programs::bvecd()?;
    programs.push(rublk.to_path_buf());
    let directory = format!("bench-published/{}", arguments.kernel);
    measure(arguments, What::Published, programs, &directory)
}

fn measure(
    arguments: &Arguments,
    what: What,
    mut programs: Vec<PathBuf>,
    directory: &str,
) -> Result<Report> {
    if arguments.operations {
        programs.push(programs::write_zeroes()?);
    }
    let report = guest::count(arguments, what, programs)?;
    let directory = programs::target().join(directory);
    let file = directory.join("result.json");
    let json = serde_json::to_string_pretty(&report)?;
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, json + "\n"))
        .with_context(|| format!("failed to write {}", file.display()))?;
    say(format_args!("the result: {}", file.display()));
    Ok(report)
}

/// Prints a result.
pub(crate) fn print(text: &str) {
    // Nobody can be told about a standard output that is closed; the file is there.
    let _ = write!(stdout(), "\n{text}");
}

fn table(rows: &[Row]) -> String {
    rows.iter().fold(
        format!(
            "{:6} {:20} {:26} {:>12}\n",
            "target", "data path", "job", "median"
        ),
        |text, row| {
            let (target, way, job) = (&row.target, row.way(), &row.job);
            text + &format!("{target:6} {way:20} {job:26} {:12.0}\n", row.median)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_table() {
        let text = table(&[
            Row::sample("bvecd/-/null/copy/per-io", &[22_900.0]),
            Row::sample("bvecd/-/null/auto-zero-copy/batch", &[22_900.0]),
        ]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("auto-zero-copy batch") && text.contains("22900"));
    }
}
