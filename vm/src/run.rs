//! Prepares a guest, boots it, and brings back what its command gave.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::accelerator;
use crate::attempt::{Attempt, Sinks};
use crate::cache::Cache;
use crate::copy::{CopyIn, CopyOut};
use crate::death::Cause;
use crate::emulator;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::machine::{Accelerator, Machine};
use crate::monitor::{End, Limits, Signals};
use crate::progress::Progress;
use crate::qemu::Qemu;
use crate::spec::Spec;

/// A guest under TCG on a busy host takes some seconds; one that needs this long is dead.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// A command and the guest to run it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The kernel.
    pub kernel: Spec,
    /// The directory with the modules of a kernel image that is given by its path.
    pub modules_dir: Option<PathBuf>,
    /// The hardware.
    pub machine: Machine,
    /// What executes the guest; none tries KVM and falls back on TCG.
    pub accelerator: Option<Accelerator>,
    /// The command and its arguments. It runs in `/root` as root, without input.
    pub command: Vec<String>,
    /// Variables added to its environment.
    pub env: Vec<(String, String)>,
    /// Programs of the host that the guest gets, by path or name, with their libraries. Busybox is
    /// always there.
    pub programs: Vec<PathBuf>,
    /// Modules to load before the command; it is an error if the kernel lacks one.
    pub modules: Vec<String>,
    /// Modules to load if the kernel has them.
    pub optional_modules: Vec<String>,
    /// Files and directories that the guest gets.
    pub copy_in: Vec<CopyIn>,
    /// Files and directories that come back, also when the command failed, was interrupted or had no more time.
    pub copy_out: Vec<CopyOut>,
    /// The longest time from power on to the end. If there is something to come back, the command is told to end
    /// then and gets [`PATIENCE`](crate::plan::PATIENCE) for it.
    pub timeout: Option<Duration>,
    /// A first Ctrl-C or SIGTERM tells the command to end, and its files come back; else it ends the guest at once.
    pub patient: bool,
    /// Connects the command to this process's terminal.
    pub interactive: bool,
    /// Says nothing about fetching, building and booting.
    pub quiet: bool,
}

/// A command that ended, and where it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The command's exit code; 128 + n after signal n.
    pub exit_code: u8,
    /// The kernel's release.
    pub kernel: String,
    /// What executed the guest.
    pub accelerator: Accelerator,
    /// From power on until init spoke.
    pub boot: Duration,
    /// The first boot died before init spoke; this is the second.
    pub booted_again: bool,
}

impl Vm {
    /// Describes a guest with two CPUs and the newest kernel that runs a command.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            kernel: Spec::Newest,
            modules_dir: None,
            machine: Machine::default(),
            accelerator: None,
            command: command.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            programs: Vec::new(),
            modules: Vec::new(),
            optional_modules: vec!["ublk_drv".into()],
            copy_in: Vec::new(),
            copy_out: Vec::new(),
            timeout: None,
            patient: true,
            interactive: false,
            quiet: false,
        }
    }

    /// Describes a guest with a shell on this process's terminal.
    #[must_use]
    pub fn shell() -> Self {
        Self {
            interactive: true,
            ..Self::new(["sh", "-l"])
        }
    }

    /// Runs the command; its output goes to this process's standard output and standard error.
    ///
    /// # Errors
    /// If the guest cannot be prepared, or ends without an exit code of the command.
    pub fn run(&self) -> Result<Outcome, Error> {
        self.run_into(io::stdout(), io::stderr())
    }

    /// Runs the command; its output goes to the given writers as it comes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_into(
        &self,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Result<Outcome, Error> {
        let progress = Progress::new(self.quiet);
        self.machine.check()?;
        let qemu = Qemu::find()?;
        let cache = Cache::open()?;
        let kernel = Kernel::find(&self.kernel, self.modules_dir.as_deref(), &cache, &progress)?;
        let signals = Signals::hold()?;
        let mut prepared = self.prepare(qemu, kernel, &cache, &progress)?;
        let accelerator = match self.accelerator {
            Some(accelerator) => accelerator,
            None if self.machine.count_instructions => Accelerator::Tcg,
            None => accelerator::choose(&prepared, &cache, &signals, &progress)?,
        };
        if self.machine.parallel && accelerator == Accelerator::Tcg {
            prepared.qemu = emulator::parallel(prepared.qemu, &cache, &progress)?;
        }
        let sinks = Sinks::new(stdout, stderr);
        let attempt = Attempt {
            machine: &self.machine,
            accelerator,
            prepared: &prepared,
            copy_out: &self.copy_out,
            interactive: self.interactive,
            limits: Limits {
                boot: BOOT_LIMIT,
                total: self.timeout,
                until_ready: false,
                listens: self.patient && !self.interactive,
                sends: !self.copy_out.is_empty(),
            },
            talkative: false,
        };
        progress.say(format!(
            "booting {} ({accelerator})",
            prepared.kernel.release
        ));
        let first = attempt.run(&sinks, &signals, &progress);
        match first {
            // Rare under emulation; a death after init has spoken is a result and not repeated.
            Err(Error::Death(death)) if matches!(death.cause, Cause::BeforeInit { .. }) => {
                progress.warn(format!("failed to {death}"));
                progress.warn("booting once more, with everything that the kernel says");
                let again = Attempt {
                    talkative: true,
                    ..attempt
                };
                let outcome = again.run(&sinks, &signals, &progress)?;
                Ok(Outcome {
                    booted_again: true,
                    ..outcome
                })
            }
            other => other,
        }
    }
}

