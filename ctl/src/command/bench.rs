//! `bvecctl bench`: fio jobs on a device, and what they cost.

use std::path::PathBuf;
use std::time::Duration;

use ::bench::{Bench, Job, JobResult, Limits, Setup, catalogue, table as rows};
use anyhow::Result;
use api::{Device, SCHEMA, call};
use clap::{Args, Subcommand};
use nix::sys::utsname::uname;
use serde::Serialize;

use crate::command::bench::progress::Following;
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{draw, note, table};
use crate::units::Size;

mod compare;
mod merge;
mod peers;
pub(crate) mod progress;
mod report;
mod scenario;
pub(crate) mod session;

/// What is done with jobs.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl bench list
  bvecctl bench run rand-destination-4k-qd1
  bvecctl bench run quick --out out
  bvecctl bench report out/result.json --html out/report.html
  bvecctl bench compare before/result.json out/result.json
  bvecctl bench peers --out peers")]
pub(crate) enum Command {
    /// List the shipped jobs.
    #[command(after_help = "Examples:\n  bvecctl bench list\n  bvecctl bench list --json")]
    List,
    /// Run jobs on a device; source and verify jobs overwrite it.
    #[command(after_help = "\
Columns: pins/IO are the pins that the client's request takes, +daemon those that bvecd's own I/O
adds, left those not given back; CPU is that of fio and bvecd, an I/O. The kernel does not count
whose pins they are: where the backing is opened with O_DIRECT, pins/IO is the kernel's rule and
+daemon what was counted beyond it. Ends with 1 when a job has errors, leaves pins, or does no I/O.
Counting pins needs root and a quiet machine.

Examples:
  bvecctl bench run rand-destination-4k-qd1
  bvecctl bench run ./my.fio --dev 0 --ios 10000 --seed 7
  bvecctl bench run all --dev 0 --runtime 1 --json

With --out, --rounds or a matrix it is a session: every cell is run round by round on a device made
for it (jobs: on the device given), the result is saved after every run, and Ctrl-C keeps what is
finished. A matrix is `quick`, `full`, or a TOML file; docs/bench.md has its form.

  bvecctl bench run quick --out out
  bvecctl bench run rand-destination-4k-qd1 --dev 0 --rounds 5 --out out
  bvecctl bench run full --out out --shard 1/4
  bvecctl bench run rand-destination-4k-qd16 --dev 0 --scenario late.toml --out out")]
    Run(Run),
    /// Compare two result files: faster, slower, or cannot tell.
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Compare),
    /// Measure bvecd next to others in one session: rublk, nbd, and the kernel's loop, null_blk and brd.
    #[command(after_help = peers::EXAMPLES)]
    Peers(peers::Peers),
    /// Make a page, a table, CSV or JUnit of a result file.
    #[command(after_help = report::EXAMPLES)]
    Report(report::Report),
    /// Put the result files of shards together.
    #[command(after_help = merge::EXAMPLES)]
    Merge(merge::Merge),
}

/// Which jobs to run, and how long.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Name of a shipped job or path of a fio job file; `all` stands for every shipped job. Or one matrix.
    #[arg(value_name = "JOB|MATRIX", required = true)]
    jobs: Vec<String>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
    /// How long a job runs, in seconds; a verify job goes by --verify-size.
    #[arg(long, value_name = "S", default_value_t = 3)]
    runtime: u64,
    /// How many requests a job makes, instead of a time.
    #[arg(long, value_name = "N", conflicts_with = "runtime")]
    ios: Option<u64>,
    /// How much a verify job writes and reads back.
    #[arg(long, value_name = "SIZE", default_value = "32M")]
    verify_size: Size,
    /// Seed of fio's random offsets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Change rules at marked times of each run, by a scenario's add, rm, heal and timed waits.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    session: session::Options,
}

/// Does it.
///
/// # Errors
/// There is no such job or device, or it could not be run or counted.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::List => list(context),
        Command::Run(run) if session::is_meant(&run) => session::run(&run, context),
        Command::Run(run) => run_jobs(&run, context),
        Command::Compare(compare) => compare::run(&compare, context),
        Command::Peers(peers) => peers::run(peers, context),
        Command::Report(report) => report::run(&report, context),
        Command::Merge(merge) => merge::run(&merge, context),
    }
}

/// One shipped job, in the answer of `bench list --json`.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    direction: ::bench::Direction,
    block_size_bytes: u64,
    depth: u32,
    description: String,
}

/// The answer of `bench list --json`.
#[derive(Debug, Serialize)]
struct Jobs {
    schema: u32,
    jobs: Vec<Listed>,
}

fn list(context: &Context) -> Result<Exit> {
    let jobs = catalogue::all()?.into_iter().map(|job| Listed {
        name: job.name,
        direction: job.direction,
        block_size_bytes: job.block_size_bytes,
        depth: job.depth,
        description: job.description,
    });
    let answer = Jobs {
        schema: SCHEMA,
        jobs: jobs.collect(),
    };
    context
        .output
        .answer(&answer, |answer| list_text(&answer.jobs))?;
    Ok(Exit::Done)
}

