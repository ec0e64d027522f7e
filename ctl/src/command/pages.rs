//! `bvecctl pages`: the pages behind a range of a process's memory.

mod added;
mod sources;
mod text;
mod watch;

use std::path::PathBuf;
use std::str::FromStr;

use ::pages::{Missing, PageView, Pins, Roots, Viewer};
use anyhow::Result;
use api::SCHEMA;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::note;
use crate::units::{Size, Span};

/// Which memory to look at.
#[derive(Debug, Args)]
#[command(after_help = "\
One line a page. Pins, references and mappings of a page in a large folio are those of the folio.
The letters: e exclusive, d soft-dirty, f file or shared, w write-protected by userfaultfd, g guard.

Counts need root, /proc/kcore and a kernel with BTF. Where they cannot be had, the reason is told and
what there is instead is shown: whether a page may be pinned, asked of its soft-dirty bit, which
clears those bits in the whole process (--pins none keeps them).

Examples:
  bvecctl pages 4711 0x7f0012345000
  bvecctl pages 4711 0x7f0012345000+64K --json
  bvecctl pages 4711 0x7f0012345000+8K --watch
  bvecctl pages --added /dev/ublkb0 --count 16
  bvecctl pages --sources")]
pub(crate) struct Arguments {
    /// The process.
    #[arg(required_unless_present_any = ["sources", "added"])]
    pid: Option<u32>,
    /// The address, decimal or 0x hexadecimal, and perhaps a length.
    #[arg(value_name = "ADDR[+LEN]", required_unless_present_any = ["sources", "added"])]
    range: Option<Range>,
    /// From where it is learnt whether pages are pinned.
    #[arg(long, value_enum, default_value = "auto")]
    pins: PinsFrom,
    /// Show every page once, then each change, until the process ends or Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Look this often.
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    every: Span,
    /// End after so many changes or additions.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Show each folio that buffered I/O on a file or block device adds to the page cache, with its
    /// state at that time.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["pid", "range", "watch"])]
    added: Option<PathBuf>,
    /// Show what can be learnt about pages here, and what the rest would take.
    #[arg(long, conflicts_with_all = ["pid", "range", "watch", "added"])]
    sources: bool,
}

/// [`Pins`] as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PinsFrom {
    /// Counts if they can be had, else the soft-dirty oracle.
    Auto,
    /// Counts, or fail.
    Kcore,
    /// The soft-dirty oracle, which needs no privilege and clears the process's soft-dirty bits.
    SoftDirty,
    /// From nowhere.
    None,
}

impl From<PinsFrom> for Pins {
    fn from(from: PinsFrom) -> Self {
        match from {
            PinsFrom::Auto => Self::Auto,
            PinsFrom::Kcore => Self::Kcore,
            PinsFrom::SoftDirty => Self::SoftDirty,
            PinsFrom::None => Self::None,
        }
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    address: u64,
    length_bytes: u64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('+') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let number = match address.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => address.parse(),
        };
        let address = number.map_err(|_| {
            format!("column 1: found `{address}`, expected an address such as 0x7f0012345000")
        })?;
        let length_bytes = match length {
            Some(length) => {
                let Size(bytes) = length
                    .parse()
                    .map_err(|error| format!("after `+`: {error}"))?;
                bytes
            }
            None => 1,
        };
        Ok(Self {
            address,
            length_bytes,
        })
    }
}

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Pages<'a> {
    schema: u32,
    pid: u32,
    pages: Vec<PageView>,
    /// What could not be had.
    missing: &'a [Missing],
}

/// Shows them.
///
/// # Errors
/// There is no such process, or what was asked for needs a right or a part of the kernel that is missing.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let roots = Roots::default();
    if arguments.sources {
        return sources::run(&roots, context);
    }
    if let Some(path) = &arguments.added {
        return added::run(path, arguments, context);
    }
    let (Some(pid), Some(range)) = (arguments.pid, arguments.range) else {
        // clap insists on both.
        return Ok(Exit::Done);
    };
    let viewer = Viewer::open(roots, arguments.pins.into())?;
    for missing in viewer.missing() {
        note(format!(
            "no {}: {}; shown instead: {}",
            missing.what, missing.why, missing.instead
        ));
    }
    if arguments.watch {
        return watch::run(&viewer, pid, range, arguments, context);
    }
    let answer = Pages {
        schema: SCHEMA,
        pid,
        pages: viewer.snapshot(pid, range.address, range.length_bytes)?,
        missing: viewer.missing(),
    };
    context
        .output
        .answer(&answer, |answer| text::table_of(&answer.pages))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = |address, length_bytes| {
            Ok(Range {
                address,
                length_bytes,
            })
        };
        assert_eq!("4096".parse(), range(4096, 1));
        assert_eq!("0x1f000+64K".parse(), range(0x1f000, 64 << 10));
        for (bad, needle) in [
            ("", "column 1: found ``"),
            ("7f00", "found `7f00`, expected an address"),
            ("0x", "expected an address"),
            ("0x1000+", "after `+`: column 1: found nothing"),
            ("0x1000+4X", "after `+`: column 2: found `X`"),
            ("-1", "found `-1`"),
        ] {
            let error = bad.parse::<Range>().unwrap_err();
            assert!(error.contains(needle), "{bad}: {error}");
        }
    }
}
