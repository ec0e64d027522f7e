//! Ctrl-C, SIGTERM and SIGHUP while other programs run that leave something to clean up.

use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::process::{say, words};

/// How often it is looked whether a program has ended, in milliseconds.
const LOOK_MS: u16 = 100;

/// The user wants it to end; all is cleaned up.
#[derive(Debug)]
pub(crate) struct Interrupted(Signal);

impl Interrupted {
    /// What a shell says of a program that a signal ended.
    pub(crate) fn exit_code(&self) -> u8 {
        u8::try_from(128 + self.0 as i32).unwrap_or(1)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted by {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

/// The signals, held back from their default action as long as this lives. Programs that are started
/// meanwhile hold them back as well, which is why only SIGKILL is sent to them.
#[derive(Debug)]
pub(crate) struct Held {
    fd: SignalFd,
    old: SigSet,
}

impl Held {
    /// Holds them back.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn back() -> Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        let old = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&signals, flags).context("failed to hold back signals")?;
        Ok(Self { fd, old })
    }

    /// Runs a command with our output; anything but success is an error. A signal ends it and all that it has
    /// started.
    ///
    /// # Errors
    /// It cannot be started or fails; [`Interrupted`].
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let words = words(command);
        say(format_args!("$ {words}"));
        // In a group of its own, a Ctrl-C reaches it through us only, and so does any other signal.
        let mut child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start `{words}`"))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "`{words}` ended with {status}");
                return Ok(());
            }
            if let Some(signal) = self.received()? {
                // It may just have ended. What it leaves half written cargo writes again.
                let _ = killpg(group, Signal::SIGKILL);
                child.wait()?;
                return Err(Interrupted(signal).into());
            }
        }
    }

    /// The signal that came, after at most a moment.
    fn received(&self) -> Result<Option<Signal>> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(LOOK_MS)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(info) = self.fd.read_signal()? else {
            return Ok(None);
        };
        Ok(Some(Signal::try_from(i32::try_from(info.ssi_signo)?)?))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The old mask was valid when it was read.
        let _ = self.old.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::pthread::{pthread_kill, pthread_self};

    #[test]
    fn a_signal_ends_what_runs_and_all_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let held = Held::back().unwrap();
        let this = pthread_self();
        let script = "sleep 1000 & echo $! > \"$0\"; wait";
        let pid = std::thread::scope(|scope| {
            let seen = file.clone();
            let other = scope.spawn(move || {
                loop {
                    let text = std::fs::read_to_string(&seen).unwrap_or_default();
                    if let Ok(pid) = text.trim().parse::<i32>() {
                        pthread_kill(this, Signal::SIGTERM).unwrap();
                        return pid;
                    }
                    std::thread::yield_now();
                }
            });
            let error = held
                .run(Command::new("sh").args(["-c", script]).arg(&file))
                .unwrap_err();
            let interrupted = error.downcast_ref::<Interrupted>().unwrap();
            assert_eq!(interrupted.exit_code(), 143);
            other.join().unwrap()
        });
        // It is no child of ours, so that it is only known to end soon.
        let gone = || nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
        for _ in 0..1000 {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if gone() || text.contains(") Z ") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("process {pid} is still there");
    }

    #[test]
    fn a_failure_is_told() {
        let held = Held::back().unwrap();
        held.run(&mut Command::new("true")).unwrap();
        let error = held.run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` ended with"), "{error}");
    }
}