fn list_text(jobs: &[Listed]) -> String {
    let rows = jobs
        .iter()
        .map(|job| [job.name.clone(), job.description.clone()]);
    table(&["job", "what it isolates"], &[], rows)
}

/// The answer of `bench run --json`.
#[derive(Debug, Serialize)]
struct Answer {
    schema: u32,
    kernel: String,
    seed: u64,
    jobs: Vec<JobResult>,
}

fn run_jobs(run: &Run, context: &Context) -> Result<Exit> {
    session::refuse_options(run)?;
    let jobs = run.load()?;
    let id = context.device(run.dev)?;
    let device = context.ask("find the device", call::device(id))?;
    let interrupt = Interrupt::watch()?;
    let setup = run.setup(&device);
    let bench = Bench::default();
    let mut answer = Answer {
        schema: SCHEMA,
        kernel: kernel_release(),
        seed: run.seed,
        jobs: Vec::new(),
    };
    let mut following = Following::new(&interrupt, jobs.len());
    for job in &jobs {
        following.begin(&job.name, &device.path);
        answer.jobs.push(bench.run(job, &setup, &mut following)?);
    }
    following.end();
    context
        .output
        .answer(&answer, |answer| results_text(&answer.jobs))?;
    for job in answer.jobs.iter().filter(|job| !job.is_good()) {
        note(format!("the answer of {} is bad: {}", job.name, wrong(job)));
    }
    let good = answer.jobs.iter().all(JobResult::is_good);
    Ok(if good { Exit::Done } else { Exit::Bad })
}

impl Run {
    fn load(&self) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for name in &self.jobs {
            match name.as_str() {
                "all" => jobs.extend(catalogue::all()?),
                _ => jobs.push(Job::load(name)?),
            }
        }
        Ok(jobs)
    }

    fn setup(&self, device: &Device) -> Setup {
        let limits = Limits {
            runtime: Duration::from_secs(self.runtime),
            ios: self.ios,
            verify_size_bytes: self.verify_size.0.min(device.size_bytes),
            ..Limits::default()
        };
        Setup::of_device(device, limits, self.seed)
    }
}

/// What is wrong with a job's result.
pub(crate) fn wrong(job: &JobResult) -> String {
    let counts = [
        (
            "verify errors",
            job.verify_errors.to_string(),
            job.verify_errors != 0,
        ),
        ("errors", job.errors.to_string(), job.errors != 0),
        (
            "pins left",
            job.pins_outstanding.to_string(),
            job.pins_outstanding != 0,
        ),
        ("IOPS", format!("{:.0}", job.iops), job.iops <= 0.0),
    ];
    let bad = counts.into_iter().filter(|(.., bad)| *bad);
    bad.map(|(name, count, _)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The results as tables, one a device.
pub(crate) fn results_text(results: &[JobResult]) -> String {
    let tables = rows::tables(results).into_iter().map(|table| {
        let rows: Vec<Vec<String>> = table.rows.into_iter().map(|row| row.to_vec()).collect();
        let right = table.columns.get(1..).unwrap_or_default();
        format!("{}\n{}", table.title, draw(&table.columns, right, &rows, 1))
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

/// What `uname -r` says.
pub(crate) fn kernel_release() -> String {
    uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.release().to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use ::bench::{Direction, LatencyNs};

    use super::*;

    /// A good result.
    pub(crate) fn result(name: &str) -> JobResult {
        JobResult {
            name: name.to_owned(),
            device: "/dev/ublkb0".to_owned(),
            data_path: "auto-zero-copy".to_owned(),
            direction: Direction::Destination,
            block_size_bytes: 4096,
            depth: 1,
            ios: 12_000,
            iops: 11_983.4,
            bandwidth_bytes_per_s: 49_084_006.4,
            latency_ns: LatencyNs {
                p50: 76_288,
                p99: 140_288,
                p99_9: 1_204_224,
            },
            pins_acquired_per_io: 1.0001,
            pins_outstanding: 0,
            daemon_pins_per_io: 0.0,
            pins_once: 0,
            cpu_ns_per_io: 61_234.5,
            verify_errors: 0,
            errors: 0,
            fio_version: "fio-3.33".to_owned(),
        }
    }

    #[test]
    fn the_tables_fit_a_terminal() {
        let results: Vec<_> = catalogue::names().map(result).collect();
        let text = results_text(&results);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        assert_eq!(
            text.lines().count(),
            2 + results.len(),
            "a row was wrapped:\n{text}"
        );
        insta::assert_snapshot!(results_text(&results[..2]));
    }

    #[test]
    fn a_bad_result_says_what_is_bad() {
        assert!(result("x").is_good());
        let bad = JobResult {
            errors: 2,
            pins_outstanding: -1,
            iops: 0.0,
            ..result("x")
        };
        assert!(!bad.is_good());
        assert_eq!(wrong(&bad), "2 errors, -1 pins left, 0 IOPS");
    }

    #[test]
    fn the_list_fits_a_terminal() {
        let jobs: Vec<_> = catalogue::all()
            .unwrap()
            .into_iter()
            .map(|job| Listed {
                name: job.name,
                direction: job.direction,
                block_size_bytes: job.block_size_bytes,
                depth: job.depth,
                description: job.description,
            })
            .collect();
        let text = list_text(&jobs);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }
}
