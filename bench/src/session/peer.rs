//! Devices of others: the kernel's own drivers, rublk, and the kernel's NBD client with nbdkit.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::device::QUEUE_DEPTH;
use crate::error::io_error;
use crate::record::{Cell, Missing, Peer};
use crate::{BenchError, Result};

/// rublk's device; bvecd takes the lowest free numbers.
const RUBLK_NUMBER: &str = "100";
/// How long a server may take until it answers.
const SOON: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// How a peer's device goes away again.
pub(super) enum Undo {
    Nothing,
    Loop(PathBuf),
    Rublk,
    Nbd(Nbd),
}

/// A device of the NBD client and its server.
pub(super) struct Nbd {
    device: PathBuf,
    /// Whether the client has it.
    connected: bool,
    server: Child,
    /// Its socket.
    _directory: TempDir,
}

/// Why no device of a peer can be made here.
#[must_use]
pub fn lacks(peer: Peer) -> Option<Missing> {
    let reason = match peer {
        Peer::Bvecd | Peer::Given => None,
        Peer::NullBlk => needs(
            is_there("/dev/nullb0"),
            "no /dev/nullb0 (modprobe null_blk)",
        ),
        Peer::Brd => needs(is_there("/dev/ram0"), "no /dev/ram0 (modprobe brd)"),
        Peer::Loop => needs(
            is_there("/dev/loop-control") && program("losetup"),
            "no /dev/loop-control or no losetup (modprobe loop)",
        ),
        Peer::Rublk => needs(
            program("rublk"),
            "rublk is not installed (cargo install rublk)",
        ),
        Peer::Nbd => needs(is_there("/dev/nbd0"), "no /dev/nbd0 (modprobe nbd)")
            .or_else(|| needs(program("nbdkit"), "nbdkit is not installed"))
            .or_else(|| needs(program("nbd-client"), "nbd-client is not installed")),
    };
    reason.map(|reason| Missing {
        what: peer.name().to_owned(),
        reason: reason.to_owned(),
    })
}

fn needs(there: bool, reason: &'static str) -> Option<&'static str> {
    (!there).then_some(reason)
}

/// The device of a cell, and how it goes away again. `backing` makes the file that is behind it.
pub(super) fn open(cell: &Cell, backing: impl Fn() -> Result<PathBuf>) -> Result<(PathBuf, Undo)> {
    match cell.peer {
        Peer::NullBlk => Ok(("/dev/nullb0".into(), Undo::Nothing)),
        Peer::Brd => Ok(("/dev/ram0".into(), Undo::Nothing)),
        Peer::Rublk => rublk(cell, &backing()?),
        Peer::Nbd => nbd(cell, &backing()?),
        Peer::Loop | Peer::Bvecd | Peer::Given => {
            let device = PathBuf::from(told("losetup", &["-f"])?.trim());
            let file = backing()?;
            let words = [&device, &file].map(|path| path.to_string_lossy());
            told("losetup", &words.each_ref().map(AsRef::as_ref))?;
            Ok((device.clone(), Undo::Loop(device)))
        }
    }
}

fn rublk(cell: &Cell, file: &Path) -> Result<(PathBuf, Undo)> {
    let (depth, queues) = (QUEUE_DEPTH.to_string(), cell.queues.to_string());
    let file = file.to_string_lossy();
    let mut words = vec!["add", cell.target.as_str(), "--number", RUBLK_NUMBER];
    words.extend(["--queue", &queues, "--depth", &depth, "--quiet"]);
    if cell.target == "loop" {
        words.extend(["--file", &file, "--buffered-io"]);
    }
    if cell.data_path.as_deref() == Some("auto-zero-copy") {
        words.push("--zero-copy");
    }
    told("rublk", &words)?;
    Ok((format!("/dev/ublkb{RUBLK_NUMBER}").into(), Undo::Rublk))
}

/// nbdkit on a socket of its own, and a device of the kernel's client on it.
fn nbd(cell: &Cell, file: &Path) -> Result<(PathBuf, Undo)> {
    let device = free_nbd()?;
    let directory = tempfile::Builder::new()
        .prefix("bvecd-nbd-")
        .tempdir()
        .map_err(io_error("make a directory for nbdkit's socket"))?;
    let socket = directory.path().join("socket");
    let size = fs::metadata(file).map_err(io_error("look at the backing file"))?;
    let mut command = Command::new("nbdkit");
    // It ends with us; and Ctrl-C is for us, who end it after its client.
    command
        .args(["--foreground", "--exit-with-parent", "--unix"])
        .arg(&socket)
        .process_group(0);
    match cell.target.as_str() {
        "null" => command.args(["null".to_owned(), size.len().to_string()]),
        _ => command.arg("file").arg(file),
    };
    let server = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(io_error("start nbdkit"))?;
    let mut nbd = Nbd {
        device: device.clone(),
        connected: false,
        server,
        _directory: directory,
    };
    nbd.connect(&socket, cell.queues)?;
    Ok((device, Undo::Nbd(nbd)))
}

impl Nbd {
    fn connect(&mut self, socket: &Path, connections: u32) -> Result<()> {
        let ended = |server: &mut Child| matches!(server.try_wait(), Ok(Some(_)));
        if !soon(|| socket.exists() || ended(&mut self.server)) || ended(&mut self.server) {
            return Err(BenchError::Peer("nbdkit does not answer".to_owned()));
        }
        let (socket, device) = (socket.to_string_lossy(), self.device.to_string_lossy());
        let connections = connections.to_string();
        let words = ["-unix", &*socket, &*device, "-block-size", "512"];
        told(
            "nbd-client",
            &[&words[..], &["-connections", &connections]].concat(),
        )?;
        self.connected = true;
        if soon(|| size_of(&self.device) > 0) {
            Ok(())
        } else {
            Err(BenchError::Peer(format!("{device} has no size")))
        }
    }

    /// First the client, so that the kernel does not see its server die.
    fn disconnect(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.connected) {
            return Ok(());
        }
        told("nbd-client", &["-d", &self.device.to_string_lossy()])?;
        if soon(|| size_of(&self.device) == 0) {
            Ok(())
        } else {
            let device = self.device.display();
            Err(BenchError::Peer(format!("{device} is still connected")))
        }
    }
}

