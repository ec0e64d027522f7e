//! All devices of this daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::DeviceConfig;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use ublk::{DeviceState, Features, control};

use crate::device::{Device, DeviceError, Failure};
use crate::events::EventLog;

/// The devices by number, and what they are made with.
#[derive(Debug)]
pub struct Devices {
    by_id: Mutex<BTreeMap<u32, Arc<Device>>>,
    /// The daemon's events.
    pub events: Arc<EventLog>,
    failures: mpsc::UnboundedSender<Failure>,
}

impl Devices {
    /// No devices yet. The receiver tells of devices whose queues failed.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Failure>) {
        let (failures, failed) = mpsc::unbounded_channel();
        let devices = Self {
            by_id: Mutex::default(),
            events: Arc::new(EventLog::new()),
            failures,
        };
        (Arc::new(devices), failed)
    }

    /// Makes a device.
    ///
    /// # Errors
    /// [`DeviceError`]; then nothing is left of it.
    pub async fn add(&self, config: DeviceConfig) -> Result<Arc<Device>, DeviceError> {
        let events = Arc::clone(&self.events);
        let failures = self.failures.clone();
        let device = blocking(move || {
            let offered = Features::probe()?;
            Device::add(config, offered, events, failures)
        })
        .await?;
        let device = Arc::new(device);
        self.lock().insert(device.id(), Arc::clone(&device));
        tracing::info!(device = device.id(), data_path = ?device.data_path, "added");
        Ok(device)
    }

    /// The device with this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Device>> {
        self.lock().get(&id).cloned()
    }

    /// Every device, by number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Device>> {
        self.lock().values().cloned().collect()
    }

    /// Lets go whatever the device holds, then removes it. Returns how many requests were let go.
    ///
    /// # Errors
    /// The driver's; the device stays listed.
    pub async fn delete(&self, device: Arc<Device>) -> Result<u64, DeviceError> {
        let id = device.id();
        let released = device.heal().await?;
        let in_flight = in_flight(&device);
        tracing::info!(
            device = id,
            in_flight,
            "removing; waits until its requests are answered"
        );
        let subject = Arc::clone(&device);
        blocking(move || subject.delete()).await?;
        self.lock().remove(&id);
        tracing::info!(device = id, "removed");
        Ok(released)
    }

    /// Removes what a dead server left behind under this number. Returns false if there is nothing, or if
    /// its server is alive.
    ///
    /// # Errors
    /// The driver's.
    pub async fn delete_leftover(&self, id: u32) -> Result<bool, DeviceError> {
        blocking(move || {
            let Some(info) = control::info(id)? else {
                return Ok(false);
            };
            if info.state != DeviceState::Dead || is_alive(info.server_pid) {
                return Ok(false);
            }
            control::delete(id)?;
            tracing::info!(
                device = id,
                server = info.server_pid,
                "removed a dead server's device"
            );
            Ok(true)
        })
        .await
    }

    /// Removes every device, the newest first, since it may be built on an older one. Goes on after an
    /// error; returns how many could not be removed.
    pub async fn delete_all(&self) -> usize {
        let mut failed = 0;
        for device in self.all().into_iter().rev() {
            let id = device.id();
            if let Err(error) = self.delete(device).await {
                tracing::error!(device = id, %error, "could not be removed");
                failed += 1;
            }
        }
        failed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Device>>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process is there. The driver names -1 once a device's server has gone.
fn is_alive(pid: i32) -> bool {
    // Signal 0 only asks (kill(2)).
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

fn in_flight(device: &Device) -> u64 {
    let queues = device.queues.iter();
    queues
        .map(|q| {
            q.stats
                .arrived
                .get()
                .saturating_sub(q.stats.committed.get())
        })
        .sum()
}

/// Runs work that waits for the kernel where the server does not wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeviceError> + Send + 'static,
) -> Result<T, DeviceError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(DeviceError::System {
            what: "run a device command",
            source: std::io::Error::other(error),
        }),
    }
}
