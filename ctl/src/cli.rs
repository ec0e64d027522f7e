//! The command line: what is global, and which command it is.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::command::{
    bench, buffer, completions, dev, events, fault, features, heal, hold, lab, memory, pages,
    scenario, stats, top, vm,
};
use crate::context::Context;
use crate::demo;
use crate::exit::Exit;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  bvecctl dev add ram --size 256M
  bvecctl fault add bad 'fail:MEDIUM where op=read,lba=2048+8 when count=1'
  bvecctl fault add stop 'hold:max=30s where op=read when count=1'
  bvecctl hold list
  bvecctl heal
  bvecctl bench run rand-destination-4k-qd1
  bvecctl vm run -- sh -c 'bvecd & sleep 2; bvecctl dev add ram --size 64M'

Exit codes:
    0  done
    1  ran, and the answer is bad
    2  bad usage or input
    3  an expectation was not met
    4  something needed is missing: kernel feature, right, program
    5  bvecd cannot be reached
  125  the harness itself failed
`vm run` otherwise ends with the code of the guest's command.";

/// Makes block devices that can be stopped in the middle of a request, and looks at them.
///
/// Devices are served by bvecd, which must run (as root, on a kernel with ublk). `bvecctl vm` brings both
/// where there is neither.
#[derive(Debug, Parser)]
#[command(name = "bvecctl", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Socket of bvecd.
    #[arg(long, global = true, help_heading = "Global options", value_name = "PATH", default_value = api::paths::DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Answer with one JSON object, or one a line where it streams.
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list and remove devices.
    #[command(subcommand)]
    Dev(dev::Command),
    /// Show what this kernel and bvecd can do.
    Features(features::Arguments),
    /// Add, list and remove rules that make requests fail, wait or stop.
    #[command(subcommand)]
    Fault(fault::Command),
    /// Set a mark that rules may wait for.
    Mark(memory::Mark),
    /// Show or change the state of a device that rules may wait for.
    State(memory::State),
    /// Remove every rule and release every held request; never blocks.
    Heal(heal::Arguments),
    /// Run steps from a file, and say whether what came of them was expected.
    #[command(subcommand)]
    Scenario(scenario::Command),
    /// List, await and release held requests.
    #[command(subcommand)]
    Hold(hold::Command),
    /// Share memory with devices whose data path is shared-memory.
    #[command(subcommand)]
    Buffer(buffer::Command),
    /// Show what happened, one line each.
    Events(events::Arguments),
    /// Show what a device has done and is doing.
    Stats(stats::Arguments),
    /// Show what the devices are doing, again and again.
    Top(top::Arguments),
    /// Show the pages behind a range of a process's memory: frames, pins, references.
    Pages(pages::Arguments),
    /// Run fio jobs on a device and count what they cost.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Ask the kernel what it does to the pages of requests: experiments, a census of pins, a fuzzer.
    #[command(subcommand)]
    Lab(lab::Command),
    /// Boot a real kernel in a virtual machine and run a command in it.
    #[command(subcommand)]
    Vm(vm::Command),
    /// Show everything once: throughput, a held page, an injected error.
    Demo(demo::Arguments),
    /// Print a shell's completions.
    Completions(completions::Arguments),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Those of the command; [`crate::exit`] knows their codes.
    pub(crate) fn run(self) -> Result<Exit> {
        let context = Context::new(self.socket, Output::new(self.json));
        match self.command {
            Command::Dev(command) => dev::run(command, &context),
            Command::Features(arguments) => features::run(&arguments, &context),
            Command::Fault(command) => fault::run(command, &context),
            Command::Mark(mark) => memory::run_mark(&mark, &context),
            Command::State(state) => memory::run_state(&state, &context),
            Command::Heal(arguments) => heal::run(&arguments, &context),
            Command::Scenario(command) => scenario::run(command, &context),
            Command::Hold(command) => hold::run(command, &context),
            Command::Buffer(command) => buffer::run(command, &context),
            Command::Events(arguments) => events::run(&arguments, &context),
            Command::Stats(arguments) => stats::run(&arguments, &context),
            Command::Top(arguments) => top::run(&arguments, &context),
            Command::Pages(arguments) => pages::run(&arguments, &context),
            Command::Bench(command) => bench::run(command, &context),
            Command::Lab(command) => lab::run(&command, &context),
            Command::Vm(command) => vm::run(command, &context),
            Command::Demo(arguments) => demo::run(&arguments, &context),
            Command::Completions(arguments) => completions::run(&arguments, &context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command below the root, with its path in words.
    fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let path = format!("{path} {}", sub.get_name());
            found.push((path.clone(), sub.clone()));
            all(sub, &path, found);
        }
    }

    fn commands() -> Vec<(String, clap::Command)> {
        let mut root = Cli::command();
        root.build();
        let mut found = vec![("bvecctl".to_owned(), root.clone())];
        all(&root, "bvecctl", &mut found);
        found
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_examples_that_parse() {
        for (path, mut command) in commands() {
            let help = command.render_long_help().to_string();
            let examples: Vec<&str> = help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("bvecctl "))
                .collect();
            assert!(!examples.is_empty(), "{path} has no example");
            for example in examples {
                if let Err(error) = Cli::try_parse_from(split(example)) {
                    panic!("`{example}` in the help of {path}:\n{error}");
                }
            }
        }
    }

    /// Words as a shell splits them, as far as our examples need it.
    fn split(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.trim().chars() {
            match c {
                '\'' => quoted = !quoted,
                ';' | '|' | '>' if !quoted => break,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn no_line_of_help_is_wider_than_a_terminal() {
        for (path, mut command) in commands() {
            for line in command.render_long_help().to_string().lines() {
                assert!(line.chars().count() <= 100, "{path}: {line}");
            }
        }
    }

    #[test]
    fn global_flags_may_stand_anywhere() {
        for line in [
            "bvecctl --json --socket /s dev list",
            "bvecctl dev --json list --socket /s",
            "bvecctl dev list --socket /s --json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.json && cli.socket.to_str() == Some("/s"), "{line}");
        }
    }

    #[test]
    fn the_help_is_what_the_snapshot_shows() {
        let help: Vec<String> = commands()
            .into_iter()
            .map(|(path, mut command)| format!("## {path}\n\n{}", command.render_long_help()))
            .collect();
        insta::assert_snapshot!(help.join("\n"));
    }
}
