//! `lab matrix`: experiments across kernels, each kernel in a virtual machine.

mod farm;
mod forms;
mod guest;
mod junit;
mod lines;
mod markdown;
mod page;
mod progress;
mod table;

use std::path::PathBuf;

use ::bench::record::store::save_bytes;
use ::vm::Spec;
use anyhow::{Result, anyhow};
use clap::Args;
use lab::matrix::{Matrix, Plan};
use lab::{Experiment, Verdict};

use super::run::{How, choose};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::note;
use farm::{Failed, Farm};

pub(super) const EXAMPLES: &str = "\
Boots each kernel, runs the experiments in it, and draws one table, experiment by kernel. With --out
the table is written as matrix.json while it fills and as matrix.md, .html and .xml (JUnit) at the
end, interrupted or not, beside what each run said (RELEASE.jsonl). An experiment that takes its
kernel down is violated; the rest goes on in a new guest. `lab merge` puts shards together.

Ends with 1 when something is violated, 125 when a machine failed, 3 when something is only changed,
4 when nothing could be asked, else with 0.

Examples:
  bvecctl lab matrix --kernels 6.1,6.12,7.2,7.3 --out out
  bvecctl lab matrix --kernels 7.2,7.3 --experiment fork-thp,early-data --repeat 5
  bvecctl lab matrix --kernels suite:experimental --shard 1/4 --out out
  bvecctl lab matrix --kernel ./bzImage --modules ./mods/lib/modules/7.3.0 --judge-as 7.2";

/// Which kernels, which experiments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The experiments [default: all].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The experiments, in another way of writing them.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "names"
    )]
    experiment: Vec<String>,
    /// The kernels: versions such as 6.12, suite:NAME, newest, host, or paths.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        required_unless_present = "kernel"
    )]
    kernels: Vec<Spec>,
    /// One more kernel, such as one of your own by the path of its image.
    #[arg(long, value_name = "SPEC")]
    kernel: Option<Spec>,
    /// Directory with the modules of --kernel.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
    /// Ask only the I-th of N parts of the experiments.
    #[arg(long, value_name = "I/N", value_parser = crate::command::bench::session::shard)]
    shard: Option<(usize, usize)>,
    /// Write the table in every form into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the table as Markdown here, too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Run so many kernels at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Run each experiment so many times; one whose runs differ is told.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Run them in an order drawn from this seed [default: in the order of the list].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seed: Option<u64>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    machine: guest::Machine,
    /// The revision that the table names.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    revision: String,
}

/// Asks everything.
///
/// # Errors
/// An experiment or a kernel is unknown, a machine fails, or the user interrupts; what was answered is written.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let names = [&arguments.names[..], &arguments.experiment[..]].concat();
    let all: Vec<&str> = names_of(&choose(&names)?);
    let mine = shard_of(&all, arguments.shard);
    if mine.is_empty() {
        let message = format!("take that shard: there are only {} experiments", all.len());
        return Err(Failure::Input(message).into());
    }
    let kernels = kernels(arguments);
    let plan = Plan {
        revision: arguments.revision.clone(),
        experiments: all.iter().map(|name| (*name).to_owned()).collect(),
        repeat: arguments.repeat,
        seed: arguments.seed.unwrap_or(0),
        driver: arguments.how.driver,
        judged_as: arguments.how.judge_as.map(|version| version.to_string()),
    };
    let asked: Vec<String> = kernels.iter().map(|(spec, _)| spec.to_string()).collect();
    let shard = arguments.shard.map(|(part, of)| format!("{part}/{of}"));
    let matrix = Matrix::new(plan, shard, &asked);
    let interrupt = Interrupt::watch()?;
    let guests = arguments.machine.guests(kernels)?;
    let farm = Farm::new(matrix, guests, mine, arguments.out.as_deref(), &interrupt);
    let (mut matrix, failed) = farm.run(usize::try_from(arguments.jobs)?)?;
    matrix.conclude();
    if let Some(out) = &arguments.out {
        forms::write(&matrix, out)?;
        note(format!(
            "wrote {}",
            out.join("matrix.{json,md,html,xml}").display()
        ));
    }
    let colour = super::text::wanted(context.output);
    context
        .output
        .answer(&matrix, |matrix| table::render(matrix, colour))?;
    interrupt.check()?;
    if let Some(place) = &arguments.markdown {
        save_bytes(markdown::render(&matrix).as_bytes(), place)?;
        note(format!("wrote {}", place.display()));
    }
    end(&matrix, failed)
}

fn names_of(experiments: &[&Experiment]) -> Vec<&'static str> {
    experiments
        .iter()
        .map(|experiment| experiment.name)
        .collect()
}

