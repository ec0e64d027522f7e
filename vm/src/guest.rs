//! The guest's init: PID 1 of the virtual machine.
//!
//! It mounts, loads modules, opens the ports, runs one command, sends back its output, exit code
//! and files, and powers off. It starts no service and reads no configuration but the plan.

mod command;
mod files;
mod mounts;
mod orders;
mod ports;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::Write;

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::sys::reboot::{RebootMode, reboot};

use crate::plan::{Answer, PLAN_PATH, Plan, port};

/// Runs as PID 1 and does not come back: the machine is switched off at the end.
///
/// # Errors
/// Only if the kernel refuses to switch the machine off.
pub fn init() -> nix::Result<Infallible> {
    if std::process::id() != 1 {
        let _ = writeln!(
            std::io::stderr(),
            "bvecd-init: this program is the init of a guest"
        );
        return Err(nix::errno::Errno::EPERM);
    }
    if let Err(error) = run() {
        // The console is the only place left when there is no control port.
        let _ = writeln!(std::io::stderr(), "bvecd-init: failed to {error}");
    }
    reboot(RebootMode::RB_POWER_OFF)
}

/// An error in words that fit after "failed to".
pub(crate) type Failure = String;

fn run() -> Result<(), Failure> {
    mounts::mount_needed()?;
    let plan = fs::read(PLAN_PATH).map_err(|error| format!("read {PLAN_PATH}: {error}"))?;
    let plan: Plan =
        serde_json::from_slice(&plan).map_err(|error| format!("read {PLAN_PATH}: {error}"))?;
    load(&plan.port_modules)?;
    let mut control = ports::open_both_ways(port::CONTROL)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    answer(&mut control, &Answer::Ready(release.trim().to_owned()));
    match work(&plan, &mut control) {
        Ok(code) => answer(&mut control, &Answer::Exit(code)),
        Err(failure) => answer(&mut control, &Answer::Failed(failure)),
    }
    if !plan.copy_out.is_empty() {
        let sent = ports::open(port::FILES).and_then(|port| files::send(&plan.copy_out, port));
        match sent {
            Ok(notes) => {
                for note in notes {
                    answer(&mut control, &Answer::Note(note));
                }
            }
            Err(failure) => answer(&mut control, &Answer::Note(format!("failed to {failure}"))),
        }
    }
    answer(&mut control, &Answer::Done);
    Ok(())
}

fn work(plan: &Plan, control: &mut File) -> Result<u8, Failure> {
    if let Err(failure) = mounts::loopback_up() {
        answer(control, &Answer::Note(format!("failed to {failure}")));
    }
    // A name for prompts and reports; the guest works as well without.
    let _ = fs::write("/proc/sys/kernel/hostname", "guest");
    load(&plan.modules)?;
    mounts::mount_optional();
    // The port may be opened once only, and a second handle of the open file is none.
    let orders = control
        .try_clone()
        .map_err(|error| format!("listen to orders: {error}"))?;
    command::run(plan, orders)
}

/// Sends an answer. If the host is gone there is nobody to tell.
fn answer(control: &mut File, answer: &Answer) {
    let _ = control.write_all(answer.to_string().as_bytes());
}

fn load(modules: &[String]) -> Result<(), Failure> {
    for path in modules {
        let file = File::open(path).map_err(|error| format!("open the module {path}: {error}"))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            // The kernel may have loaded it by itself in the meantime.
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(errno) => return Err(format!("load the module {path}: {errno}")),
        }
    }
    Ok(())
}
