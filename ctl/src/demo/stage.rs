//! The demo's own bvecd and files, gone when it ends, however it ends.

use std::cell::Cell;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::{
    BlockingClient, ClientError, Device, DeviceConfig, Features, MAX_DEVICES, ProblemCode, call,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::context::refused;
use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// Size of the backing file: the 256 MiB.
const BACKING_BYTES: usize = 256 << 20;
/// How long bvecd may take until it serves, and until it has removed every device and ended. Under
/// emulation it takes a second.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running bvecd and what it serves from.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order: the daemon ends before its directory goes.
    daemon: Daemon,
    /// A file of [`BACKING_BYTES`], every block of which is there.
    pub(super) backing: PathBuf,
    /// The daemon's client.
    pub(super) client: BlockingClient,
    /// The number of the next device, once the first one has got its own.
    next_id: Cell<Option<u32>>,
    _directory: TempDir,
}

impl Stage {
    /// Starts a bvecd with its socket, log and backing in a new directory below `dir`.
    ///
    /// # Errors
    /// bvecd is missing, or says why it cannot run; the file cannot be written.
    pub(super) fn open(dir: Option<&Path>, interrupt: &Interrupt) -> Result<Self> {
        let parent = dir.map_or_else(env::temp_dir, Path::to_owned);
        let directory = tempfile::Builder::new()
            .prefix("bvecd-demo-")
            .tempdir_in(&parent)
            .with_context(|| format!("make a directory in {}", parent.display()))?;
        let backing = directory.path().join("disk.img");
        fill(&backing, interrupt).with_context(|| format!("write {}", backing.display()))?;
        let socket = directory.path().join("bvecd.sock");
        let mut daemon = Daemon::start(&socket, &directory.path().join("bvecd.log"))?;
        let client = BlockingClient::new(&socket)?;
        daemon.wait_until_serving(&client, interrupt)?;
        Ok(Self {
            daemon,
            backing,
            client,
            next_id: Cell::new(None),
            _directory: directory,
        })
    }

    /// What kernel and daemon can do.
    ///
    /// # Errors
    /// The daemon cannot be reached.
    pub(super) fn features(&self) -> Result<Features> {
        Ok(self.client.send(call::features())?)
    }

    /// Makes a device. None gets the number of an earlier one, so that a path names one device only.
    ///
    /// # Errors
    /// The daemon refuses.
    pub(super) fn add(&self, config: &DeviceConfig) -> Result<OwnDevice<'_>> {
        let mut config = DeviceConfig {
            id: self.next_id.get(),
            ..config.clone()
        };
        let device = loop {
            match (self.client.send(call::add_device(&config)), config.id) {
                (Ok(device), _) => break device,
                // Somebody else's device has this number.
                (Err(ClientError::Problem(problem)), Some(id))
                    if problem.code == ProblemCode::Conflict && id < MAX_DEVICES =>
                {
                    config.id = Some(id + 1);
                }
                (Err(error), _) => return Err(refused("add a device", error)),
            }
        };
        self.next_id.set(Some(device.id + 1));
        Ok(OwnDevice {
            client: &self.client,
            device,
            removed: false,
        })
    }

    /// Stops the daemon and removes the files.
    ///
    /// # Errors
    /// The daemon does not end, or ends with an error.
    pub(super) fn close(mut self) -> Result<()> {
        let status = self.daemon.stop()?;
        if !status.success() {
            bail!(
                "stop bvecd: it ended with {status}: {}",
                self.daemon.last_words()
            );
        }
        Ok(())
    }
}

/// Writes the whole file, so that no job meets holes that another has filled.
fn fill(path: &Path, interrupt: &Interrupt) -> Result<()> {
    let mut file = File::create_new(path)?;
    let piece = vec![0xb5_u8; 1 << 20];
    for _ in 0..BACKING_BYTES / piece.len() {
        interrupt.check()?;
        file.write_all(&piece)?;
    }
    Ok(())
}

/// A device that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct OwnDevice<'a> {
    client: &'a BlockingClient,
    /// The device.
    pub(super) device: Device,
    removed: bool,
}

impl OwnDevice<'_> {
    /// Removes the device.
    ///
    /// # Errors
    /// The daemon cannot do it.
    pub(super) fn remove(mut self) -> Result<()> {
        self.removed = true;
        self.client
            .send(call::delete_device(self.device.id))
            .map_err(|error| refused("delete the device", error))?;
        Ok(())
    }
}

impl Drop for OwnDevice<'_> {
    fn drop(&mut self) {
        if !self.removed {
            // Something else failed and is told; the daemon's end removes what this cannot.
            let _ = self.client.send(call::delete_device(self.device.id));
        }
    }
}

/// The daemon's process.
#[derive(Debug)]
struct Daemon {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Daemon {
    fn start(socket: &Path, log: &Path) -> Result<Self> {
        let program = program()?;
        let output = File::create(log).with_context(|| format!("write {}", log.display()))?;
        let child = Command::new(&program)
            .arg("--socket")
            .arg(socket)
            .args(["--log", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            // Ctrl-C is for us: the daemon ends when its devices are no longer in use.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
            ended: None,
        })
    }

    fn wait_until_serving(&mut self, client: &BlockingClient, interrupt: &Interrupt) -> Result<()> {
        let start = Instant::now();
        loop {
            interrupt.check()?;
            let Err(error) = client.send(call::devices()) else {
                return Ok(());
            };
            if let Some(status) = self.status()? {
                let message = format!("start bvecd: {}", self.last_words());
                // Its exit code 4: the kernel or a right is missing.
                if status.code() == Some(4) {
                    return Err(Failure::Missing(message).into());
                }
                bail!("{message} ({status})");
            }
            if start.elapsed() > LIMIT {
                return Err(error).context("start bvecd");
            }
            thread::sleep(POLL);
        }
    }

    /// Its exit status, once it has ended.
    fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("wait for bvecd")?;
        }
        Ok(self.ended)
    }

    /// Asks it to end and waits; kills it when that takes too long.
    fn stop(&mut self) -> Result<ExitStatus> {
        if self.ended.is_none() {
            let pid = i32::try_from(self.child.id()).context("know bvecd's process")?;
            // It may have ended by itself meanwhile, which the next line finds out.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() > LIMIT {
                self.child.kill().context("kill bvecd")?;
                self.ended = Some(self.child.wait().context("wait for bvecd")?);
                bail!(
                    "stop bvecd: it was not done within {} s and was killed",
                    LIMIT.as_secs()
                );
            }
            thread::sleep(POLL);
        }
    }

    /// What it said last.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        last_words(&log).to_owned()
    }
}

/// The last line of a log, without the time and the level that stand before a failure.
fn last_words(log: &str) -> &str {
    let line = log.lines().last().unwrap_or("it said nothing").trim();
    line.split_once(": failed to ")
        .map_or(line, |(_, what)| what)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whoever wants to know the outcome has called `stop`.
        let _ = self.stop();
    }
}

/// bvecd beside this program, else on the search path.
fn program() -> Result<PathBuf> {
    let beside = env::current_exe()
        .context("find this program")?
        .with_file_name("bvecd");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = [beside.clone()]
        .into_iter()
        .chain(env::split_paths(&path).map(|dir| dir.join("bvecd")))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!(
            "find bvecd: it is neither {} nor on the PATH",
            beside.display()
        );
        Failure::Missing(message).into()
    })
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
