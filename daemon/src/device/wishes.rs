//! What rules want of a device as a whole, done by the server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api::EventKind;
use tokio::task::spawn_blocking;
use ublk::control;

use super::{Device, DeviceError};
use crate::mailbox::Command;
use crate::process;
use crate::shared::Wish;

/// How often it is tried to bring back a device whose old block device is still open.
const STILL_OPEN: Duration = Duration::from_millis(100);

impl Device {
    /// Does what a rule wants. A failure is told: in the log and as an event.
    pub async fn fulfil(self: Arc<Self>, wish: Wish) {
        let done = match wish {
            Wish::Crash => {
                // The next daemon is to know that the rule has fired, or it would fire again.
                self.remember();
                process::die()
            }
            Wish::Resize { size_bytes } => self.resize(size_bytes).await,
            Wish::ReadOnly { on } => self.set_read_only(on).await,
            Wish::Remove {
                surprise,
                return_after_ns,
            } => self.go_away(surprise, return_after_ns).await,
        };
        if let Err(error) = done {
            tracing::error!(device = self.id(), ?wish, %error, "a rule's wish was not fulfilled");
            self.report(EventKind::WishFailed, None);
        }
    }

    /// Makes the block device read-only for whoever opens it, and fails what would change the medium; or
    /// undoes that.
    ///
    /// # Errors
    /// The system's.
    async fn set_read_only(self: &Arc<Self>, on: bool) -> Result<(), DeviceError> {
        self.read_only.store(on, Ordering::Relaxed);
        for answer in self.ask(|answer| Command::ReadOnly { on, answer }) {
            // A queue that has ended stores nothing.
            let _ = answer.await;
        }
        self.remember();
        let path = self.path();
        self.apart(move |_| Ok(control::set_read_only(&path, on)?))
            .await
    }

    /// Lets new queues know that a rule has made the device read-only, before requests flow.
    pub(super) fn keep_writers_out(&self) {
        if self.read_only.load(Ordering::Relaxed) {
            for answer in self.ask(|answer| Command::ReadOnly { on: true, answer }) {
                // A queue that has ended stores nothing.
                let _ = answer.blocking_recv();
            }
        }
    }

    /// Lets whoever opens a new block device see that a rule has made it read-only. If that fails the queues
    /// refuse what is written all the same.
    pub(super) fn show_read_only(&self) {
        if self.read_only.load(Ordering::Relaxed)
            && let Err(error) = control::set_read_only(&self.path(), true)
        {
            tracing::error!(device = self.id(), %error, "it looks writable, and is not");
        }
    }

    /// Takes the block device away, and brings it back after a while if that is wanted.
    ///
    /// # Errors
    /// As [`Device::stop`] and [`Device::resume`].
    async fn go_away(
        self: &Arc<Self>,
        surprise: bool,
        return_after_ns: Option<u64>,
    ) -> Result<(), DeviceError> {
        if surprise {
            for answer in self.ask(Command::Gone) {
                // A queue that has ended holds nothing.
                let _ = answer.await;
            }
        }
        self.apart(move |device| match surprise {
            true => device.vanish(),
            false => device.stop(false).map(drop),
        })
        .await?;
        if let Some(ns) = return_after_ns {
            tokio::time::sleep(Duration::from_nanos(ns)).await;
            self.come_back().await?;
        }
        Ok(())
    }

    /// Gives a device that went away its block device back, once nobody has the old one open.
    async fn come_back(self: &Arc<Self>) -> Result<(), DeviceError> {
        loop {
            match self.apart(|device| device.resume()).await {
                // ublk's answer, and that of the NBD client.
                Err(DeviceError::Ublk(error))
                    if [Some(libc::EEXIST), Some(libc::EBUSY)].contains(&error.errno()) =>
                {
                    tokio::time::sleep(STILL_OPEN).await;
                }
                other => return other,
            }
        }
    }

    /// Does something that waits for the kernel where the server does not wait for it.
    async fn apart(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<(), DeviceError> + Send + 'static,
    ) -> Result<(), DeviceError> {
        let device = Arc::clone(self);
        spawn_blocking(move || work(&device))
            .await
            .unwrap_or_else(|error| {
                Err(DeviceError::System {
                    what: "do what a rule wants",
                    source: std::io::Error::other(error),
                })
            })
    }
}
