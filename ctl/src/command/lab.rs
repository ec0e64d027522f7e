//! `bvecctl lab`: what the kernel does to the pages of requests, counted and searched.

mod census;
mod fuzz;
mod own_device;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;

/// What is asked of the kernel.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl lab census
  bvecctl lab fuzz --vectors 2000 --seed 7")]
pub(crate) enum Command {
    /// Count the pins of every way of reaching a block device, beside what the rule of 2022 says.
    Census(census::Arguments),
    /// Draw vectors of direct I/O, and look for one that leaves a pin or moves wrong data.
    Fuzz(fuzz::Arguments),
}

/// Does it.
///
/// # Errors
/// The daemon cannot be reached, or something that is needed is missing.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Census(arguments) => census::run(arguments, context),
        Command::Fuzz(arguments) => fuzz::run(arguments, context),
    }
}
