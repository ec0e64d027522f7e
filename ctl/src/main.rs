//! bvecctl: makes devices, breaks them, looks at them and measures them.
//!
//! This file is the table of contents: [`cli`] is the command line, each command has a file under
//! [`command`], and what they share is in [`context`] (the daemon), [`output`] (tables and JSON), [`units`]
//! (sizes), [`exit`] (exit codes) and [`interrupt`] (Ctrl-C).

mod cli;
mod command;
mod context;
mod demo;
mod exit;
mod extents;
mod interrupt;
mod output;
mod scenario;
mod source;
mod sys;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if lab::puppet::is_called() {
        return match lab::puppet::act() {
            Ok(()) => ExitCode::SUCCESS,
            // The controller sees that its puppet is gone, and says so.
            Err(_) => ExitCode::FAILURE,
        };
    }
    match cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}
