//! `cargo xtask cost --base REV`: this revision and another one, in turn, in the same boot of the same kernel.
//! Counts repeat, so that a small difference is one.

mod tree;

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::programs;
use super::rows::Row;
use crate::interrupt::Held;
use crate::process::cargo;
use crate::ratio::Ratio;
use tree::Tree;

/// The variant of the other revision's rows, and what its programs end in.
const BASE: &str = "base";

/// What the comparison came to.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) text: String,
    /// How many rows are compared.
    pub(super) compared: usize,
    /// How many of them cost more than is allowed.
    pub(super) regressions: usize,
}

/// Builds both, and says where the programs are. The other one is checked out below cargo's directory, and
/// gone when this returns, whatever comes.
///
/// # Errors
/// There is no such revision; one does not compile; [`crate::interrupt::Interrupted`].
pub(super) fn build(revision: &str) -> Result<Vec<PathBuf>> {
    let commit = tree::commit(revision)?;
    let held = Held::back()?;
    let base = {
        let tree = Tree::check_out(&commit, programs::target().join("cost/base"))?;
        let mut build = cargo(programs::RELEASE);
        // In the same directory of cargo's: what both depend on is built once. What is of the workspace is told
        // apart by its path.
        build.env("CARGO_TARGET_DIR", programs::target());
        held.run(build.current_dir(tree.path()))?;
        programs::keep_all(&programs::target().join("release"), "-base")?
    };
    drop(held);
    let mut programs = programs::bvecd()?;
    programs.extend(base);
    Ok(programs)
}

/// Holds each row against that of the other revision. It is a regression if the median of the rounds' ratios
/// is more than `bound` percent above 1.
pub(super) fn compare(rows: &[Row], bound: f64) -> Comparison {
    let mut comparison = Comparison {
        text: format!(
            "{:6} {:20} {:26} {:>8} {:>8} {:>7} {}\n",
            "target", "data path", "job", "base", "this", "percent", ""
        ),
        compared: 0,
        regressions: 0,
    };
    for this in rows.iter().filter(|row| row.variant.is_none()) {
        let base = rows
            .iter()
            .find(|row| row.is(BASE) && row.is_same_run(this));
        let ratio = base.and_then(|base| Ratio::of(&this.values, &base.values));
        let percent = ratio.map(|ratio| (ratio.median - 1.0) * 100.0);
        let is_worse = percent.is_some_and(|percent| percent > bound);
        comparison.compared += usize::from(percent.is_some());
        comparison.regressions += usize::from(is_worse);
        // Writing to a string cannot fail.
        let _ = writeln!(
            comparison.text,
            "{:6} {:20} {:26} {:>8} {:8.0} {:>7} {}",
            this.target,
            this.way(),
            this.job,
            base.map_or("-".into(), |base| format!("{:.0}", base.median)),
            this.median,
            percent.map_or("-".into(), |percent| format!("{percent:+.2}")),
            if is_worse { "REGRESSION" } else { "" }
        );
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds as they differ on a machine that does something else as well: by less than 1 %.
    const ROUNDS: [f64; 3] = [10_800.0, 10_850.0, 10_775.0];

    fn rows(factor: f64) -> Vec<Row> {
        let jobs = ["null/copy/per-io", "loop/auto-zero-copy/batch"];
        let row = |variant: &str, way: &str, factor: f64| {
            let values = ROUNDS.map(|value| value * factor);
            Row::sample(&format!("bvecd/{variant}/{way}"), &values)
        };
        jobs.iter()
            .flat_map(|way| [row("-", way, factor), row(BASE, way, 1.0)])
            .collect()
    }

    #[test]
    fn a_slowdown_of_five_percent_is_found() {
        let comparison = compare(&rows(1.05), 3.0);
        assert_eq!((comparison.compared, comparison.regressions), (2, 2));
        assert!(
            comparison.text.contains("+5.00 REGRESSION"),
            "{}",
            comparison.text
        );
        assert!(comparison.text.lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn it_is_found_in_one_row_of_many_and_when_rounds_differ() {
        let mut rows = rows(1.0);
        rows[2].values = vec![10_850.0 * 1.05, 10_775.0 * 1.05, 10_800.0 * 1.05];
        let comparison = compare(&rows, 3.0);
        assert_eq!((comparison.compared, comparison.regressions), (2, 1));
    }

    #[test]
    fn equal_revisions_and_improvements_pass() {
        for factor in [1.0, 1.029, 0.9] {
            assert_eq!(compare(&rows(factor), 3.0).regressions, 0, "{factor}");
        }
        // One disturbed round of three is no regression.
        let mut rows = rows(1.0);
        rows[0].values[1] *= 1.2;
        assert_eq!(compare(&rows, 3.0).regressions, 0);
    }

    #[test]
    fn what_the_base_has_not_is_shown_and_not_compared() {
        let rows = [Row::sample("bvecd/-/null/copy/batch", &ROUNDS)];
        let comparison = compare(&rows, 3.0);
        assert_eq!((comparison.compared, comparison.regressions), (0, 0));
        assert!(
            comparison.text.contains("copy batch"),
            "{}",
            comparison.text
        );
    }
}
