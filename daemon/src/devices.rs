//! All devices of this daemon.

mod takeover;
mod verbs;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{DeviceConfig, Driver};
use tokio::sync::{RwLock, mpsc, watch};
use tokio::task::{JoinError, spawn_blocking};
use ublk::{DeviceState, Features, control};

use crate::device::{Device, DeviceError, Failure, Surroundings};
use crate::events::EventLog;
use crate::openers;
use crate::shared::Wish;
use crate::state::{StateDir, is_alive};

pub use takeover::Left;

/// How often it is told what a device that is to go waits for.
const STILL_THERE: Duration = Duration::from_secs(5);

/// The devices by number, and what they are made with.
#[derive(Debug)]
pub struct Devices {
    by_id: Mutex<BTreeMap<u32, Arc<Device>>>,
    /// Held, shared, while a device is being made; taken, exclusively and for good, at the end.
    open: Arc<RwLock<()>>,
    /// Becomes true when the daemon is to end and leave its devices behind.
    pub leaving: watch::Sender<bool>,
    /// Held while devices of another daemon are taken over or removed.
    takeover: tokio::sync::Mutex<()>,
    surroundings: Surroundings,
}

/// What queues tell the server.
#[derive(Debug)]
pub struct FromQueues {
    /// Queues that failed.
    pub failed: mpsc::UnboundedReceiver<Failure>,
    /// What rules want of their devices.
    pub wished: mpsc::UnboundedReceiver<(u32, Wish)>,
}

impl Devices {
    /// No devices yet. Those to come are put on file in `state`, if it is given. The receivers tell of
    /// devices whose queues failed, and of what rules want of their devices.
    #[must_use]
    pub fn new(state: Option<StateDir>) -> (Arc<Self>, FromQueues) {
        let (failures, failed) = mpsc::unbounded_channel();
        let (wishes, wished) = mpsc::unbounded_channel();
        let devices = Self {
            by_id: Mutex::default(),
            open: Arc::default(),
            leaving: watch::Sender::new(false),
            takeover: tokio::sync::Mutex::default(),
            surroundings: Surroundings {
                events: Arc::new(EventLog::new()),
                failures,
                wishes,
                state: state.map(Arc::new),
            },
        };
        (Arc::new(devices), FromQueues { failed, wished })
    }

    /// The daemon's events.
    #[must_use]
    pub fn events(&self) -> &Arc<EventLog> {
        &self.surroundings.events
    }

    /// Makes a device. It is made and listed even if the caller goes away meanwhile: a client that
    /// disconnects must not leave a device that nobody knows of.
    ///
    /// # Errors
    /// [`DeviceError`]; then nothing is left of it.
    pub async fn add(self: &Arc<Self>, config: DeviceConfig) -> Result<Arc<Device>, DeviceError> {
        let Ok(open) = Arc::clone(&self.open).try_read_owned() else {
            return Err(DeviceError::Stopping);
        };
        let devices = Arc::clone(self);
        detached(async move {
            let surroundings = devices.surroundings.clone();
            let config = devices.with_number(config)?;
            let numbers = devices.numbers();
            let made = move || match config.driver {
                Driver::Ublk => Device::add(config, Features::probe()?, &surroundings),
                Driver::Nbd => Device::add_nbd(config, &numbers, &surroundings),
            };
            let device = Arc::new(blocking(made).await?);
            if let Err(error) = devices.list(&device) {
                blocking(move || device.delete()).await?;
                return Err(error);
            }
            tracing::info!(device = device.id(), data_path = ?device.data_path, "added");
            drop(open);
            Ok(device)
        })
        .await
    }

    /// A configuration with a number that no device of another driver has. Where all devices are of ublk its driver
    /// chooses, which knows the devices of other servers as well.
    fn with_number(&self, config: DeviceConfig) -> Result<DeviceConfig, DeviceError> {
        let numbers = self.numbers();
        if let Some(id) = config.id.filter(|id| numbers.contains(id)) {
            return Err(taken(id));
        }
        let mixed = self
            .all()
            .iter()
            .any(|device| device.config.driver == Driver::Nbd);
        if config.driver == Driver::Nbd || config.id.is_some() || !mixed {
            return Ok(config);
        }
        let is_free = |id: &u32| {
            !numbers.contains(id) && !std::path::Path::new(&format!("/dev/ublkc{id}")).exists()
        };
        let id = (0..api::MAX_DEVICES).find(is_free);
        Ok(DeviceConfig { id, ..config })
    }

