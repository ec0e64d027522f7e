//! `cargo xtask bench-peers`: what a request costs on bvecd and on others, measured in one boot with
//! their runs alternating: rublk on the same targets and data paths, the kernel's null_blk and loop, and
//! the floor, a server that answers at once and does nothing else. By the clock it is `bvecctl bench peers` in a
//! virtual machine.
//!
//! rublk is built and run for the comparison, in a directory outside the work tree; nothing of it
//! is linked or shipped.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::bench;
use crate::cost::{self, Row};
use crate::process::{self, cargo, say};
use crate::ratio::Ratio;
use crate::setup::{self, Missing};

/// The version that results are compared with; another one is another comparison.
pub(crate) const RUBLK_VERSION: &str = "0.2.15";

/// What is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Instructions of the whole guest for one request: one CPU, exact.
    #[default]
    Instructions,
    /// By the clock, on two CPUs: `bvecctl bench peers`.
    Iops,
}

/// How peers are measured.
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// What is measured.
    #[arg(long, value_enum, default_value_t)]
    measure: Measure,
    #[command(flatten)]
    cost: cost::Arguments,
}

/// Measures everybody, and leaves `target/bench-peers/result.json`.
///
/// # Errors
/// If something needed is missing or does not compile, or the virtual machine or a run in it fails.
/// No number is an error.
pub(crate) fn run(arguments: &Command) -> Result<ExitCode> {
    setup::ensure()?;
    let rublk = rublk()?;
    if arguments.measure == Measure::Iops {
        let (kernel, rounds) = (&arguments.cost.kernel, arguments.cost.rounds);
        return bench::peers(kernel, rounds, rublk);
    }
    let report = cost::measure_peers(&arguments.cost, &rublk)?;
    cost::print(&table(&report.results));
    Ok(ExitCode::SUCCESS)
}

/// The peer's program, built at the first call and kept in the cache of the virtual machines.
pub(crate) fn rublk() -> Result<PathBuf> {
    let place = vm::Cache::open()?.path(format!("peers/rublk-{RUBLK_VERSION}"));
    let program = place.join("bin/rublk");
    if program.is_file() {
        return Ok(program);
    }
    say(format_args!(
        "building rublk {RUBLK_VERSION} to compare with"
    ));
    let mut install = cargo(&["install", "rublk", "--version", RUBLK_VERSION, "--locked"]);
    process::run(install.arg("--root").arg(&place))
        .map_err(|error| Missing(format!("{error:#}")))
        .with_context(|| format!("failed to get rublk {RUBLK_VERSION}, the peer"))?;
    Ok(program)
}

/// Each row of bvecd's with rublk's of the same data path and their ratio, both also above the floor of
/// their data path and transport; then the kernel's drivers and the floors.
fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:4} {:20} {:25} {:>7} {:>7} {:>18} {}\n",
        "", "data path", "job", "bvecd", "rublk", "ratio and interval", "above floor"
    );
    let of = |peer: &'static str| rows.iter().filter(move |row| row.peer == peer);
    for ours in of("bvecd") {
        let theirs = of("rublk").find(|row| {
            (&row.target, &row.data_path, &row.job) == (&ours.target, &ours.data_path, &ours.job)
        });
        let ratio = theirs.and_then(|theirs| Ratio::of(&ours.values, &theirs.values));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:4} {:20} {:25} {:7.0} {:>7} {:>18} {}",
            ours.target,
            ours.way(),
            ours.job,
            ours.median,
            theirs.map_or("-".into(), |row| format!("{:.0}", row.median)),
            ratio.map_or("-".into(), shown),
            above_floor(rows, ours, theirs)
        );
    }
    for peer in ["floor", "null_blk", "loop", "nbd"] {
        for row in of(peer) {
            let (job, median) = (&row.job, row.median);
            // Those without a data path differ by what is behind them.
            let way = row
                .data_path
                .as_ref()
                .map_or_else(|| row.target.clone(), |_| row.way());
            let _ = writeln!(text, "{peer:8} {way:20} {job:26} {median:9.0}");
        }
    }
    text
}

fn shown(ratio: Ratio) -> String {
    format!("{:.3} {:.3}-{:.3}", ratio.median, ratio.least, ratio.most)
}

/// Instructions above the floor, ours and theirs.
fn above_floor(rows: &[Row], ours: &Row, theirs: Option<&Row>) -> String {
    // The floor has one target, null: it touches nothing.
    let floor = |row: &Row| {
        let same = |other: &&Row| {
            other.peer == "floor"
                && (&other.data_path, &other.transport, &other.job)
                    == (&row.data_path, &row.transport, &row.job)
        };
        rows.iter()
            .find(same)
            .map(|floor| row.median - floor.median)
    };
    let number = |above: Option<f64>| above.map_or("-".into(), |above| format!("{above:.0}"));
    format!(
        "{} / {}",
        number(floor(ours)),
        number(theirs.and_then(floor))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_what_is_alike() {
        let text = table(&[
            Row::sample("bvecd/-/null/copy/per-io", &[900.0]),
            Row::sample("bvecd/-/null/auto-zero-copy/batch", &[500.0]),
            Row::sample("rublk/-/null/auto-zero-copy/per-io", &[400.0]),
            Row::sample("rublk/-/null/copy/per-io", &[1000.0]),
            Row::sample("floor/-/null/copy/per-io", &[800.0]),
            Row::sample("loop/-/loop/-/-", &[300.0]),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].contains("0.900") && lines[1].ends_with("100 / 200"),
            "{text}"
        );
        assert!(
            lines[2].contains("copy batch") && lines[2].contains("1.250"),
            "{text}"
        );
        assert!(lines[2].ends_with("- / -"), "{text}");
        assert!(
            lines[4].starts_with("loop") && lines[4].ends_with("300"),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }

    #[test]
    fn a_row_without_its_peer_has_no_ratio() {
        let text = table(&[Row::sample("bvecd/-/null/copy/per-io", &[900.0])]);
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("- / -")),
            "{text}"
        );
    }
}