impl Drop for Nbd {
    fn drop(&mut self) {
        // What else failed is told.
        let _ = self.disconnect();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Undo {
    /// The process that serves the device, where it is not the kernel itself.
    pub(super) fn server(&self) -> Option<u32> {
        match self {
            Self::Nothing | Self::Loop(_) => None,
            Self::Rublk => server_of(Path::new("/proc"), "rublk", RUBLK_NUMBER),
            Self::Nbd(nbd) => Some(nbd.server.id()),
        }
    }

    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Loop(path) => told("losetup", &["-d", &path.to_string_lossy()]).map(|_| ()),
            Self::Rublk => told("rublk", &["del", "--number", RUBLK_NUMBER]).map(|_| ()),
            Self::Nbd(mut nbd) => nbd.disconnect(),
        }
    }
}

/// The process of this name with this word among its arguments; none if there are several.
fn server_of(proc: &Path, name: &str, word: &str) -> Option<u32> {
    let is_it = |directory: &Path| {
        let read = |file| fs::read_to_string(directory.join(file)).unwrap_or_default();
        read("comm").trim() == name && read("cmdline").split('\0').any(|given| given == word)
    };
    let all = fs::read_dir(proc)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = all.filter(|path| is_it(path)).filter_map(|path| {
        let number = path.file_name()?.to_str()?;
        number.parse().ok()
    });
    found.next().filter(|_| found.next().is_none())
}

/// A device of the NBD client that nobody has: the last one, since bvecd takes the first.
fn free_nbd() -> Result<PathBuf> {
    let free = |number: &u32| {
        let sys = PathBuf::from(format!("/sys/block/nbd{number}"));
        let device = PathBuf::from(format!("/dev/nbd{number}"));
        device.exists() && !sys.join("pid").exists() && size_of(&device) == 0
    };
    let number = (0..16).rev().find(free);
    number
        .map(|number| format!("/dev/nbd{number}").into())
        .ok_or_else(|| BenchError::Peer("no device of the NBD client is free".to_owned()))
}

/// The size of a block device in sectors; 0 if there is none.
fn size_of(device: &Path) -> u64 {
    let name = device.file_name().unwrap_or_default();
    let text = fs::read_to_string(Path::new("/sys/block").join(name).join("size"));
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !is_so() {
        if begin.elapsed() > SOON {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

/// Runs a program and returns what it says.
fn told(program: &str, words: &[&str]) -> Result<String> {
    let failed = |why: String| BenchError::Peer(format!("{program} {}: {why}", words.join(" ")));
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} {}", output.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_there(path: &str) -> bool {
    Path::new(path).exists()
}

/// Whether a program is on the search path.
fn program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_by_its_arguments() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, comm: &str, cmdline: &str| {
            let directory = proc.path().join(pid);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("comm"), comm).unwrap();
            fs::write(directory.join("cmdline"), cmdline).unwrap();
        };
        process("7", "rublk\n", "rublk\0add\0null\0--number\x00100\0");
        process("8", "rublk\n", "rublk\0add\0null\0--number\x007\0");
        process("9", "fio\n", "fio\x00100\0");
        let found = || server_of(proc.path(), "rublk", "100");
        assert_eq!(found(), Some(7));
        process("10", "rublk\n", "rublk\0add\0--number\x00100\0");
        assert_eq!(found(), None, "which one it is cannot be told");
    }
}
