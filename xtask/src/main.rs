//! `cargo xtask`: everything a developer of bvecd does that is not `cargo build`.
//!
//! This file is the table of contents; each verb has a file. Nothing here may need libclang, since
//! `cargo xtask setup` is what installs it.

mod bench;
mod browser;
mod ci;
mod cost;
mod demo;
mod guest_nbd;
mod interrupt;
mod lab;
mod peers;
mod process;
mod ratio;
mod schemathesis;
mod setup;
mod test;
mod tidy;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer tasks of bvecd.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    after_help = "Exit codes: 0 done, 1 a check failed, 2 bad usage, 4 something needed is missing,\n\
                  125 the virtual machine failed."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install what the other verbs need, or say what is missing.
    Setup,
    /// Run every test: on this machine, and on real devices in a virtual machine.
    Test(test::Arguments),
    /// Show everything once, in a virtual machine, and leave a report in target/demo.
    Demo(demo::Arguments),
    /// Ask a kernel what it does to the pages of held requests, in a virtual machine.
    Lab(lab::Arguments),
    /// Measure a matrix of devices and jobs in a virtual machine, and leave a report in target/bench.
    Bench(bench::Arguments),
    /// Count what a request to bvecd costs, in guest instructions.
    Cost(cost::Command),
    /// Count what a request costs on bvecd, on rublk and on the kernel's own drivers.
    BenchPeers(peers::Command),
    /// Hold the API against its OpenAPI document, with requests that schemathesis makes up.
    Schemathesis(schemathesis::Arguments),
    /// Open pages in headless Chromium, as a phone, a desktop, in the dark and on paper, and say what is wrong with them.
    Look(browser::Arguments),
    /// Format check, clippy, tidy and tests, as the continuous integration runs them.
    Ci,
    /// Check the invariants of the architecture.
    Tidy,
}

/// What was asked for makes no sense; the text says why.
#[derive(Debug)]
struct BadUsage(String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUsage {}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.verb {
        Verb::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::Lab(arguments) => lab::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Cost(arguments) => cost::run(&arguments),
        Verb::BenchPeers(arguments) => peers::run(&arguments),
        Verb::Schemathesis(arguments) => schemathesis::run(&arguments),
        Verb::Look(arguments) => browser::run(&arguments),
        Verb::Ci => ci::run(),
        Verb::Tidy => tidy::run().map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            match error.downcast_ref::<vm::Error>() {
                // Its messages are fragments that say where and why by themselves.
                Some(error) => process::say(format_args!("error: failed to {error}")),
                None => process::say(format_args!("error: {error:#}")),
            }
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The documented exit code of an error.
fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<setup::Missing>() {
        4
    } else if error.is::<BadUsage>() {
        2
    } else if let Some(interrupted) = error.downcast_ref::<interrupt::Interrupted>() {
        interrupted.exit_code()
    } else if let Some(error) = error.downcast_ref::<vm::Error>() {
        error.exit_code()
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn exit_codes_survive_context() {
        let missing = anyhow::Error::new(setup::Missing(String::new())).context("setting up");
        assert_eq!(exit_code(&missing), 4);
        let machine = anyhow::Error::new("x y".parse::<vm::Spec>().unwrap_err());
        assert_eq!(exit_code(&machine), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("a check failed")), 1);
    }
}
