//! `bvecctl bench merge`: shards of a matrix, put together.

use std::path::{Path, PathBuf};

use ::bench::record::{merge, store};
use anyhow::Result;
use clap::Args;

use super::report::{table, write};
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
The shards must have the same revision, kernel, CPUs, accelerator, governor and fio, and of the
plan the same matrix, seed, rounds, runtime and warm-up; what differs is named with both values, and
two of the same cell are refused (2). Shards that are not there are named, leave the merged file
incomplete, and make it end with 3.

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
/// A file cannot be read, they do not belong together, or a shard is missing; then what is there is merged.
pub(super) fn run(arguments: &Merge, context: &Context) -> Result<Exit> {
    let mut records = Vec::new();
    for file in &arguments.files {
        let mut record = store::load(file)?;
        merge::moved(&mut record, &seen_from(&arguments.out, file)?);
        records.push((file.display().to_string(), record));
    }
    let missing = merge::missing_shards(&records);
    let merged = merge::merge(records)?;
    let mut text = serde_json::to_string(&merged)?;
    text.push('\n');
    write(&text, &arguments.out)?;
    context.output.answer(&merged, table)?;
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    let missing = missing.join(", ");
    Err(Failure::NotMet(format!(
        "have every shard: {missing} is not among the files"
    ))
    .into())
}

/// The directory of `file` as seen from that of `out`: relative where it is the same or below, else absolute.
fn seen_from(out: &Path, file: &Path) -> Result<PathBuf> {
    let directory = |path: &Path| -> Result<PathBuf> {
        let path = std::path::absolute(path)?;
        Ok(path.parent().unwrap_or(Path::new("/")).to_owned())
    };
    let (from, to) = (directory(out)?, directory(file)?);
    Ok(to.strip_prefix(&from).map_or(to.clone(), Path::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_shards_are_below_the_merged_file_or_absolute() {
        let seen = |out: &str, file: &str| seen_from(Path::new(out), Path::new(file)).unwrap();
        assert_eq!(seen("/a/all.json", "/a/one/result.json"), Path::new("one"));
        assert_eq!(seen("/a/all.json", "/a/result.json"), Path::new(""));
        assert_eq!(
            seen("/a/b/all.json", "/a/one/result.json"),
            Path::new("/a/one")
        );
    }
}
