//! `cargo xtask bench-peers`: what a request costs on bvecd and on others, measured in one boot with
//! their runs alternating: rublk on the same targets and data paths, the kernel's null_blk and loop, and
//! the floor, a server that answers at once and does nothing else.
//!
//! rublk is built and run for the comparison, in a directory outside the work tree; nothing of it
//! is linked or shipped.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cost::{self, Arguments, Measure, Row};
use crate::process::{self, cargo, say};
use crate::ratio::{Ratio, Verdict};
use crate::setup::{self, Missing};

/// The version that results are compared with; another one is another comparison.
const RUBLK_VERSION: &str = "0.2.15";

/// Measures everybody, and leaves `target/bench-peers/result.json`.
///
/// # Errors
/// If something needed is missing or does not compile, or the virtual machine or a run in it fails.
/// No number is an error.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let rublk = rublk()?;
    let report = cost::measure_peers(arguments, &rublk)?;
    cost::print(&table(&report.results, arguments.measure));
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

/// Each row of bvecd's with rublk's of the same data path and their ratio, both also above the floor of
/// their data path and transport; then the kernel's drivers and the floors.
fn table(rows: &[Row], measure: Measure) -> String {
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
            last_column(rows, ours, theirs, ratio, measure)
        );
    }
    if measure == Measure::Iops {
        text += &zero_copy_against_copy(rows);
    }
    for peer in ["floor", "null_blk", "loop"] {
        for row in of(peer) {
            let (way, job, median) = (row.way(), &row.job, row.median);
            let _ = writeln!(text, "{peer:8} {way:20} {job:26} {median:9.0}");
        }
    }
    text
}

/// By the clock, what bvecd's zero copy gains over its copies, of rounds that follow each other.
fn zero_copy_against_copy(rows: &[Row]) -> String {
    let mut text = "bvecd's auto-zero-copy to its copy\n".to_owned();
    let on = |path: &'static str| {
        rows.iter()
            .filter(move |row| row.peer == "bvecd" && row.way() == path)
    };
    for zero in on("auto-zero-copy") {
        let same = |row: &&Row| (&row.target, &row.job) == (&zero.target, &zero.job);
        let copy = on("copy").find(same);
        if let Some(ratio) = copy.and_then(|copy| Ratio::of(&zero.values, &copy.values)) {
            let (target, job, verdict) = (&zero.target, &zero.job, word(ratio));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{target:4} {job:26} {:>18} {verdict}", shown(ratio));
        }
    }
    text
}

/// What the interval of a ratio of speeds allows to say.
fn word(ratio: Ratio) -> &'static str {
    match ratio.verdict() {
        Verdict::More => "faster",
        Verdict::Less => "slower",
        Verdict::CannotTell => "cannot tell",
    }
}

fn shown(ratio: Ratio) -> String {
    format!("{:.3} {:.3}-{:.3}", ratio.median, ratio.least, ratio.most)
}

/// Instructions above the floor, ours and theirs; by the clock, what the interval allows to say.
fn last_column(
    rows: &[Row],
    ours: &Row,
    theirs: Option<&Row>,
    ratio: Option<Ratio>,
    measure: Measure,
) -> String {
    if measure == Measure::Iops {
        return ratio.map_or("", word).to_owned();
    }
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

    const COUNTED: Measure = Measure::InstructionsPerIo;

    #[test]
    fn the_table_compares_what_is_alike() {
        let text = table(
            &[
                Row::sample("bvecd/-/null/copy/per-io", &[900.0]),
                Row::sample("bvecd/-/null/auto-zero-copy/batch", &[500.0]),
                Row::sample("rublk/-/null/auto-zero-copy/per-io", &[400.0]),
                Row::sample("rublk/-/null/copy/per-io", &[1000.0]),
                Row::sample("floor/-/null/copy/per-io", &[800.0]),
                Row::sample("loop/-/loop/-/-", &[300.0]),
            ],
            COUNTED,
        );
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
    fn by_the_clock_only_what_is_sure_is_said() {
        let rows = |ours: &[f64]| {
            [
                Row::sample("bvecd/-/null/copy/per-io", ours),
                Row::sample("rublk/-/null/copy/per-io", &[100.0, 100.0]),
            ]
        };
        for (ours, verdict) in [
            ([101.0, 120.0], "faster"),
            ([80.0, 99.0], "slower"),
            ([80.0, 120.0], "cannot tell"),
        ] {
            let text = table(&rows(&ours), Measure::Iops);
            assert!(
                text.lines()
                    .nth(1)
                    .is_some_and(|line| line.ends_with(verdict)),
                "{text}"
            );
        }
    }

    #[test]
    fn by_the_clock_zero_copy_is_held_against_copy() {
        let rows = [
            Row::sample("bvecd/-/brd/copy/per-io", &[100.0, 110.0]),
            Row::sample("bvecd/-/brd/auto-zero-copy/per-io", &[150.0, 165.0]),
            Row::sample("bvecd/-/brd/auto-zero-copy/batch", &[1.0, 1.0]),
            Row::sample("bvecd/-/null/auto-zero-copy/per-io", &[1.0, 1.0]),
        ];
        let text = zero_copy_against_copy(&rows);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("1.500") && text.contains("faster"), "{text}");
        assert!(table(&rows, Measure::Iops).contains(&text));
        assert!(!table(&rows, COUNTED).contains("its copy"));
    }

    #[test]
    fn a_row_without_its_peer_has_no_ratio() {
        let text = table(
            &[Row::sample("bvecd/-/null/copy/per-io", &[900.0])],
            COUNTED,
        );
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("- / -")),
            "{text}"
        );
    }
}
