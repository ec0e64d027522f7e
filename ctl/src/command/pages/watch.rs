//! `bvecctl pages --watch`: what changes.

use std::thread;
use std::time::{Duration, Instant};

use ::pages::{PageView, PagesError, Viewer};
use anyhow::{Context as _, Result};
use api::SCHEMA;
use serde::Serialize;

use super::{Arguments, Range, text};
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{Lines, note};

/// A line with `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: u32,
    /// Since the first look.
    elapsed_ns: u64,
    pid: u32,
    page: &'a PageView,
}

/// Looks until the process has ended, Ctrl-C, or enough has changed.
pub(super) fn run(
    viewer: &Viewer,
    pid: u32,
    range: Range,
    arguments: &Arguments,
    context: &Context,
) -> Result<Exit> {
    let interrupt = Interrupt::watch()?;
    let look = || viewer.snapshot(pid, range.address, range.length_bytes);
    let start = Instant::now();
    let mut lines = Lines::new();
    let mut before = look()?;
    if context.output.is_json() {
        for page in &before {
            lines.line(json(pid, Duration::ZERO, page)?)?;
        }
    } else {
        lines.line(text::table_of(&before))?;
    }
    lines.flush()?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 && !interrupt.is_raised() {
        thread::sleep(arguments.every.0);
        let after = match look() {
            Ok(after) => after,
            Err(PagesError::NoProcess { .. }) => {
                note(format!("process {pid} has ended"));
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let elapsed = start.elapsed();
        for (before, after) in before.iter().zip(&after) {
            let Some(words) = text::changes(before, after).filter(|_| left > 0) else {
                continue;
            };
            left -= 1;
            if context.output.is_json() {
                lines.line(json(pid, elapsed, after)?)?;
            } else {
                let (seconds, address) = (elapsed.as_secs_f64(), after.address);
                lines.line(format!("{seconds:>9.3} s  {address:#x}  {words}"))?;
            }
        }
        lines.flush()?;
        before = after;
    }
    Ok(Exit::Done)
}

fn json(pid: u32, elapsed: Duration, page: &PageView) -> Result<String> {
    let line = Line {
        schema: SCHEMA,
        elapsed_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        pid,
        page,
    };
    serde_json::to_string(&line).context("write a page as JSON")
}
