//! `cargo xtask test`: every test that there is, and one line with what came of them.
//!
//! First the tests that need nothing but the compiler, then those that boot virtual machines, then in
//! one virtual machine, or in several side by side, all that need a real ublk device.

mod boots;
mod devices;
mod programs;
mod reader;
mod split;
mod tally;
mod units;

use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vm::{Cache, Kernel, Progress, Spec};

use crate::setup;
pub(crate) use programs::build_all;
pub(crate) use split::Shard;
use tally::Tally;

/// What is tested, and on what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also boot 50 times in a row, and run the device tests on the newest kernel, 7.2 and 6.12 with every
    /// cell of the conformance table: 100,000 steps in each on the newest, where storms are ten times as
    /// long as well, 2,000 on the others. About four hours of one CPU.
    #[arg(long)]
    full: bool,
    /// Run the device tests in so many virtual machines side by side [default: 2, or the CPUs if that is fewer;
    /// 1 with a filter; the CPUs with --full].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: Option<u32>,
    /// Run part I of N of the device tests, so that N machines share them; the tests that are not on
    /// devices belong to part 1.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// The kernel of the virtual machines: newest, a version such as 6.12, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
    /// Run only the tests whose names contain one of these.
    filter: Vec<String>,
}

impl Default for Arguments {
    /// What the continuous integration runs.
    fn default() -> Self {
        Self {
            full: false,
            jobs: None,
            shard: Shard::WHOLE,
            kernel: Spec::Newest,
            filter: Vec::new(),
        }
    }
}

/// The kernels of `--full`: the newest there is, the oldest that is supported, one in between.
const ALL_KERNELS: [&str; 3] = ["newest", "7.2", "6.12"];

/// The test programs with `test = false`: a plain `cargo test` leaves them out.
pub(crate) const SPECIAL_PROGRAMS: [&str; 2] = [boots::PROGRAM, programs::NO_ALLOCATION];

/// Runs the tests; the last line on standard output is the sum.
///
/// # Errors
/// If there is no such kernel, something does not compile, or no virtual machine can be made.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let kernels = kernels(arguments)?;
    // Before minutes go by: a kernel that is not there, or must be fetched.
    let (cache, progress) = (Cache::open()?, Progress::new(false));
    for spec in &kernels {
        Kernel::find(spec, None, &cache, &progress)?;
    }
    let filter = &arguments.filter;
    let programs = programs::build()?;
    let mut tally = Tally::default();
    if arguments.shard.is_first() {
        tally += units::run(filter)?;
        tally += boots::run(&arguments.kernel, filter)?;
        if arguments.full {
            tally += boots::in_a_row()?;
        }
    }
    let jobs = arguments.jobs;
    let jobs = jobs.unwrap_or_else(|| split::default_jobs(arguments.full, !filter.is_empty()));
    for shares in split::shares(&kernels, arguments.full, arguments.shard, jobs) {
        tally += devices::run(&shares, &programs, filter)?;
    }
    // A part may have none of a few tests.
    let filter = if arguments.shard == Shard::WHOLE {
        filter
    } else {
        &[][..]
    };
    let (lines, code) = report(&tally, filter, is_ci());
    // Nobody can be told about a standard output that is closed; the exit code stays.
    let _ = writeln!(stdout(), "\n{}", lines.join("\n"));
    Ok(code)
}

/// The kernels that the device tests run on, each once.
fn kernels(arguments: &Arguments) -> Result<Vec<Spec>, vm::Error> {
    let mut kernels = vec![arguments.kernel.clone()];
    for text in ALL_KERNELS.into_iter().filter(|_| arguments.full) {
        let spec = text.parse()?;
        if !kernels.contains(&spec) {
            kernels.push(spec);
        }
    }
    Ok(kernels)
}

/// What came of everything: the last lines, and the exit code.
fn report(tally: &Tally, filter: &[String], ci: bool) -> (Vec<String>, ExitCode) {
    let mut lines = tally.details();
    let nothing = !filter.is_empty() && tally.is_empty();
    if nothing {
        lines.push(format!("no test has a name with {}", filter.join(" or ")));
    }
    let skipped_in_ci = ci && tally.skipped() > 0;
    if skipped_in_ci {
        lines.push("CI is set: a skipped test fails the run".into());
    }
    lines.push(tally.summary());
    let bad = tally.failed() > 0 || nothing || skipped_in_ci;
    let code = if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    (lines, code)
}

/// Says whether this is a continuous integration: nearly all of them set `CI=true`.
fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::reader::{Format, Reader};
    use super::*;

    fn tally(lines: &str) -> Tally {
        let mut reader = Reader::new("t", Format::Suite, 1);
        for line in lines.lines() {
            reader.take(line);
        }
        reader.finish()
    }

    fn succeeds(tally: &Tally, filter: &[&str], ci: bool) -> bool {
        let filter: Vec<_> = filter.iter().map(|&word| word.to_owned()).collect();
        let (lines, code) = report(tally, &filter, ci);
        assert_eq!(lines.last(), Some(&tally.summary()));
        code == ExitCode::SUCCESS
    }

    #[test]
    fn full_means_every_kernel_once() {
        let of = |kernel: &str, full| {
            let arguments = Arguments {
                full,
                kernel: kernel.parse().unwrap(),
                ..Arguments::default()
            };
            let kernels = kernels(&arguments).unwrap();
            kernels.iter().map(Spec::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("7.3", false), ["7.3"]);
        assert_eq!(of("newest", true), ["newest", "7.2", "6.12"]);
        assert_eq!(of("6.12", true), ["6.12", "newest", "7.2"]);
    }

    #[test]
    fn a_failure_fails_the_run() {
        assert!(succeeds(&tally("3 passed, 0 failed, 0 skipped"), &[], true));
        assert!(!succeeds(
            &tally("3 passed, 1 failed, 0 skipped"),
            &[],
            false
        ));
    }

    #[test]
    fn a_skip_fails_the_run_in_ci_only() {
        let skipped = tally("skipped         a::b: no fio\n3 passed, 0 failed, 1 skipped");
        assert!(succeeds(&skipped, &[], false));
        assert!(!succeeds(&skipped, &[], true));
    }

    #[test]
    fn a_filter_that_fits_nothing_fails_the_run() {
        let none = tally("0 passed, 0 failed, 0 skipped");
        assert!(succeeds(&none, &[], true));
        assert!(!succeeds(&none, &["typo"], false));
    }
}
