//! `cargo xtask ci`: what must pass before a change goes in.

use anyhow::Result;

use crate::process::{self, cargo};
use crate::{setup, tidy};

/// Runs every check and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    process::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    process::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    tidy::run()?;
    process::run(&mut cargo(&["test", "--workspace"]))
}
