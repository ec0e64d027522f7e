//! Runs other programs, and speaks to the developer.

use std::env;
use std::fmt::Display;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Says something on standard error.
pub(crate) fn say(what: impl Display) {
    // Nobody can be told about a standard error that is closed.
    let _ = writeln!(stderr(), "{what}");
}

/// The root of the repository, one directory above this crate. Cargo tells where the crate is; a program that is
/// started without cargo knows where it was built. Absolute in either case: what is handed to a command that
/// runs somewhere else means the same there.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map(PathBuf::from).unwrap_or(package)
}

/// The cargo that runs us, in the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command with our output and input; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let words = words(command);
    say(format_args!("$ {words}"));
    let status = command
        .status()
        .with_context(|| format!("failed to start `{words}`"))?;
    ensure!(status.success(), "`{words}` ended with {status}");
    Ok(())
}

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let words = words(command);
    let output = command
        .output()
        .with_context(|| format!("failed to start `{words}`"))?;
    ensure!(
        output.status.success(),
        "`{words}` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy();
    command.get_args().fold(program.into_owned(), |text, word| {
        format!("{text} {}", word.to_string_lossy())
    })
}

/// What the report names: the commit, and whether the work tree differs from it.
pub(crate) fn revision() -> String {
    let mut git = Command::new("git");
    git.args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]);
    let described = output(git.current_dir(root()));
    // Sources that came without their history are no reason not to show anything.
    described.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_names_the_commit() {
        let revision = revision();
        let commit = revision.trim_end_matches("-dirty");
        assert!(commit == "unknown" || commit.len() >= 12, "{revision}");
        assert!(!revision.contains(char::is_whitespace), "{revision}");
    }
}