/// Every n-th one, so that shards take equally long.
fn shard_of<'a>(all: &[&'a str], shard: Option<(usize, usize)>) -> Vec<&'a str> {
    match shard {
        None => all.to_vec(),
        Some((part, of)) => all.iter().copied().skip(part - 1).step_by(of).collect(),
    }
}

fn kernels(arguments: &Arguments) -> Vec<(Spec, Option<PathBuf>)> {
    let listed = arguments.kernels.iter().map(|spec| (spec.clone(), None));
    let own = arguments.kernel.iter();
    let own = own.map(|spec| (spec.clone(), arguments.modules.clone()));
    listed.chain(own).collect()
}

/// The answer as an exit code. `failed` is the worst that happened to a machine.
fn end(matrix: &Matrix, failed: Option<Failed>) -> Result<Exit> {
    let judged = matrix.worst().filter(|worst| *worst != Verdict::Skipped);
    if judged == Some(Verdict::Violated) {
        return Ok(Exit::Bad);
    }
    let failures = matrix.kernels.iter().filter_map(|column| {
        let why = column.failed.as_ref()?;
        Some(format!("{}: {why}", column.asked))
    });
    let failures = failures.collect::<Vec<_>>().join("; ");
    match failed {
        Some(Failed::Input) => return Err(Failure::Input(failures).into()),
        Some(Failed::Missing) => return Err(Failure::Missing(failures).into()),
        Some(Failed::Harness) => return Err(anyhow!("get every answer: {failures}")),
        None => {}
    }
    match judged {
        Some(Verdict::Changed) => Ok(Exit::Differs),
        Some(_) => Ok(Exit::Done),
        None => {
            let message = "ask anything: every experiment was skipped, see the reasons".to_owned();
            Err(Failure::Missing(message).into())
        }
    }
}

/// `lab merge`.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// Files that `lab matrix --out` wrote.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write the merged table in every form into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) const MERGE_EXAMPLES: &str = "\
Puts shards together, and files of different kernels. They must be of the same experiments, seed and
revision; two answers to the same question are refused. Ends as `lab matrix` does, or with 3 when
something is missing: it is named. With one file it draws that file again.

Examples:
  bvecctl lab merge one/matrix.json two/matrix.json --out all
  bvecctl lab merge out/matrix.json";

/// Merges tables.
///
/// # Errors
/// A file cannot be read, files do not belong together, or something is missing.
pub(super) fn merge(arguments: &Merge, context: &Context) -> Result<Exit> {
    let mut tables = Vec::new();
    for file in &arguments.files {
        tables.push((file.display().to_string(), lab::matrix::store::load(file)?));
    }
    let merged = lab::matrix::merge::merge(tables)?;
    if let Some(out) = &arguments.out {
        forms::write(&merged, out)?;
    }
    let colour = super::text::wanted(context.output);
    context
        .output
        .answer(&merged, |merged| table::render(merged, colour))?;
    let failed = merged.kernels.iter().any(|column| column.failed.is_some());
    let exit = end(&merged, failed.then_some(Failed::Harness))?;
    let missing = merged.missing();
    if exit == Exit::Bad || missing.is_empty() {
        return Ok(exit);
    }
    Err(Failure::NotMet(format!("have every answer: {}", missing.join("; "))).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lab::matrix::table::tests::matrix;

    #[test]
    fn shards_are_disjoint_and_make_the_whole() {
        let all = ["a", "b", "c", "d", "e"];
        let shards = (1..=3).flat_map(|part| shard_of(&all, Some((part, 3))));
        let mut together: Vec<_> = shards.collect();
        together.sort_unstable();
        assert_eq!(together, all);
        assert_eq!(shard_of(&all, Some((2, 3))), ["b", "e"]);
        assert!(shard_of(&all, Some((6, 6))).is_empty());
    }

    #[test]
    fn the_exit_code_is_the_worst_answer() {
        let violated = matrix();
        assert_eq!(end(&violated, None).unwrap(), Exit::Bad);
        assert_eq!(end(&violated, Some(Failed::Harness)).unwrap(), Exit::Bad);
        let mut changed = matrix();
        for column in &mut changed.kernels {
            column
                .cells
                .retain(|cell| cell.verdict != Verdict::Violated);
        }
        assert_eq!(end(&changed, None).unwrap(), Exit::Differs);
        assert!(end(&changed, Some(Failed::Harness)).is_err());
        for column in &mut changed.kernels {
            column.cells.retain(|cell| cell.verdict == Verdict::Skipped);
        }
        let error = end(&changed, None).unwrap_err();
        assert!(error.to_string().contains("every experiment was skipped"));
    }
}
