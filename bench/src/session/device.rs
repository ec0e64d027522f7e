//! The device of one run: made for its cell, gone afterwards.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use api::{
    BlockingClient, Call, DataPath, Device, DeviceConfig, Event, SharedMemoryStats, TargetConfig,
    call,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::peer::{self, Undo};
use super::shared::SharedMemory;
use crate::error::io_error;
use crate::record::{Cell, Peer};
use crate::{Backing, BenchError, Limits, Result, Setup};

/// Requests in flight a queue of a device: more than most jobs have.
pub(super) const QUEUE_DEPTH: u16 = 128;
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
    shared: Option<SharedMemory>,
}

/// What must be undone.
enum Made {
    Nothing,
    Device(u32),
    Peer(Undo),
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
            shared: None,
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
            let mut opened = opened(setup, Some(device.id), Made::Device(device.id));
            if device.data_path == DataPath::SharedMemory {
                let shared = SharedMemory::of(self, &device, cell)?;
                opened.setup.shared_memory = Some(shared.path());
                opened.shared = Some(shared);
            }
            return Ok(opened);
        }
        let (path, made) = peer::open(cell, || self.backing())?;
        let setup = Setup {
            data_path: cell.data_path.clone().unwrap_or_else(|| "-".to_owned()),
            backing: Backing::Buffered,
            max_io_bytes: max_io_bytes(&path),
            daemon_pid: made.server(),
            shared_memory: None,
            limits: limits(self.size_bytes),
            seed,
            device: path,
        };
        Ok(opened(setup, None, Made::Peer(made)))
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
}

impl Opened<'_> {
    /// What was shared and what was copied, on the data path for that.
    pub(super) fn shared_memory(&self) -> Result<Option<SharedMemoryStats>> {
        let shared = self.shared.as_ref();
        shared.map(|shared| shared.since(self.stage)).transpose()
    }

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
            Made::Peer(undo) => undo.run(),
        }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // Something else failed and is told.
        let _ = self.undo();
    }
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
