//! A bvecd of a test's own, with a socket of its own, that is gone when the test ends.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::fault::Rule;
use api::{
    BlockingClient, Call, ClientError, DataPath, Device, DeviceConfig, Event, EventKind, Features,
    Problem, ReleaseRequest, TargetConfig, Transport, Which, call,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::deadline::wait_for;
use crate::programs;

/// Daemons that run, for cleaning up after a test that hangs.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running bvecd.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) directory: Arc<TempDir>,
    socket: PathBuf,
    pub(crate) client: BlockingClient,
    ended: bool,
}

impl Daemon {
    /// Starts a daemon and waits until it serves.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("suite").tempdir();
        let directory = Arc::new(directory.unwrap());
        let socket = directory.path().join("bvecd.sock");
        Self::start_in(directory, &socket, flags)
    }

    /// Starts a daemon with its socket at this place.
    pub(crate) fn start_at(socket: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("suite").tempdir().unwrap();
        Self::start_in(Arc::new(directory), socket, &[])
    }

    /// Starts a daemon as an ordinary user, with a directory that is theirs.
    pub(crate) fn start_as(user: u32, flags: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("suite").tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(user), Some(user)).unwrap();
        let socket = directory.path().join("bvecd.sock");
        let mut command = programs::command("bvecd");
        command.uid(user).gid(user);
        Self::spawn(command, Arc::new(directory), &socket, flags)
    }

    /// Starts a daemon that logs to this directory.
    fn start_in(directory: Arc<TempDir>, socket: &Path, flags: &[&str]) -> Self {
        Self::spawn(programs::command("bvecd"), directory, socket, flags)
    }

    fn spawn(mut command: Command, directory: Arc<TempDir>, socket: &Path, flags: &[&str]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(directory.path().join("log"))
            .unwrap();
        let child = command
            .arg("--socket")
            .arg(socket)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        RUNNING.lock().unwrap().push(child.id());
        let client = BlockingClient::new(socket).unwrap();
        let mut daemon = Self {
            child,
            directory,
            socket: socket.to_owned(),
            client,
            ended: false,
        };
        wait_for("bvecd to serve its socket", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "bvecd ended at once: {}", daemon.log());
            daemon.client.send(call::devices()).ok()
        });
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The state file of a device.
    pub(crate) fn state_file(&self, device: u32) -> PathBuf {
        self.directory.path().join(format!("device-{device}.json"))
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    /// The next daemon in the directory of this one, which has ended.
    pub(crate) fn successor(mut self, flags: &[&str]) -> Self {
        self.succeed(flags);
        self
    }

    /// Puts the next daemon in the place of this one, which has ended.
    pub(crate) fn succeed(&mut self, flags: &[&str]) {
        assert!(self.ended, "the daemon before still runs");
        *self = Self::start_in(Arc::clone(&self.directory), &self.socket, flags);
    }

    /// Sends a call that must succeed.
    pub(crate) fn ask<T: DeserializeOwned>(&self, call: Call<T>) -> T {
        self.client
            .send(call)
            .unwrap_or_else(|error| panic!("{error}\nlog:\n{}", self.log()))
    }

    /// Sends a call that must be refused.
    pub(crate) fn refused<T: DeserializeOwned + std::fmt::Debug>(&self, call: Call<T>) -> Problem {
        match self.client.send(call) {
            Err(ClientError::Problem(problem)) => *problem,
            other => panic!("expected a problem, got {other:?}"),
        }
    }

    pub(crate) fn add(&self, config: &DeviceConfig) -> Device {
        let device = self.ask(call::add_device(config));
        self.wait_for_node(&device);
        device
    }

    pub(crate) fn wait_for_node(&self, device: &Device) {
        // udev or devtmpfs makes the node; wait for the one that is opened by path.
        wait_for("the block device's node", || {
            std::fs::metadata(&device.path).ok().map(drop)
        });
    }

    pub(crate) fn add_ram(&self, size_bytes: u64, data_path: DataPath) -> Device {
        self.add(&config(TargetConfig::Ram { size_bytes }, data_path))
    }

    /// A device on a fresh file of zeroes in the daemon's directory.
    pub(crate) fn add_loop(&self, size_bytes: u64, data_path: DataPath) -> (Device, PathBuf) {
        let file = self.file(size_bytes);
        let target = TargetConfig::Loop {
            file: file.clone(),
            direct: false,
        };
        (self.add(&config(target, data_path)), file)
    }

    /// A fresh file of zeroes in the daemon's directory.
    pub(crate) fn file(&self, size_bytes: u64) -> PathBuf {
        let (file, path) = tempfile::Builder::new()
            .prefix("backing")
            .tempfile_in(self.directory.path())
            .unwrap()
            .keep()
            .unwrap();
        file.set_len(size_bytes).unwrap();
        path
    }

    pub(crate) fn rule(&self, device: u32, name: &str, words: &str) {
        let rule = Rule::parse(name, words).unwrap_or_else(|error| panic!("{}", error.render()));
        self.ask(call::add_rule(device, &rule));
    }

    pub(crate) fn release(&self, device: u32, which: Which) -> Vec<u64> {
        self.ask(call::release(device, &ReleaseRequest::of(which)))
            .released
    }

    /// Waits until `count` requests are held, and lists them.
    pub(crate) fn held(&self, device: u32, count: usize) -> Vec<api::Hold> {
        wait_for(&format!("{count} held requests"), || {
            let holds = self.ask(call::holds(device)).holds;
            (holds.len() == count).then_some(holds)
        })
    }

    /// The events of one kind, as far as they are kept.
    pub(crate) fn events(&self, kind: EventKind) -> Vec<Event> {
        let events = self.client.events(None, false).unwrap();
        let events = events.map(Result::unwrap);
        events.filter(|event| event.kind == kind).collect()
    }

    /// The thread with this name.
    pub(crate) fn thread(&self, name: &str) -> u32 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let named = tasks.flatten().find(|task| {
            let comm = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            comm.trim() == name
        });
        let named = named.unwrap_or_else(|| panic!("bvecd has no thread {name}"));
        named.file_name().to_string_lossy().parse().unwrap()
    }

    pub(crate) fn features(&self) -> Features {
        self.ask(call::features())
    }

    /// Why the kernel does not have a data path; none if it has.
    pub(crate) fn lacks(&self, path: DataPath) -> Option<String> {
        let features = self.features();
        let found = features
            .data_paths
            .into_iter()
            .find(|support| support.name == path)
            .unwrap();
        found.why
    }

    /// Why the daemon does not serve a transport here; none if it does.
    pub(crate) fn lacks_transport(&self, transport: Transport) -> Option<String> {
        let features = self.features();
        let found = features
            .transports
            .into_iter()
            .find(|support| support.name == transport)
            .unwrap();
        found.why
    }

    /// Why the driver does not have a flag, by its name without `UBLK_F_`; none if it has.
    pub(crate) fn lacks_flag(&self, name: &str) -> Option<String> {
        let flags = self.features().flags;
        let flag = flags.into_iter().find(|flag| flag.name == name).unwrap();
        let since = flag.since.unwrap_or_default();
        (!flag.offered).then(|| format!("{name} (kernel < {since})"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits for the daemon's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait_for("bvecd to end", || self.child.try_wait().unwrap());
        self.ended = true;
        RUNNING
            .lock()
            .unwrap()
            .retain(|pid| *pid != self.child.id());
        status
    }

    /// Stops the daemon as its user would, and checks that nothing is left on the machine.
    pub(crate) fn stop(self) {
        self.stop_leaving_others();
        assert_eq!(block_devices(), Vec::<String>::new(), "devices are left");
    }

    /// As [`Daemon::stop`], while another daemon still has devices.
    pub(crate) fn stop_leaving_others(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(
            status.code(),
            Some(0),
            "signal {:?}, log:\n{}",
            status.signal(),
            self.log()
        );
        assert!(!self.socket().exists(), "the socket is left");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A panicking test: its daemon must not outlive it. SIGTERM first, as it removes the devices.
        if std::thread::panicking() {
            println!("log of the failed test's daemon:\n{}", self.log());
        }
        let _ = kill(
            Pid::from_raw(i32::try_from(self.pid()).unwrap_or(0)),
            Signal::SIGTERM,
        );
        for _ in 0..1000 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        RUNNING
            .lock()
            .unwrap()
            .retain(|pid| *pid != self.child.id());
    }
}

/// Ends daemons that a hanging test has left.
pub(crate) fn clean_up_after_failure() {
    for pid in RUNNING.lock().unwrap().drain(..) {
        let _ = kill(
            Pid::from_raw(i32::try_from(pid).unwrap_or(0)),
            Signal::SIGKILL,
        );
    }
}

pub(crate) fn config(target: TargetConfig, data_path: DataPath) -> DeviceConfig {
    DeviceConfig {
        data_path,
        ..DeviceConfig::new(target)
    }
}

/// The ublk block devices that there are.
pub(crate) fn block_devices() -> Vec<String> {
    nodes("ublkb")
}

/// The ublk character devices that there are.
pub(crate) fn char_devices() -> Vec<String> {
    nodes("ublkc")
}

/// The files that hold memory of devices.
pub(crate) fn kept_memory() -> Vec<String> {
    names("/dev/shm", "bvecd-ram-")
}

fn nodes(prefix: &str) -> Vec<String> {
    names("/dev", prefix)
}

fn names(directory: &str, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // The driver's own node is `ublk-control`.
    let mut found: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    found.sort();
    found
}

/// A shell line that must succeed.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {}{errors}", text);
    text
}
