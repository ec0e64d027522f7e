//! `bvecctl fault extents`: which sectors a file lies on.

use std::path::PathBuf;

use anyhow::Result;
use api::SCHEMA;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::extents::{Extent, Layout, Part};
use crate::output::{or_dash, table};

pub(super) const EXAMPLES: &str = "\
The file is synced first. Sectors are those of the whole device, also for a file system on a
partition. A file system that keeps data elsewhere than it says (btrfs, overlayfs) is refused.

Examples:
  bvecctl fault extents /mnt/db/wal
  bvecctl fault extents /mnt/db/wal --file-range 0+4K --json";

/// Which file.
#[derive(Debug, Args)]
pub(crate) struct Extents {
    /// The file, or a directory.
    path: PathBuf,
    /// Only this part of it, in bytes.
    #[arg(long, value_name = "START+LENGTH")]
    file_range: Option<Part>,
}

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Found {
    schema: u32,
    path: PathBuf,
    device: u32,
    partition: Option<u32>,
    extents: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    offset_bytes: u64,
    length_bytes: u64,
    sector: Option<u64>,
    sectors: Option<u64>,
    flags: Vec<&'static str>,
}

/// Shows them. No daemon is asked.
///
/// # Errors
/// [`crate::exit::Failure::Input`]: the file is not there or not on a ublk device.
pub(super) fn run(extents: &Extents, context: &Context) -> Result<()> {
    let layout = Layout::of(&extents.path, extents.file_range.unwrap_or_default(), true)?;
    let found = Found {
        schema: SCHEMA,
        path: layout.path.clone(),
        device: layout.device,
        partition: layout.partition,
        extents: layout.extents.iter().map(Row::of).collect(),
    };
    context.output.answer(&found, text)
}

impl Row {
    fn of(extent: &Extent) -> Self {
        Self {
            offset_bytes: extent.offset_bytes,
            length_bytes: extent.length_bytes,
            sector: extent.sectors.map(|range| range.start().0),
            sectors: extent.sectors.map(|range| range.sectors()),
            flags: extent.words(),
        }
    }
}

fn text(found: &Found) -> String {
    let partition = found
        .partition
        .map_or_else(String::new, |number| format!(", partition {number}"));
    let head = format!(
        "{} is on device {}{partition}",
        found.path.display(),
        found.device
    );
    if found.extents.is_empty() {
        return format!("{head}, and has no data there");
    }
    let rows = found.extents.iter().map(|row| {
        [
            row.offset_bytes.to_string(),
            row.length_bytes.to_string(),
            or_dash(row.sector),
            or_dash(row.sectors),
            row.flags.join(" "),
        ]
    });
    let heads = ["offset", "bytes", "sector", "sectors", "flags"];
    format!("{head}\n\n{}", table(&heads, &heads[..4], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_extents_are_a_table() {
        let row = |offset_bytes, sector, flags| Row {
            offset_bytes,
            length_bytes: 4096,
            sector,
            sectors: sector.map(|_| 8),
            flags,
        };
        let found = Found {
            schema: SCHEMA,
            path: "/mnt/db/wal".into(),
            device: 0,
            partition: Some(1),
            extents: vec![
                row(0, Some(266_240), vec![]),
                row(4096, Some(4096), vec!["unwritten", "shared"]),
                row(8192, None, vec!["delayed"]),
            ],
        };
        insta::assert_snapshot!(text(&found));
    }
}
