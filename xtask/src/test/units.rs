//! The tests that need no device, no virtual machine and no rights: Rust's own harness runs them.

use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::reader::{Format, Reader};
use super::tally::Tally;
use crate::process::{self, cargo, say};
use crate::setup;

/// Runs the unit, integration and documentation tests of the whole workspace.
///
/// # Errors
/// If cargo cannot be started.
pub(super) fn run(filter: &[String]) -> Result<Tally> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--"]);
    command.args(filter);
    if let Some(promtool) = setup::promtool() {
        command.env("BVECD_PROMTOOL", promtool);
    }
    under_harness("unit tests", &mut command)
}

/// Runs test programs through cargo, shows what they say, and counts.
///
/// # Errors
/// If cargo cannot be started.
pub(super) fn under_harness(place: &str, command: &mut Command) -> Result<Tally> {
    say(format_args!("$ {}", process::words(command)));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start cargo")?;
    let mut reader = Reader::new(place, Format::Harness, 1);
    let output = child.stdout.take().context("failed to read from cargo")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("failed to read from cargo")?;
        let line = String::from_utf8_lossy(&line);
        if reader.take(&line) {
            // Nobody can be told about a standard output that is closed.
            let _ = writeln!(stdout(), "{line}");
        }
    }
    let status = child.wait().context("failed to wait for cargo")?;
    let mut tally = reader.finish();
    if !status.success() && tally.failed() == 0 {
        // A program that aborts has no result line.
        tally.fail(format!(
            "a test program broke off ({place}; cargo ended with {status})"
        ));
    }
    Ok(tally)
}
