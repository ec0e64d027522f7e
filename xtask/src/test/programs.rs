//! Everything that is compiled for the tests, at once, and the programs among it that the guest gets.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{self, cargo, root};

/// The test program that holds the request loop itself against a counting allocator.
pub(super) const NO_ALLOCATION: &str = "no_allocation";

/// The programs of this project that the guest gets.
#[derive(Debug)]
pub(super) struct Programs {
    /// bvecd, bvecctl and bvecd-suite.
    pub(super) tools: Vec<PathBuf>,
    /// Test programs that end as bvecd-suite does.
    pub(super) tests: Vec<PathBuf>,
}

/// Builds the tests and the programs. Together, because alone the programs would get dependencies
/// without the features that only tests ask for, and these would be compiled once more.
///
/// # Errors
/// If something does not compile.
pub(super) fn build() -> Result<Programs> {
    let built = build_all()?;
    let mut command = cargo(&[
        "test",
        "--workspace",
        "--no-run",
        "--message-format=json-render-diagnostics",
        "--test",
        NO_ALLOCATION,
    ]);
    command.stderr(Stdio::inherit());
    let messages = process::output(&mut command)?;
    let no_allocation = executable(&messages, NO_ALLOCATION)
        .with_context(|| format!("failed to find the test program {NO_ALLOCATION}"))?;
    Ok(Programs {
        tools: ["bvecd", "bvecctl", "bvecd-suite"]
            .map(|name| built.join(name))
            .to_vec(),
        tests: vec![no_allocation],
    })
}

/// Builds everything there is, as the tests do, and gives the directory of the programs.
///
/// # Errors
/// If something does not compile.
pub(crate) fn build_all() -> Result<PathBuf> {
    process::run(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
    Ok(target_dir()?.join("debug"))
}

/// Where cargo puts what it builds.
fn target_dir() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let arguments = ["metadata", "--format-version=1", "--no-deps"];
    let json = process::output(cargo(&arguments).current_dir(root()))?;
    let metadata: Metadata = serde_json::from_str(&json)
        .context("failed to read what cargo says about the workspace")?;
    Ok(metadata.target_directory)
}

/// The program of a target in cargo's messages.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .find(|message| message.target.name == target)?
        .executable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"libc"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"no_allocation"},"executable":"/t/deps/no_allocation-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "no_allocation"),
            Some(PathBuf::from("/t/deps/no_allocation-1"))
        );
        assert_eq!(executable(messages, "libc"), None);
        assert_eq!(executable(messages, "other"), None);
    }
}
