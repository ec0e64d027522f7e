//! `cargo xtask lab`: `bvecctl lab matrix` on the kernels that this project is held against.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use vm::Spec;

use crate::demo;
use crate::process::{self, cargo, root, say, words};
use crate::setup;

/// Where the table goes below cargo's directory.
const RESULTS: &str = "lab";
/// The table in the documentation.
const DOCUMENT: &str = "docs/lab.md";

/// Which kernels, and what `bvecctl lab matrix` is told.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  cargo xtask lab
  cargo xtask lab --kernel 7.3 -- --repeat 5
  cargo xtask lab --kernel 6.12,7.3 -- early-data fork-thp --jobs 2
  cargo xtask lab --document")]
pub(crate) struct Arguments {
    /// The kernels of the virtual machines: versions such as 6.12, suite:NAME, newest, or paths.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "6.1,6.12,7.2,7.3"
    )]
    kernel: Vec<Spec>,
    /// Write the table to docs/lab.md as well.
    #[arg(long)]
    document: bool,
    /// Arguments of `bvecctl lab matrix`; a `--json` among them is fine.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs it in our place: its exit code is ours, and a Ctrl-C is for it.
///
/// # Errors
/// If something needed is missing, does not compile, or bvecctl cannot be started.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let packages = ["--package", "vm", "--package", "daemon", "--package", "ctl"];
    process::run(&mut cargo(&[&["build", "--bins"][..], &packages].concat()))?;
    let mut command = command(arguments, &demo::target());
    say(format_args!("$ {}", words(&command)));
    let error = command.exec();
    Err(error).context("failed to start bvecctl")
}

fn command(arguments: &Arguments, target: &Path) -> Command {
    let built: PathBuf = target.join("debug");
    let kernels: Vec<String> = arguments.kernel.iter().map(ToString::to_string).collect();
    let mut command = Command::new(built.join("bvecctl"));
    command
        .args(["lab", "matrix", "--kernels", &kernels.join(",")])
        .args(["--revision", &process::revision()]);
    // It may be given once only.
    let is_out = |word: &String| word == "--out" || word.starts_with("--out=");
    if !arguments.arguments.iter().any(is_out) {
        command.arg("--out").arg(target.join(RESULTS));
    }
    if arguments.document {
        command.arg("--markdown").arg(root().join(DOCUMENT));
    }
    command.args(&arguments.arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bvecctl_is_told_everything() {
        let arguments = Arguments {
            kernel: vec![Spec::Newest, Spec::Version("6.12".to_owned())],
            document: true,
            arguments: vec!["early-data".to_owned(), "--json".to_owned()],
        };
        let words = words(&command(&arguments, Path::new("/t")));
        assert!(
            words.starts_with("bvecctl lab matrix --kernels newest,6.12 --revision "),
            "{words}"
        );
        assert!(words.contains(" --out /t/lab "), "{words}");
        assert!(words.ends_with("docs/lab.md early-data --json"), "{words}");
    }

    #[test]
    fn another_place_for_the_table_is_in_the_place_of_ours() {
        let arguments = Arguments {
            arguments: vec!["--out".to_owned(), "mine".to_owned()],
            ..Arguments::default()
        };
        let words = words(&command(&arguments, Path::new("/t")));
        assert_eq!(words.matches("--out").count(), 1, "{words}");
        assert!(words.ends_with("--out mine"), "{words}");
    }
}
