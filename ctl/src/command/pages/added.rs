//! `bvecctl pages --added`: folios that come into the page cache of a file.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::thread;

use ::pages::{Added, PageCacheTrace, PageScope, PageState, Roots};
use anyhow::{Context as _, Result};
use api::SCHEMA;
use serde::Serialize;

use super::Arguments;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Lines, note};

/// A line with `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    added: &'a Added,
    /// None where counts cannot be had.
    state: Option<PageState>,
}

/// Shows them until Ctrl-C, or until there were enough.
pub(super) fn run(path: &Path, arguments: &Arguments, context: &Context) -> Result<Exit> {
    let inode = inode_of(path)?;
    let interrupt = Interrupt::watch()?;
    // First, as the scope takes its time: nothing that is added from now on is missed.
    let mut trace = PageCacheTrace::start(&Roots::default())?;
    let shown = path.display();
    note(format!(
        "following what is added to the page cache of {shown}"
    ));
    let scope = match PageScope::open() {
        Ok(scope) => Some(scope),
        Err(error) => {
            note(format!(
                "no counts: failed to {error}; frames are shown without"
            ));
            None
        }
    };
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut lines = Lines::new();
    while left > 0 && !interrupt.is_raised() {
        for added in trace.added()?.iter().filter(|added| added.inode == inode) {
            if left == 0 {
                break;
            }
            left -= 1;
            // The folio may have gone again, with its memory.
            let state = scope
                .as_ref()
                .and_then(|scope| scope.page_state(added.pfn).ok());
            if context.output.is_json() {
                let line = Line {
                    schema: SCHEMA,
                    added,
                    state,
                };
                lines.line(serde_json::to_string(&line).context("write a page as JSON")?)?;
            } else {
                lines.line(text(added, state.as_ref()))?;
            }
        }
        lines.flush()?;
        if left > 0 {
            thread::sleep(arguments.every.0);
        }
    }
    Ok(Exit::Done)
}

/// The inode number under which the trace names the file.
fn inode_of(path: &Path) -> Result<u64> {
    let meta = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    if meta.file_type().is_block_device() {
        // The kernel's own form of the number, which is the inode's (`bdev_add` in block/bdev.c).
        let number = meta.rdev();
        let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        return Ok(major << 20 | minor);
    }
    if meta.is_file() {
        return Ok(meta.ino());
    }
    let message = format!(
        "follow {}: expected a file or a block device",
        path.display()
    );
    Err(Failure::Input(message).into())
}

fn text(added: &Added, state: Option<&PageState>) -> String {
    let (offset, pfn) = (added.offset_bytes, added.pfn);
    let place = format!("offset {offset}  frame {pfn:#x}  order {}", added.order);
    match state {
        Some(state) => format!(
            "{place}  pins {}  refs {}  mapped {}  {}",
            state.pin_count,
            state.ref_count,
            state.map_count,
            state.flags.join(" ")
        ),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_devices_are_found_and_others_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = inode_of(file.path()).unwrap();
        assert_eq!(found, file.as_file().metadata().unwrap().ino());
        let error = inode_of(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("a file or a block device"), "{error}");
        assert!(inode_of(Path::new("/nowhere")).is_err());
    }
}
