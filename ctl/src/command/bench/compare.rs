//! `bvecctl bench compare`: two result files against each other.

use std::path::PathBuf;

use ::bench::compare::side::Side;
use ::bench::compare::{Comparison, Metric, Options, Row, compare};
use ::bench::statistics::verdict::Verdict;
use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{draw, note};

pub(super) const EXAMPLES: &str = "\
Understands files of `bench run --out`, and those of `cargo xtask cost` and `bench-peers`. A
difference is told when the bootstrap interval of the ratio leaves out 1 and the difference is above
the noise floor, which is what equal things would differ by in one of twenty comparisons, judged
from the repeats. The interval is of 95 %, or of what so few repeats can say: 90 % for three a side,
none for one. Less than three repeats of a time say nothing. Ends with 1 when something is
slower, and with 2 when the files have nothing in common. clean-p99 is that of the requests that no rule fired on, so that a run under a scenario can
be held against one without; a session of a matrix can have both, measured in turn.

Examples:
  bvecctl bench compare before/result.json after/result.json
  bvecctl bench compare a.json b.json --metric iops,p99 --least 2
  bvecctl bench compare without.json with.json --metric clean-p99
  bvecctl bench compare session.json --metric clean-p99
  bvecctl bench compare a.json b.json --json";

/// Which files, and by what.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The result file that is compared with.
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The result file that is compared; without it the cells of BASE with rules are held against
    /// those without.
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    /// What is compared; instructions always are.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "iops,p99")]
    metric: Vec<Word>,
    /// The least difference that matters, in per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    least: f64,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// A metric on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Word {
    Iops,
    Bandwidth,
    P50,
    P99,
    #[value(name = "p99.9")]
    P99_9,
    CleanP99,
    Cpu,
}

impl From<Word> for Metric {
    fn from(word: Word) -> Self {
        match word {
            Word::Iops => Self::Iops,
            Word::Bandwidth => Self::Bandwidth,
            Word::P50 => Self::P50,
            Word::P99 => Self::P99,
            Word::P99_9 => Self::P99_9,
            Word::CleanP99 => Self::CleanP99,
            Word::Cpu => Self::Cpu,
        }
    }
}

/// Compares them.
///
/// # Errors
/// A file cannot be read or is no result file, or the two have nothing in common.
pub(super) fn run(arguments: &Compare, context: &Context) -> Result<Exit> {
    let (base, new) = match &arguments.new {
        Some(new) => (Side::load(&arguments.base)?, Side::load(new)?),
        None => Side::halves(&arguments.base)?,
    };
    let options = Options {
        metrics: arguments.metric.iter().map(|word| (*word).into()).collect(),
        least: arguments.least / 100.0,
        seed: arguments.seed,
    };
    let comparison = compare(&base, &new, &options);
    if comparison.rows.is_empty() {
        let sides = match arguments.new {
            Some(_) => [("the base", &base), ("the new file", &new)],
            None => [("without rules it", &base), ("with rules it", &new)],
        };
        return Err(nothing(sides, &comparison).into());
    }
    context.output.answer(&comparison, text)?;
    for warning in comparison.warnings.iter().chain(&comparison.unmatched) {
        note(warning);
    }
    Ok(match comparison.verdict {
        Verdict::Slower => Exit::Bad,
        Verdict::Faster | Verdict::CannotTell => Exit::Done,
    })
}

/// The sides have no value to be compared.
fn nothing(sides: [(&str, &Side); 2], comparison: &Comparison) -> Failure {
    let [base, new] = sides.map(|(name, side)| format!("{name} has {}", side.cells()));
    let mut text =
        format!("compare them: no cell has the metric asked for on both sides; {base}, {new}");
    if let Some(why) = comparison
        .unmatched
        .iter()
        .find(|why| why.contains("job file"))
    {
        text = format!("{text}; {why}");
    }
    Failure::Input(text)
}

pub(super) const HEADS: [&str; 6] = [
    "cell",
    "metric",
    "base",
    "new",
    "ratio (interval)",
    "verdict",
];

fn text(comparison: &Comparison) -> String {
    let rows: Vec<Vec<String>> = comparison.rows.iter().map(row).collect();
    let verdict = comparison.verdict.name();
    let table = draw(&HEADS, &["base", "new"], &rows, 1);
    format!("{table}\n\n{verdict}")
}

pub(super) fn row(row: &Row) -> Vec<String> {
    let answer = &row.answer;
    let ratio = answer.interval.map_or_else(
        || format!("{:.3}", row.new / row.base),
        |it| {
            let level = it.level * 100.0;
            format!(
                "{:.3} ({:.3}-{:.3}, {level:.0} %)",
                it.ratio, it.low, it.high
            )
        },
    );
    let floor = answer.noise_floor.map_or_else(
        || "too few repeats".to_owned(),
        |floor| format!("noise {:.1} %", floor * 100.0),
    );
    vec![
        row.cell.clone(),
        row.metric.name().to_owned(),
        short(row.base),
        short(row.new),
        ratio,
        format!("{} ({floor})", answer.verdict.name()),
    ]
}

fn short(value: f64) -> String {
    if value >= 1e7 {
        format!("{value:.3e}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    fn counted(cells: &[(&str, f64)]) -> Side {
        Side::parse(&counted_text(cells)).unwrap()
    }

    fn counted_text(cells: &[(&str, f64)]) -> String {
        let rows: Vec<String> = cells
            .iter()
            .map(|(job, count)| {
                format!(
                    "{{\"peer\":\"bvecd\",\"target\":\"null\",\"data_path\":\"auto-zero-copy\",\"transport\":\"per-io\",\
                     \"job\":\"{job}\",\"measure\":\"instructions_per_io\",\"values\":[{count}]}}"
                )
            })
            .collect();
        format!(
            "{{\"schema\":1,\"kernel\":\"7.3\",\"results\":[{}]}}",
            rows.join(",")
        )
    }

    #[test]
    fn nothing_in_common_is_an_error_that_says_what_each_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, job: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, counted_text(&[(job, 1.0)])).unwrap();
            path
        };
        let arguments = Compare {
            base: file("a.json", "rand-destination-4k-qd1"),
            new: Some(file("b.json", "rand-source-4k-qd1")),
            metric: vec![Word::Iops],
            least: 0.0,
            seed: 1,
        };
        let context = Context::new("/none".into(), Output::new(false));
        let error = run(&arguments, &context).unwrap_err();
        let text = error.to_string();
        for job in ["rand-destination-4k-qd1", "rand-source-4k-qd1"] {
            assert!(text.contains(job), "{text}");
        }
        let failure: &Failure = error.downcast_ref().unwrap();
        assert!(matches!(failure, Failure::Input(_)));
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let base = counted(&[
            ("rand-destination-4k-qd1", 23_500.0),
            ("rand-source-4k-qd32", 11_000.0),
        ]);
        let new = counted(&[
            ("rand-destination-4k-qd1", 24_700.0),
            ("rand-source-4k-qd32", 10_990.0),
        ]);
        let options = Options {
            metrics: vec![Metric::Iops],
            least: 0.0,
            seed: 1,
        };
        let text = text(&compare(&base, &new, &options));
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("cell") && lines[0].ends_with("verdict"),
            "{text}"
        );
        assert!(
            text.contains("1.051") && text.contains("slower (noise 1.0 %)"),
            "{text}"
        );
        assert_eq!(lines.last(), Some(&"slower"));
    }
}
