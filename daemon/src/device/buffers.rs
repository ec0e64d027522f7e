//! The memory that clients share with a device.

use std::fs::File;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use ublk::{BufferError, DataPathKind, DeviceState, SharedBuffer, SharedBuffers, control};

use super::{Device, DeviceError};

/// Why a device's buffers could not be listed or changed.
#[derive(Debug, thiserror::Error)]
pub enum BufferChange {
    /// Its data path has none.
    #[error(
        "device {device} has another data path: `bvecctl dev add ... --data-path shared-memory` \
         makes one that shares memory"
    )]
    DataPath {
        /// The device.
        device: u32,
    },
    /// Held requests would keep the change, and everything else on the device, waiting.
    #[error(
        "device {device} holds {held} requests, and the kernel changes buffers only between \
         requests; let them go first, with `bvecctl hold release --all`"
    )]
    Held {
        /// The device.
        device: u32,
        /// How many requests.
        held: usize,
    },
    /// The device is on its way out, or waits for a server.
    #[error("device {0} does not serve requests now")]
    NotServing(u32),
    /// The memory was refused.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// Something else was refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl Device {
    /// The buffers that are shared with the device.
    ///
    /// # Errors
    /// [`BufferChange::DataPath`].
    pub fn buffers(&self) -> Result<&Arc<SharedBuffers>, BufferChange> {
        match self.data_path {
            DataPathKind::SharedMemory => Ok(&self.shared.buffers),
            _ => Err(BufferChange::DataPath { device: self.id() }),
        }
    }

    /// Registers all of a file of memory. Waits for the requests in flight.
    ///
    /// # Errors
    /// [`BufferChange`]; then nothing is registered.
    pub async fn add_buffer(
        self: &Arc<Self>,
        file: File,
        read_only: bool,
    ) -> Result<Arc<SharedBuffer>, BufferChange> {
        let id = self.id();
        self.change_buffers(move |buffers| Ok(buffers.register(id, &file, read_only)?))
            .await
    }

    /// Undoes a registration. Waits for the requests in flight. Returns false if there is no such buffer.
    ///
    /// # Errors
    /// [`BufferChange`]; then the buffer is still registered.
    pub async fn remove_buffer(self: &Arc<Self>, number: u16) -> Result<bool, BufferChange> {
        let id = self.id();
        self.change_buffers(move |buffers| {
            let removed = buffers.unregister(id, number).map_err(DeviceError::from)?;
            Ok(removed)
        })
        .await
    }

    /// Changes the buffers where the server does not wait for it. The change goes on if the caller goes away.
    async fn change_buffers<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&SharedBuffers) -> Result<T, BufferChange> + Send + 'static,
    ) -> Result<T, BufferChange> {
        let buffers = Arc::clone(self.buffers()?);
        let device = self.id();
        let subject = Arc::clone(self);
        // A request that is held from now on keeps the change waiting, until it is let go.
        let held = self.shared.holds.list().len();
        if held > 0 {
            return Err(BufferChange::Held { device, held });
        }
        if self.is_closing() {
            return Err(BufferChange::NotServing(device));
        }
        let work = move || {
            // Nothing else must be done to it meanwhile; nor must its number come to mean another device.
            let life = subject.life();
            // The driver would wait for the requests of a device without a server for ever.
            let info = control::info(device).map_err(DeviceError::from)?;
            match info {
                Some(info) if info.state == DeviceState::Live && !life.is_removed() => {
                    change(&buffers)
                }
                _ => Err(BufferChange::NotServing(device)),
            }
        };
        spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(BufferChange::Device(DeviceError::System {
                what: "run a command for a buffer",
                source: std::io::Error::other(error),
            }))
        })
    }
}
