//! `cargo xtask ci`: what must pass before a change goes in.

use std::process::ExitCode;

use anyhow::Result;

use crate::process::{self, cargo};
use crate::{browser, setup, test, tidy};

/// Runs every check and stops at the first that fails. The tests come last, so that the last line is
/// their sum.
///
/// # Errors
/// If a check other than the tests fails.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure_all()?;
    process::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    // Cargo takes all targets, which leaves out those with `test = false`, or a list of some.
    clippy(&["--all-targets"])?;
    clippy(
        &test::SPECIAL_PROGRAMS
            .map(|program| ["--test", program])
            .concat(),
    )?;
    tidy::run()?;
    browser::check()?;
    test::run(&test::Arguments::default())
}

fn clippy(targets: &[&str]) -> Result<()> {
    let words = [
        &["clippy", "--workspace"],
        targets,
        &["--", "--deny", "warnings"],
    ]
    .concat();
    process::run(&mut cargo(&words))
}