/// Turns the end of a guest into the result of a run.
pub(crate) fn outcome(
    end: End,
    ready: Option<(String, Duration)>,
    accelerator: Accelerator,
    qemu_says: impl FnOnce() -> String,
) -> Result<Outcome, Result<Cause, Error>> {
    match (end, ready) {
        (End::Exited(exit_code), ready) => {
            let (kernel, boot) = ready.unwrap_or_default();
            Ok(Outcome {
                exit_code,
                kernel,
                accelerator,
                boot,
                booted_again: false,
            })
        }
        (End::Failed(failure), _) => Err(Err(Error::Guest(failure))),
        (End::Dead(Cause::Panicked { line }), None) => Err(Ok(Cause::BeforeInit { detail: line })),
        (End::Dead(cause), _) => Err(Ok(cause)),
        (End::Gone, None) => Err(Ok(Cause::BeforeInit {
            detail: qemu_says(),
        })),
        (End::Gone, Some(_)) => Err(Ok(Cause::Vanished {
            detail: qemu_says(),
        })),
    }
}

/// Reads what QEMU wrote to its standard error.
pub(crate) fn read_log(log: &mut File) -> String {
    let mut text = String::new();
    match log.rewind().and_then(|()| log.read_to_string(&mut text)) {
        Ok(_) => text.trim().to_owned(),
        Err(error) => format!("(its standard error cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(end: End, ready: bool) -> Result<Outcome, Result<Cause, Error>> {
        let ready = ready.then(|| ("7.3.4".to_owned(), Duration::from_secs(2)));
        outcome(end, ready, Accelerator::Tcg, || "qemu: no".into())
    }

    #[test]
    fn an_exit_code_is_passed_on() {
        let outcome = result(End::Exited(7), true).unwrap();
        assert_eq!((outcome.exit_code, outcome.kernel.as_str()), (7, "7.3.4"));
    }

    #[test]
    fn a_death_before_init_is_told_apart() {
        let panic = || {
            End::Dead(Cause::Panicked {
                line: "Oops: int3".into(),
            })
        };
        assert!(matches!(
            result(panic(), false),
            Err(Ok(Cause::BeforeInit { .. }))
        ));
        assert!(matches!(
            result(panic(), true),
            Err(Ok(Cause::Panicked { .. }))
        ));
        assert!(matches!(
            result(End::Gone, false),
            Err(Ok(Cause::BeforeInit { .. }))
        ));
        assert!(matches!(
            result(End::Gone, true),
            Err(Ok(Cause::Vanished { .. }))
        ));
    }

    #[test]
    fn failures_of_init_are_errors_of_the_harness() {
        let Err(Err(error)) = result(End::Failed("load the module x".into()), true) else {
            panic!("not an error")
        };
        assert_eq!(error.exit_code(), 125);
    }
}
