//! `bvecctl bench merge`: shards of a matrix, put together.

use std::path::PathBuf;

use ::bench::record::{merge, store};
use anyhow::Result;
use clap::Args;

use super::report::{table, write};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const EXAMPLES: &str = "\
The shards must be of the same matrix, seed, kernel, machine and fio; what differs is named. Shards
that are not there leave the merged file incomplete.

Examples:
  bvecctl bench run full --out one --shard 1/2
  bvecctl bench run full --out two --shard 2/2
  bvecctl bench merge one/result.json two/result.json --out all.json";

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The result files.
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// Where the merged file goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Merges them.
///
/// # Errors
/// A file cannot be read, or they do not belong together.
pub(super) fn run(arguments: &Merge, context: &Context) -> Result<Exit> {
    let mut records = Vec::new();
    for file in &arguments.files {
        records.push((file.display().to_string(), store::load(file)?));
    }
    let merged = merge::merge(records)?;
    let mut text = serde_json::to_string(&merged)?;
    text.push('\n');
    write(&text, &arguments.out)?;
    context.output.answer(&merged, table)?;
    Ok(Exit::Done)
}
