//! What is done to a device that this daemon has. Each goes on even if the caller goes away meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::{Devices, blocking, detached};
use crate::device::{Device, DeviceError, Quiesced};

impl Devices {
    /// Takes the block device away; with `safe` not while it is open. Returns how many parked requests were
    /// let go.
    ///
    /// # Errors
    /// As [`Device::stop`].
    pub async fn stop(&self, device: &Arc<Device>, safe: bool) -> Result<u64, DeviceError> {
        let subject = Arc::clone(device);
        let released = blocking(move || subject.stop(safe)).await?;
        tracing::info!(device = device.id(), "stopped");
        Ok(released)
    }

    /// Ends the queues; the block device stays. Returns how many parked requests were let go.
    ///
    /// # Errors
    /// As [`Device::quiesce`]; [`DeviceError::Conflict`] when requests are with the backing for longer than
    /// `limit`. Then the device is served again as soon as they are answered.
    pub async fn quiesce(&self, device: &Arc<Device>, limit: Duration) -> Result<u64, DeviceError> {
        let (id, subject) = (device.id(), Arc::clone(device));
        match blocking(move || subject.quiesce(limit)).await? {
            Quiesced::Done(released) => {
                tracing::info!(device = id, "quiesced");
                Ok(released)
            }
            Quiesced::TooLate => {
                let count = device.in_flight();
                let subject = Arc::clone(device);
                tokio::task::spawn_blocking(move || match subject.take_back() {
                    Ok(()) => tracing::info!(device = id, "served again"),
                    Err(error) => tracing::error!(device = id, %error, "stays quiesced"),
                });
                Err(DeviceError::Conflict(format!(
                    "device {id} is not quiesced: its backing has not answered {count} requests within {limit:?}; it is served again as soon as it has"
                )))
            }
        }
    }

    /// Serves a quiesced or stopped device again.
    ///
    /// # Errors
    /// As [`Device::resume`].
    pub async fn resume(&self, device: &Arc<Device>) -> Result<(), DeviceError> {
        let subject = Arc::clone(device);
        blocking(move || subject.resume()).await?;
        tracing::info!(device = device.id(), "resumed");
        Ok(())
    }

    /// Sees to a device of which a queue has failed: quiesces it if it outlives its daemon, else removes it.
    ///
    /// # Errors
    /// The driver's.
    pub async fn after_failure(self: &Arc<Self>, device: Arc<Device>) -> Result<(), DeviceError> {
        let (id, subject) = (device.id(), Arc::clone(&device));
        if blocking(move || subject.survive_failure()).await? {
            tracing::error!(
                device = id,
                "quiesced; `bvecctl dev resume` serves it again"
            );
            return Ok(());
        }
        tracing::error!(device = id, "removing it");
        self.delete(device).await.map(drop)
    }

    /// Changes the size of a device.
    ///
    /// # Errors
    /// As [`Device::resize`].
    pub async fn resize(&self, device: &Arc<Device>, size_bytes: u64) -> Result<(), DeviceError> {
        let subject = Arc::clone(device);
        detached(async move { subject.resize(size_bytes).await }).await?;
        tracing::info!(device = device.id(), size_bytes, "resized");
        Ok(())
    }
}
