//! `cargo xtask bench-peers`: what a request costs on bvecd and on others, counted in one boot with
//! their runs alternating: rublk on the same targets and data paths, and the kernel's null_blk and
//! loop as the floor.
//!
//! rublk is built and run for the comparison, in a directory outside the work tree; nothing of it
//! is linked or shipped.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cost::{self, Arguments, Row};
use crate::process::{self, cargo, say};
use crate::setup::{self, Missing};

/// The version that results are compared with; another one is another comparison.
const RUBLK_VERSION: &str = "0.2.15";

/// Counts for everybody, and leaves `target/bench-peers/result.json`.
///
/// # Errors
/// If something needed is missing or does not compile, or the virtual machine or a run in it fails.
/// No number is an error.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let rublk = rublk()?;
    let report = cost::measure(arguments, Some(&rublk), "bench-peers")?;
    cost::print(&table(&report.results));
    Ok(ExitCode::SUCCESS)
}

/// The peer's program, built at the first call and kept in the cache of the virtual machines.
fn rublk() -> Result<PathBuf> {
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

/// Each row of bvecd's with rublk's and their ratio; then the floors.
fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:6} {:15} {:26} {:>8} {:>8} {:>12}\n",
        "target", "data path", "job", "bvecd", "rublk", "bvecd/rublk"
    );
    let of = |peer: &'static str| rows.iter().filter(move |row| row.peer == peer);
    for ours in of("bvecd") {
        let theirs = of("rublk").find(|row| {
            (&row.target, &row.data_path, &row.job) == (&ours.target, &ours.data_path, &ours.job)
        });
        let (theirs, ratio) = theirs.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |row| {
                let ratio = ours.median / row.median;
                (format!("{:.0}", row.median), format!("{ratio:.3}"))
            },
        );
        let (target, path, job, median) = (&ours.target, ours.path(), &ours.job, ours.median);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{target:6} {path:15} {job:26} {median:8.0} {theirs:>8} {ratio:>12}"
        );
    }
    for peer in ["null_blk", "loop"] {
        for row in of(peer) {
            let _ = writeln!(text, "{peer:22} {:26} {:8.0}", row.job, row.median);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_what_is_alike() {
        let row = |peer, path, value| Row::sample(peer, "loop", path, value);
        let text = table(&[
            row("bvecd", "copy", 900.0),
            row("bvecd", "auto-zero-copy", 500.0),
            row("rublk", "auto-zero-copy", 400.0),
            row("rublk", "copy", 1000.0),
            row("loop", "-", 300.0),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].contains("copy") && lines[1].ends_with("0.900"),
            "{text}"
        );
        assert!(lines[2].ends_with("1.250"), "{text}");
        assert!(
            lines[3].starts_with("loop") && lines[3].ends_with("300"),
            "{text}"
        );
    }

    #[test]
    fn a_row_without_its_peer_has_no_ratio() {
        let text = table(&[Row::sample("bvecd", "null", "copy", 900.0)]);
        assert!(
            text.lines().nth(1).is_some_and(|line| line.ends_with('-')),
            "{text}"
        );
    }
}
