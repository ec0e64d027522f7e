//! Devices change daemons: handed over, recovered, adopted, reaped.

use std::sync::Arc;
use std::time::Duration;

use api::DeviceState;
use ublk::{Features, control};

use super::{Devices, blocking, detached};
use crate::device::{Device, DeviceError, Surroundings};
use crate::state::{Record, StateDir, StateError, is_alive};

/// A device that could not be taken over or removed, and why.
pub type Left = (u32, DeviceError);

impl Devices {
    /// Serves a device that another daemon has left.
    ///
    /// # Errors
    /// As [`Device::adopt`]; [`DeviceError::Conflict`] if it is not on file or is ours already.
    pub async fn recover(self: &Arc<Self>, id: u32) -> Result<Arc<Device>, DeviceError> {
        let Ok(open) = Arc::clone(&self.open).try_read_owned() else {
            return Err(DeviceError::Stopping);
        };
        let devices = Arc::clone(self);
        detached(async move {
            if devices.get(id).is_some() {
                return Err(DeviceError::Conflict(format!(
                    "device {id} is of this daemon; `bvecctl dev resume` serves it again if it is quiesced"
                )));
            }
            let _one_at_a_time = devices.takeover.lock().await;
            let surroundings = devices.surroundings.clone();
            let device = Arc::new(blocking(move || adopt(id, &surroundings)).await?);
            devices.lock().insert(id, Arc::clone(&device));
            tracing::info!(device = id, "adopted");
            drop(open);
            Ok(device)
        })
        .await
    }

    /// Serves every device on file that is not ours. Goes on after one that cannot be had.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub async fn adopt(self: &Arc<Self>) -> Result<(Vec<Arc<Device>>, Vec<Left>), DeviceError> {
        let (mut adopted, mut left) = (Vec::new(), Vec::new());
        for id in self.foreign_ids()? {
            match self.recover(id).await {
                Ok(device) => adopted.push(device),
                Err(error) => left.push((id, error)),
            }
        }
        Ok((adopted, left))
    }

    /// Removes every device on file whose daemon is gone, with what it waits for: nobody will answer that.
    /// Returns their numbers.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub async fn reap(self: &Arc<Self>) -> Result<(Vec<u32>, Vec<Left>), DeviceError> {
        let _one_at_a_time = self.takeover.lock().await;
        let (mut reaped, mut left) = (Vec::new(), Vec::new());
        for id in self.foreign_ids()? {
            match self.reap_one(id).await {
                Ok(()) => reaped.push(id),
                Err(error) => left.push((id, error)),
            }
        }
        Ok((reaped, left))
    }

    pub(super) async fn reap_one(&self, id: u32) -> Result<(), DeviceError> {
        let surroundings = self.surroundings.clone();
        blocking(move || remove(id, &surroundings)).await
    }

    /// Quiesces every device, for the next daemon to adopt. Takes no more from then on, and the daemon is to
    /// end. Returns their numbers and how many parked requests were let go.
    ///
    /// # Errors
    /// A device goes with its daemon, is stopped, or cannot be quiesced within `limit`. Those that were
    /// quiesced for it are served again, and the daemon goes on.
    pub async fn hand_over(
        self: &Arc<Self>,
        limit: Duration,
    ) -> Result<(Vec<u32>, u64), DeviceError> {
        let devices = Arc::clone(self);
        detached(async move {
            let closed = Arc::clone(&devices.open).write_owned().await;
            let all = devices.all();
            for device in &all {
                device.must_outlive_daemon()?;
                if device.state() == DeviceState::Stopped {
                    let id = device.id();
                    return Err(DeviceError::Conflict(format!(
                        "device {id} is stopped, and a stopped one cannot be handed over; resume or delete it first"
                    )));
                }
            }
            let (mut quiesced, mut released) = (Vec::new(), 0);
            for device in &all {
                let was_live = device.state() == DeviceState::Live;
                match devices.quiesce(device, limit).await {
                    Ok(count) => released += count,
                    Err(error) => {
                        devices.resume_all(&quiesced).await;
                        return Err(error);
                    }
                }
                if was_live {
                    quiesced.push(Arc::clone(device));
                }
            }
            // For good: the next daemon may come at any moment.
            std::mem::forget(closed);
            tracing::info!(devices = all.len(), "handed over");
            Ok((all.iter().map(|device| device.id()).collect(), released))
        })
        .await
    }

    async fn resume_all(&self, devices: &[Arc<Device>]) {
        for device in devices {
            if let Err(error) = self.resume(device).await {
                tracing::error!(device = device.id(), %error, "stays quiesced");
            }
        }
    }

    /// The devices on file that are not ours.
    fn foreign_ids(&self) -> Result<Vec<u32>, StateError> {
        let Some(state) = &self.surroundings.state else {
            return Ok(Vec::new());
        };
        let mut ids = state.ids()?;
        ids.retain(|id| self.get(*id).is_none());
        Ok(ids)
    }

    /// The devices on file whose daemon is gone; those that cannot be read among them.
    #[must_use]
    pub fn left_behind(&self) -> Vec<u32> {
        let Some(state) = &self.surroundings.state else {
            return Vec::new();
        };
        let mut ids = self.foreign_ids().unwrap_or_default();
        ids.retain(|id| match state.read(*id) {
            Ok(Some(record)) => !record.daemon.is_alive(),
            Ok(None) => false,
            Err(_) => true,
        });
        ids
    }
}

fn on_file(id: u32, state: Option<&StateDir>) -> Result<Record, DeviceError> {
    let record = match state {
        Some(state) => state.read(id)?,
        None => None,
    };
    record.ok_or_else(|| {
        DeviceError::Conflict(format!(
            "device {id} is not on file in the state directory of this daemon, so nobody knows what is behind it"
        ))
    })
}

fn adopt(id: u32, surroundings: &Surroundings) -> Result<Device, DeviceError> {
    let record = on_file(id, surroundings.state.as_deref())?;
    Device::adopt(id, record, Features::probe()?, surroundings)
}

/// Removes what is left of a device: in the kernel, if it is still ours there, its memory, its file.
fn remove(id: u32, surroundings: &Surroundings) -> Result<(), DeviceError> {
    let record = on_file(id, surroundings.state.as_deref())?;
    if record.daemon.is_alive() {
        let pid = record.daemon.pid;
        return Err(DeviceError::Conflict(format!(
            "process {pid} serves it, and runs"
        )));
    }
    let found = control::info(id)?;
    // A number may have gone to somebody else's device since.
    if found.is_some_and(|info| !is_alive(info.server_pid)) {
        control::stop(id)?;
        control::delete(id)?;
    }
    if let Some(memory) = &record.memory
        && let Err(error) = std::fs::remove_file(memory)
    {
        tracing::warn!(path = %memory.display(), %error, "its memory is not there");
    }
    if let Some(state) = &surroundings.state {
        state.remove(id)?;
    }
    tracing::info!(device = id, "reaped");
    Ok(())
}
