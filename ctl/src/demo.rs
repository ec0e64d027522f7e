//! demo

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;

/// x
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bvecctl demo")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments, _: &Context) -> Result<Exit> {
    Ok(Exit::Done)
}
