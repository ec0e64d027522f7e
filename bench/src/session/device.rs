//! The device of one run: made for its cell, gone afterwards.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::{BlockingClient, Call, Device, DeviceConfig, Event, TargetConfig, call};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::error::io_error;
use crate::record::{Cell, Missing, Peer};
use crate::{Backing, BenchError, Limits, Result, Setup};

/// Requests in flight a queue of a device: more than most jobs have.
const QUEUE_DEPTH: u16 = 128;
/// Of block devices that do not say how long a request may be.
const MAX_IO_BYTES: u64 = 512 << 10;

/// Where devices come from.
pub struct Stage {
    client: Option<BlockingClient>,
    size_bytes: u64,
    /// A device that was given; every cell runs on it.
    given: Option<Device>,
    /// The backing of loop devices, made when it is first needed.
    backing: RefCell<Option<(TempDir, PathBuf)>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

/// A device for one run. It is removed when this is dropped; [`Opened::close`] says whether that worked.
pub(super) struct Opened<'a> {
    pub(super) setup: Setup,
    /// Its number, for a device of bvecd.
    pub(super) id: Option<u32>,
    stage: &'a Stage,
    made: Made,
}

/// What must be undone.
enum Made {
    Nothing,
    Device(u32),
    Loop(PathBuf),
    Rublk(String),
}

impl Stage {
    /// Devices of this size, made by the daemon behind `client`, if there is one.
    #[must_use]
    pub const fn making(client: Option<BlockingClient>, size_bytes: u64) -> Self {
        Self {
            client,
            size_bytes,
            given: None,
            backing: RefCell::new(None),
        }
    }

    /// One device that is there already, and stays.
    #[must_use]
    pub const fn given(client: BlockingClient, device: Device) -> Self {
        Self {
            client: Some(client),
            size_bytes: device.size_bytes,
            given: Some(device),
            backing: RefCell::new(None),
        }
    }

    /// Why no device of a peer can be made here.
    #[must_use]
    pub fn lacks(&self, peer: Peer) -> Option<Missing> {
        let needs = |there: bool, reason: &str| {
            (!there).then(|| Missing {
                what: peer.name().to_owned(),
                reason: reason.to_owned(),
            })
        };
        match peer {
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
        }
    }

    /// Sends a call to the daemon.
    pub(super) fn ask<T: DeserializeOwned>(&self, what: &str, call: Call<T>) -> Result<T> {
        let client = self.client()?;
        client.send(call).map_err(|source| BenchError::Device {
            action: what.to_owned(),
            source,
        })
    }

    /// The daemon's events that it still has, those after `since` or all.
    pub(super) fn events(&self, since: Option<u64>) -> Result<Vec<Event>> {
        let failed = |source| BenchError::Device {
            action: "read the daemon's events".to_owned(),
            source,
        };
        let events = self.client()?.events(since, false).map_err(failed)?;
        let events = events
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(failed)?;
        Ok(events
            .into_iter()
            .filter(|event| since.is_none_or(|last| event.seq > last))
            .collect())
    }

    fn client(&self) -> Result<&BlockingClient> {
        let none = || BenchError::Peer("there is no bvecd".to_owned());
        self.client.as_ref().ok_or_else(none)
    }