    fn numbers(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    /// Lists a new device; not if another one of its number came first.
    fn list(&self, device: &Arc<Device>) -> Result<(), DeviceError> {
        match self.lock().entry(device.id()) {
            Entry::Occupied(_) => Err(taken(device.id())),
            Entry::Vacant(place) => {
                place.insert(Arc::clone(device));
                Ok(())
            }
        }
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

    /// Lets go whatever the device holds, then removes it. Returns how many requests were let go. Goes on
    /// even if the caller goes away meanwhile.
    ///
    /// # Errors
    /// The driver's; the device stays listed.
    pub async fn delete(self: &Arc<Self>, device: Arc<Device>) -> Result<u64, DeviceError> {
        let devices = Arc::clone(self);
        detached(async move {
            let id = device.id();
            device.close();
            let released = device.heal().await?;
            let in_flight = device.in_flight();
            tracing::info!(
                device = id,
                in_flight,
                "removing, once its requests are answered"
            );
            let subject = Arc::clone(&device);
            blocking(move || {
                let opened = openers::told(&subject.path());
                if !opened.is_empty() {
                    tracing::warn!(
                        device = id,
                        "open{opened}; its number is free once it is closed there"
                    );
                }
                subject.delete()
            })
            .await?;
            let mut by_id = devices.lock();
            // The number may belong to a later device by now.
            if by_id
                .get(&id)
                .is_some_and(|listed| Arc::ptr_eq(listed, &device))
            {
                by_id.remove(&id);
            }
            drop(by_id);
            tracing::info!(device = id, "removed");
            Ok(released)
        })
        .await
    }

    /// Removes what a dead server left behind under this number: any device that is on file here, of others
    /// only one without a block device. Returns false if there is nothing, or if its server is alive.
    ///
    /// # Errors
    /// The driver's.
    pub async fn delete_leftover(&self, id: u32) -> Result<bool, DeviceError> {
        if self.left_behind().contains(&id) {
            return self.reap_one(id).await.map(|()| true);
        }
        blocking(move || {
            let info = match control::info(id) {
                Ok(Some(info)) => info,
                Ok(None) | Err(ublk::Error::NoDriver) => return Ok(false),
                Err(error) => return Err(error.into()),
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

    /// Waits for devices that are being made, takes no more, and removes every device, the newest first,
    /// since it may be built on an older one. Goes on after an error; returns how many could not be
    /// removed.
    pub async fn close(self: &Arc<Self>) -> usize {
        // For good: no device may come after this.
        std::mem::forget(Arc::clone(&self.open).write_owned().await);
        let mut devices = self.all();
        devices.sort_by_key(|device| std::cmp::Reverse(device.added_ns));
        // All of them before the first is removed: a device may hold a request of one built on it.
        for device in &devices {
            device.close();
            if let Err(error) = device.heal().await {
                tracing::error!(device = device.id(), %error, "could not be healed");
            }
        }
        let mut failed = 0;
        for device in devices {
            let id = device.id();
            if let Err(error) = told_if_slow(&device, self.delete(Arc::clone(&device))).await {
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

fn taken(id: u32) -> DeviceError {
    DeviceError::Conflict(format!(
        "number {id} is that of another device of this daemon; leave --id out for a free one"
    ))
}

/// Does something to a device, and tells what it waits for if that takes long.
async fn told_if_slow<T>(device: &Device, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(STILL_THERE) => {
                tracing::warn!(device = device.id(), waits_for = waits_for(device), "is still there");
            }
        }
    }
}

/// What keeps a device from going.
fn waits_for(device: &Device) -> String {
    let opened = openers::told(&device.path());
    match (device.in_flight(), &device.config.target) {
        (0, _) => format!("the kernel; the block device is open{opened}"),
        (count, api::TargetConfig::Loop { file, .. }) => {
            format!(
                "{count} requests that {} has not answered, sent{opened}",
                file.display()
            )
        }
        (count, _) => format!("{count} requests, sent{opened}"),
    }
}

/// Runs work to its end, whether or not the caller still waits.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, DeviceError>> + Send + 'static,
) -> Result<T, DeviceError> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(lost(error)))
}

/// Runs work that waits for the kernel where the server does not wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeviceError> + Send + 'static,
) -> Result<T, DeviceError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(lost(error)))
}

fn lost(error: JoinError) -> DeviceError {
    DeviceError::System {
        what: "run a device command",
        source: std::io::Error::other(error),
    }
}
