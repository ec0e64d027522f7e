//! `bvecctl completions`: what a shell needs to complete our words.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;

/// Which shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bvecctl completions bash > /etc/bash_completion.d/bvecctl
  bvecctl completions fish > ~/.config/fish/completions/bvecctl.fish")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints them, as the shell takes them whatever `--json` says.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    context.output.line(script(arguments.shell).trim_end())?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "bvecctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["release", "kernels"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
