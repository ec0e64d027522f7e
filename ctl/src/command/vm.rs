//! `bvecctl vm`: a real kernel in a virtual machine, with our programs inside.

mod guest;
mod kernels;

use std::io::{stderr, stdout};

use ::vm::Outcome;
use anyhow::Result;
use api::SCHEMA;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use guest::Guest;
pub(crate) use guest::{LOADED, mebibytes, ours};

/// What is done with virtual machines.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl vm run -- uname -a
  bvecctl vm run -- sh -c 'bvecd & sleep 2; bvecctl dev add ram --size 64M'
  bvecctl vm shell
  bvecctl vm kernels")]
pub(crate) enum Command {
    /// Run a command and end with its exit code.
    #[command(after_help = "\
The command runs as root in /root. Beside busybox the guest has bvecd, bvecctl, fio and strace, as
far as they are here. Ends with 125 when there is no such kernel, or the guest dies, hangs or takes
too long; else with the command's own code.

Examples:
  bvecctl vm run -- sh -c 'exit 7'
  bvecctl vm run --kernel 6.12 --cpus 4 --timeout 60 -- sh -c 'bvecd & sleep 2; bvecctl features'
  bvecctl vm run --copy-in my.fio --copy-out out.json -- fio --output=out.json my.fio
  bvecctl vm run --kernel ./bzImage --modules ./lib/modules/7.3.0 -- uname -r")]
    Run(Run),
    /// Open a shell in a guest, on this terminal.
    #[command(
        after_help = "Examples:\n  bvecctl vm shell\n  bvecctl vm shell --kernel 7.2 --cpus 4"
    )]
    Shell(Guest),
    /// List the kernels that are cached, and those that the distribution offers.
    #[command(after_help = "Examples:\n  bvecctl vm kernels\n  bvecctl vm kernels --cached")]
    Kernels(kernels::Arguments),
}

/// A command and the guest it runs in.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    guest: Guest,
    /// End the guest after this many seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Does it.
///
/// # Errors
/// The guest cannot be made, or ends without an exit code of the command.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Run(run) => {
            let mut vm = run.guest.vm(::vm::Vm::new(run.command))?;
            vm.timeout = run.timeout.map(std::time::Duration::from_secs);
            if context.output.is_json() {
                // The one object on standard output is ours.
                let outcome = vm.run_into(stderr(), stderr())?;
                context
                    .output
                    .answer(&Ended::from(&outcome), |_| String::new())?;
                Ok(Exit::Guest(outcome.exit_code))
            } else {
                Ok(Exit::Guest(vm.run_into(stdout(), stderr())?.exit_code))
            }
        }
        Command::Shell(guest) => {
            let vm = guest.vm(::vm::Vm::shell())?;
            Ok(Exit::Guest(vm.run()?.exit_code))
        }
        Command::Kernels(arguments) => kernels::run(&arguments, context),
    }
}

/// The answer of `vm run --json`; the command's own output goes to standard error then.
#[derive(Debug, Serialize)]
struct Ended {
    schema: u32,
    kernel: String,
    accelerator: String,
    exit_code: u8,
    boot_ns: u64,
}

impl From<&Outcome> for Ended {
    fn from(outcome: &Outcome) -> Self {
        Self {
            schema: SCHEMA,
            kernel: outcome.kernel.clone(),
            accelerator: outcome.accelerator.to_string(),
            exit_code: outcome.exit_code,
            boot_ns: u64::try_from(outcome.boot.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
