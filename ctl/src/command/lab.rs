//! `bvecctl lab`: what the kernel does to the pages of requests: asked, counted and searched.

mod census;
mod fuzz;
mod list;
mod matrix;
mod own_device;
mod run;
mod text;

use anyhow::Result;
use clap::{Args, Subcommand};
use lab::{Experiment, experiments};

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// What is done with experiments.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
An experiment asks the kernel one question with a request that is held. It holds, is violated (an
invariant broke), has changed (differs from what is known of this kernel version), or is skipped.

Examples:
  bvecctl lab list
  bvecctl lab explain early-data
  bvecctl lab run
  bvecctl lab matrix --kernels 6.12,7.2,7.3 --out out
  bvecctl lab census
  bvecctl lab fuzz --vectors 2000 --seed 7
  bvecctl vm run -- bvecctl lab run fork-parent-stores --repeat 5")]
pub(crate) enum Command {
    /// List the experiments.
    #[command(after_help = "Examples:\n  bvecctl lab list\n  bvecctl lab list --json")]
    List,
    /// Say what an experiment asks, what it predicts and why.
    #[command(after_help = "Examples:\n  bvecctl lab explain early-data")]
    Explain(Name),
    /// Run experiments, with a bvecd of its own.
    #[command(after_help = "\
Starts a bvecd of its own on a private socket and leaves nothing behind. Needs root and a kernel
with ublk, or with NBD, through which some cannot be asked; `bvecctl lab matrix` runs it in virtual
machines. Ends with 0 when everything holds, 1 when something is violated, 3 when something is only
changed, 4 when nothing could be asked because something is missing.

Examples:
  bvecctl lab run
  bvecctl lab run early-data pin-source --repeat 5
  bvecctl lab run --seed 7 --repeat 3
  bvecctl --json lab run --driver nbd pin-source")]
    Run(run::Arguments),
    /// Run experiments on several kernels, and draw one table of experiments and kernels.
    #[command(after_help = matrix::EXAMPLES)]
    Matrix(Box<matrix::Arguments>),
    /// Put tables of shards together, or draw one again.
    #[command(after_help = matrix::MERGE_EXAMPLES)]
    Merge(matrix::Merge),
    /// Count the pins of every way of reaching a block device, beside what the rule of 2022 says.
    Census(census::Arguments),
    /// Draw vectors of direct I/O, and look for one that leaves a pin or moves wrong data.
    Fuzz(fuzz::Arguments),
}

/// An experiment by its name.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The experiment, see `lab list`.
    name: String,
}

/// Does it.
///
/// # Errors
/// There is no such experiment, or it cannot be run here.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit> {
    match command {
        Command::List => list::list(context),
        Command::Explain(name) => list::explain(find(&name.name)?, context),
        Command::Run(arguments) => run::run(arguments, context),
        Command::Matrix(arguments) => matrix::run(arguments, context),
        Command::Merge(arguments) => matrix::merge(arguments, context),
        Command::Census(arguments) => census::run(arguments, context),
        Command::Fuzz(arguments) => fuzz::run(arguments, context),
    }
}

/// The experiment of this name.
fn find(name: &str) -> Result<&'static Experiment> {
    experiments::all()
        .chain(experiments::planted())
        .find(|experiment| experiment.name == name)
        .ok_or_else(|| {
            let near = experiments::all()
                .map(|experiment| experiment.name)
                .filter(|known| known.contains(name) || name.contains(known))
                .collect::<Vec<_>>();
            let hint = match near.as_slice() {
                [] => "`bvecctl lab list` shows them".to_owned(),
                near => format!("did you mean {}", near.join(", ")),
            };
            Failure::Input(format!(
                "find the experiment `{name}`: there is none; {hint}"
            ))
            .into()
        })
}
