//! The tests of the virtual machine itself, which boot some.

use std::io;
use std::time::Duration;

use anyhow::Result;
use vm::{Spec, Vm};

use super::tally::Tally;
use super::units::under_harness;
use crate::process::{cargo, say};

/// The test program of the virtual machine.
pub(super) const PROGRAM: &str = "boots";

/// So many boots in a row must succeed.
const BOOTS: u32 = 50;

/// Runs `vm/tests/boots.rs`, which drives the built bvecctl.
///
/// # Errors
/// If it does not compile.
pub(super) fn run(kernel: &Spec, filter: &[String]) -> Result<Tally> {
    let mut command = cargo(&["test", "--workspace", "--test", PROGRAM, "--"]);
    command.args(filter);
    command.env("BVECD_TEST_KERNEL", kernel.to_string());
    under_harness("boots", &mut command)
}

/// Boots often; a boot that had to be repeated is a failure here.
///
/// # Errors
/// If the virtual machine cannot be made.
pub(super) fn in_a_row() -> Result<Tally> {
    say(format_args!("booting {BOOTS} times in a row"));
    for number in 1..=BOOTS {
        let vm = Vm {
            quiet: true,
            timeout: Some(Duration::from_secs(120)),
            ..Vm::new(["true"])
        };
        let why = match vm.run_into(io::stdout(), io::stderr()) {
            Ok(outcome) if outcome.exit_code == 0 && !outcome.booted_again => {
                say(format_args!(
                    "boot {number} of {BOOTS}: {:.1} s",
                    outcome.boot.as_secs_f64()
                ));
                continue;
            }
            Ok(outcome) => format!("{outcome:?}"),
            Err(vm::Error::Death(death)) => death.to_string(),
            Err(error) => return Err(error.into()),
        };
        let mut tally = Tally::default();
        say(format_args!("boot {number} of {BOOTS}: {why}"));
        tally.fail(format!("{BOOTS} boots in a row: number {number}"));
        return Ok(tally);
    }
    Ok(Tally::one_passed())
}