    /// The device of a cell.
    pub(super) fn open(&self, cell: &Cell, limits: Limits, seed: u64) -> Result<Opened<'_>> {
        let opened = |setup, id, made| Opened {
            setup,
            id,
            stage: self,
            made,
        };
        let limits = |size_bytes: u64| Limits {
            verify_size_bytes: limits.verify_size_bytes.min(size_bytes),
            ..limits
        };
        if let Some(device) = &self.given {
            let setup = Setup::of_device(device, limits(device.size_bytes), seed);
            return Ok(opened(setup, Some(device.id), Made::Nothing));
        }
        if cell.peer == Peer::Bvecd {
            let device = self.ask("make a device", call::add_device(&self.config(cell, seed)?))?;
            let setup = Setup::of_device(&device, limits(device.size_bytes), seed);
            return Ok(opened(setup, Some(device.id), Made::Device(device.id)));
        }
        let (path, made) = self.peer(cell)?;
        let setup = Setup {
            data_path: cell.data_path.clone().unwrap_or_else(|| "-".to_owned()),
            backing: Backing::Buffered,
            max_io_bytes: max_io_bytes(&path),
            daemon_pid: None,
            limits: limits(self.size_bytes),
            seed,
            device: path,
        };
        Ok(opened(setup, None, made))
    }

    fn config(&self, cell: &Cell, seed: u64) -> Result<DeviceConfig> {
        let size_bytes = self.size_bytes;
        let target = match cell.target.as_str() {
            "ram" => TargetConfig::Ram { size_bytes },
            "null" => TargetConfig::Null { size_bytes },
            _ => TargetConfig::Loop {
                file: self.backing()?,
                direct: false,
            },
        };
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        Ok(DeviceConfig {
            data_path: word(&cell.data_path).parse().unwrap_or_default(),
            transport: word(&cell.transport).parse().unwrap_or_default(),
            queues: u16::try_from(cell.queues).unwrap_or(1),
            depth: QUEUE_DEPTH,
            seed,
            ..DeviceConfig::new(target)
        })
    }

    /// A file of the devices' size, every block of which is there.
    fn backing(&self) -> Result<PathBuf> {
        if let Some((_, path)) = &*self.backing.borrow() {
            return Ok(path.clone());
        }
        let failed = io_error("make the backing file");
        let directory = tempfile::Builder::new()
            .prefix("bvecd-bench-")
            .tempdir()
            .map_err(&failed)?;
        let path = directory.path().join("disk.img");
        let mut file = File::create_new(&path).map_err(&failed)?;
        let piece = vec![0xb5_u8; 1 << 20];
        for _ in 0..self.size_bytes >> 20 {
            file.write_all(&piece).map_err(&failed)?;
        }
        *self.backing.borrow_mut() = Some((directory, path.clone()));
        Ok(path)
    }

    /// The device of a peer, and what must be undone.
    fn peer(&self, cell: &Cell) -> Result<(PathBuf, Made)> {
        match cell.peer {
            Peer::NullBlk => Ok(("/dev/nullb0".into(), Made::Nothing)),
            Peer::Brd => Ok(("/dev/ram0".into(), Made::Nothing)),
            Peer::Rublk => self.rublk(cell),
            _ => {
                let device = PathBuf::from(told("losetup", &["-f"])?.trim());
                let file = self.backing()?;
                told(
                    "losetup",
                    &[&device.to_string_lossy(), &file.to_string_lossy()],
                )?;
                Ok((device.clone(), Made::Loop(device)))
            }
        }
    }

    fn rublk(&self, cell: &Cell) -> Result<(PathBuf, Made)> {
        // bvecd takes the lowest free numbers.
        let number = "100".to_owned();
        let depth = QUEUE_DEPTH.to_string();
        let queues = cell.queues.to_string();
        let file = self.backing()?;
        let file = file.to_string_lossy();
        let mut words = vec![
            "add",
            cell.target.as_str(),
            "--number",
            &number,
            "--queue",
            &queues,
        ];
        words.extend(["--depth", &depth, "--quiet"]);
        if cell.target == "loop" {
            words.extend(["--file", &file, "--buffered-io"]);
        }
        if cell.data_path.as_deref() == Some("auto-zero-copy") {
            words.push("--zero-copy");
        }
        told("rublk", &words)?;
        Ok((format!("/dev/ublkb{number}").into(), Made::Rublk(number)))
    }
}

impl Opened<'_> {
    /// Removes the device.
    pub(super) fn close(mut self) -> Result<()> {
        self.undo()
    }

    fn undo(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.made, Made::Nothing) {
            Made::Nothing => Ok(()),
            Made::Device(id) => {
                let deleted = self.stage.ask("remove the device", call::delete_device(id));
                deleted.map(|_| ())
            }
            Made::Loop(path) => told("losetup", &["-d", &path.to_string_lossy()]).map(|_| ()),
            Made::Rublk(number) => told("rublk", &["del", "--number", &number]).map(|_| ()),
        }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // Something else failed and is told.
        let _ = self.undo();
    }
}

/// Runs a program and returns what it says.
fn told(program: &str, words: &[&str]) -> Result<String> {
    let failed = |why: String| BenchError::Peer(format!("{program} {}: {why}", words.join(" ")));
    let output = Command::new(program).args(words).output();
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

/// The longest request of a block device.
fn max_io_bytes(device: &Path) -> u64 {
    let name = device.file_name().unwrap_or_default();
    let file = Path::new("/sys/block")
        .join(name)
        .join("queue/max_sectors_kb");
    let kib = fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    kib.map_or(MAX_IO_BYTES, |kib| kib << 10)
}
