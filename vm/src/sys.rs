//! The one raw thing this crate does: prepare QEMU between fork and exec.
#![expect(unsafe_code, reason = "CommandExt::pre_exec has no safe form")]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Makes the child inherit `inherited` and die when the thread that spawns it dies.
///
/// The descriptors are closed in this process when the command is dropped.
pub(crate) fn tie_to_parent(command: &mut Command, inherited: Vec<OwnedFd>) {
    let prepare = move || -> io::Result<()> {
        set_pdeathsig(Signal::SIGKILL)?;
        for fd in &inherited {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes the system calls prctl(2) and fcntl(2),
    // which are async-signal-safe; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(prepare);
    }
}
