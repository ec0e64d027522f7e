//! A device in memory that is made for one command and removed with it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::{BlockingClient, Device, DeviceConfig, call};

use crate::context::refused;

/// How long its node may take to appear.
const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Large enough for every file system that goes on it; memory is taken only for what is stored.
pub(super) const SIZE_BYTES: u64 = 512 << 20;

/// It, removed when this is dropped.
#[derive(Debug)]
pub(super) struct OwnDevice<'a> {
    client: &'a BlockingClient,
    pub(super) device: Device,
}

impl<'a> OwnDevice<'a> {
    pub(super) fn add(client: &'a BlockingClient, config: &DeviceConfig) -> Result<Self> {
        let device = client
            .send(call::add_device(config))
            .map_err(|error| refused("add a device", error))?;
        let own = Self { client, device };
        let start = Instant::now();
        while !Path::new(&own.device.path).exists() {
            if start.elapsed() > LIMIT {
                bail!("find {}: it did not appear", own.device.path);
            }
            thread::sleep(POLL);
        }
        Ok(own)
    }
}

impl Drop for OwnDevice<'_> {
    fn drop(&mut self) {
        // Something else failed and is told if this cannot be done; `dev del` removes it then.
        let _ = self.client.send(call::delete_device(self.device.id));
    }
}
