//! The demo's own bvecd and files, gone when it ends, however it ends.

use std::cell::Cell;
use std::env;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use api::{
    BlockingClient, ClientError, Device, DeviceConfig, Features, MAX_DEVICES, ProblemCode, call,
};
use lab::OwnDaemon;
use tempfile::TempDir;

use crate::context::refused;
use crate::interrupt::Interrupt;

/// Size of the backing file: the 256 MiB.
const BACKING_BYTES: usize = 256 << 20;

/// A running bvecd and what it serves from.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order: the daemon ends before its directory goes.
    daemon: OwnDaemon,
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
        let daemon = OwnDaemon::start(directory.path(), interrupt.flag())?;
        let client = BlockingClient::new(daemon.socket())?;
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
        self.daemon.stop()?;
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
