//! A bvecd of our own, gone when it is dropped.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api::{BlockingClient, call};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::io_error;
use crate::{LabError, Result};

/// How long bvecd may take until it serves, and until it has removed every device and ended. Under
/// emulation it takes a second.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running bvecd.
#[derive(Debug)]
pub struct OwnDaemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    ended: Option<ExitStatus>,
    /// Its client.
    pub client: BlockingClient,
}

impl OwnDaemon {
    /// Starts one with its socket and log in `directory`, and waits until it serves.
    ///
    /// # Errors
    /// bvecd is missing, says why it cannot run, or `interrupted` says that the user wants it to end.
    pub fn start(directory: &Path, interrupted: &AtomicBool) -> Result<Self> {
        let program = program()?;
        let (socket, log) = (directory.join("bvecd.sock"), directory.join("bvecd.log"));
        let output = File::create(&log).map_err(io_error("write the log of bvecd"))?;
        let child = Command::new(&program)
            .arg("--socket")
            .arg(&socket)
            .args(["--log", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            // Ctrl-C is for us: the daemon ends when its devices are no longer in use.
            .process_group(0)
            .spawn()
            .map_err(io_error("start bvecd"))?;
        let mut daemon = Self {
            child,
            log,
            ended: None,
            client: BlockingClient::new(&socket)?,
            socket,
        };
        daemon.wait_until_serving(interrupted)?;
        Ok(daemon)
    }

    fn wait_until_serving(&mut self, interrupted: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err(LabError::Interrupted);
            }
            let Err(error) = self.client.send(call::devices()) else {
                return Ok(());
            };
            if let Some(status) = self.status()? {
                return Err(LabError::DaemonEnded {
                    words: self.last_words(),
                    status,
                });
            }
            if start.elapsed() > LIMIT {
                return Err(error.into());
            }
            thread::sleep(POLL);
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its exit status, once it has ended.
    fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(io_error("wait for bvecd"))?;
        }
        Ok(self.ended)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.status()?.is_some())
    }

    /// Asks it to end and waits; kills it when that takes too long.
    ///
    /// # Errors
    /// It had to be killed, or ended with an error.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let start = Instant::now();
        while self.status()?.is_none() {
            if start.elapsed() > LIMIT {
                self.kill()?;
                return Err(LabError::Stuck {
                    what: "bvecd after SIGTERM, which was killed then".to_owned(),
                    limit: LIMIT,
                });
            }
            thread::sleep(POLL);
        }
        match self.ended {
            Some(status) if !status.success() => Err(LabError::DaemonEnded {
                words: self.last_words(),
                status,
            }),
            _ => Ok(()),
        }
    }

    /// Kills it as a crash would, and does not wait: what it still waits for may be for the caller to release.
    pub(crate) fn begin_kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.begin_kill()?;
        let status = self.child.wait().map_err(io_error("wait for bvecd"))?;
        self.ended = Some(status);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.ended.is_none() {
            let pid = i32::try_from(self.child.id())
                .map_err(|_| io_error("know bvecd's process")(std::io::ErrorKind::Other.into()))?;
            // It may have ended by itself meanwhile, which whoever waits finds out.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        Ok(())
    }

    /// What it said last.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        last_words(&log).to_owned()
    }
}

impl Drop for OwnDaemon {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // Whoever wants to know the outcome has called `stop`.
            let _ = self.stop();
        }
    }
}

/// The last line of a log, without the time and the level that stand before a failure.
fn last_words(log: &str) -> &str {
    let line = log.lines().last().unwrap_or("it said nothing").trim();
    line.split_once(": failed to ")
        .map_or(line, |(_, what)| what)
}

/// bvecd beside this program, else on the search path.
fn program() -> Result<PathBuf> {
    let beside = env::current_exe()
        .map_err(io_error("find this program"))?
        .with_file_name("bvecd");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = [beside.clone()]
        .into_iter()
        .chain(env::split_paths(&path).map(|dir| dir.join("bvecd")))
        .find(|path| path.is_file());
    found.ok_or(LabError::NoDaemon { beside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_by_its_end() {
        let log = "2026-11-23T16:50:25Z  INFO bvecd: x\n\
                   2026-11-23T16:50:26Z ERROR bvecd: failed to open /dev/ublk-control: why\n";
        assert_eq!(last_words(log), "open /dev/ublk-control: why");
        assert_eq!(last_words("panicked\n"), "panicked");
        assert_eq!(last_words(""), "it said nothing");
    }
}
