//! `vmrun [OPTION...] -- COMMAND...`: boots a kernel and runs a command in it.

use std::io::{Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use vm::{Error, Vm};

fn main() -> ExitCode {
    match parse().and_then(|vm| vm.run()) {
        Ok(outcome) => ExitCode::from(outcome.exit_code),
        Err(error) => {
            let _ = writeln!(stderr(), "vmrun: failed to {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn parse() -> Result<Vm, Error> {
    let mut vm = Vm::new([""; 0]);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let wrong = |reason: &str| Error::Option {
            option: word.clone(),
            reason: reason.into(),
        };
        let mut value = || words.next().ok_or_else(|| wrong("it needs a value"));
        let number = |text: String| text.parse::<u32>().map_err(|_| wrong("it needs a number"));
        match word.as_str() {
            "--kernel" => vm.kernel = value()?.parse()?,
            "--modules-dir" => vm.modules_dir = Some(value()?.into()),
            "--cpus" => vm.machine.cpus = number(value()?)?,
            "--memory" => vm.machine.memory_mib = Some(number(value()?)?.into()),
            "--timeout" => vm.timeout = Some(Duration::from_secs(number(value()?)?.into())),
            "--idle-poll" => vm.machine.idle_poll = true,
            "--count-instructions" => (vm.machine.count_instructions, vm.machine.cpus) = (true, 1),
            "--program" => vm.programs.push(value()?.into()),
            "--module" => vm.modules.push(value()?),
            "--copy-in" => vm.copy_in.push(value()?.parse()?),
            "--copy-out" => vm.copy_out.push(value()?.parse()?),
            "--interactive" => vm.interactive = true,
            "--quiet" => vm.quiet = true,
            "--" => vm.command = words.by_ref().collect(),
            _ => return Err(wrong("no such option; a command goes behind `--`")),
        }
    }
    Ok(vm)
}
