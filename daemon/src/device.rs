//! One device, from ADD to DEL: what it is made of. What is done to it is in the files below.

mod buffers;
mod error;
mod facts;
mod geometry;
mod hold_data;
mod life;
mod make;
mod nbd;
mod plan;
mod protection;
mod resize;
mod rules;
mod scan;
mod threads;
mod unprivileged;
mod wishes;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{DataPath, DeviceConfig, DeviceState, Driver, EventKind, TargetConfig};
use tokio::sync::mpsc;
use ublk::{DataPathKind, DeviceInfo};

use crate::events::{Event, EventLog};
use crate::shared::{DeviceShared, QueueShared, Wish};
use crate::state::{Record, StateDir};

pub use buffers::BufferChange;

pub use error::DeviceError;
use life::Life;
pub use life::Quiesced;
pub use rules::Wanted;

/// A queue that ended with an error, so that its device must go.
#[derive(Debug)]
pub struct Failure {
    /// The device.
    pub device: u32,
    /// What happened.
    pub error: crate::queue::QueueError,
}

/// What a change of the rules came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The new generation.
    pub generation: u64,
    /// How many rules it has.
    pub rules: usize,
    /// How many parked requests went on because their rule is gone.
    pub released: u64,
}

/// What every device of a daemon is made with.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The daemon's events.
    pub events: Arc<EventLog>,
    /// Where a queue tells that it failed.
    pub failures: mpsc::UnboundedSender<Failure>,
    /// Where queues tell what rules want of their device.
    pub wishes: mpsc::UnboundedSender<(u32, Wish)>,
    /// Where devices are put on file, if they are.
    pub state: Option<Arc<StateDir>>,
}

/// A device of this daemon.
#[derive(Debug)]
pub struct Device {
    /// What the client asked for.
    pub config: DeviceConfig,
    /// What the driver gave.
    pub info: DeviceInfo,
    /// The data path in use.
    pub data_path: DataPathKind,
    /// The logical block in bytes.
    pub logical_block_bytes: u32,
    /// The physical block in bytes.
    pub physical_block_bytes: u32,
    /// What else the block layer was told.
    pub limits: api::Limits,
    /// What its queues share.
    pub shared: Arc<DeviceShared>,
    /// Its queues.
    pub queues: Vec<Arc<QueueShared>>,
    /// When it was added, on `CLOCK_MONOTONIC`.
    pub added_ns: u64,
    size_bytes: AtomicU64,
    closing: AtomicBool,
    /// Whether a rule has made it read-only.
    read_only: AtomicBool,
    /// What it is doing, as clients are told.
    state: Mutex<DeviceState>,
    /// Held while it changes, so that one thing is done to it at a time.
    life: Mutex<Life>,
    rule_change: tokio::sync::Mutex<()>,
    /// Whether it is to be on file; held while the file is written.
    on_file: Mutex<bool>,
    /// What its rules had been through when that was put on file last.
    history_on_file: Mutex<fault::Snapshot>,
    /// The file that holds its memory, if that outlives the daemon.
    memory: Option<PathBuf>,
    surroundings: Surroundings,
}

impl Device {
    /// The number N of `/dev/ublkbN`, or of `/dev/nbdN`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id
    }

    /// The path of its block device.
    #[must_use]
    pub fn path(&self) -> String {
        match self.config.driver {
            Driver::Ublk => format!("/dev/ublkb{}", self.id()),
            Driver::Nbd => format!("/dev/nbd{}", self.id()),
        }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed)
    }

    /// What backs it, with the size that it has now.
    #[must_use]
    pub fn target(&self) -> TargetConfig {
        let size_bytes = self.size_bytes();
        match self.config.target.clone() {
            TargetConfig::Ram { .. } => TargetConfig::Ram { size_bytes },
            TargetConfig::Null { .. } => TargetConfig::Null { size_bytes },
            file @ TargetConfig::Loop { .. } => file,
        }
    }

    /// The data path in use, as clients are told.
    #[must_use]
    pub fn data_path(&self) -> DataPath {
        match self.data_path {
            DataPathKind::Copy => DataPath::Copy,
            DataPathKind::UserCopy => DataPath::UserCopy,
            DataPathKind::ZeroCopy => DataPath::ZeroCopy,
            DataPathKind::AutoZeroCopy => DataPath::AutoZeroCopy,
            DataPathKind::SharedMemory => DataPath::SharedMemory,
        }
    }

    /// Takes no more rules: the device is about to go, and a hold would keep it.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the device is about to go.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> DeviceState {
        // While something is done to it its queues may end.
        let failed = || self.life.try_lock().is_ok_and(|life| life.any_failed());
        match self.shown_state() {
            DeviceState::Live if failed() => DeviceState::Dead,
            DeviceState::Live if self.is_closing() => DeviceState::Stopping,
            other => other,
        }
    }

    /// Whether it cannot be written: it was made so, or a rule has made it so.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.config.read_only || self.read_only.load(Ordering::Relaxed)
    }

    fn shown_state(&self) -> DeviceState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: DeviceState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // It is whole after every statement, so a panic elsewhere does not spoil it.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests it has taken and not answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let stats = self.queues.iter().map(|queue| &queue.stats);
        stats
            .map(|s| s.arrived.get().saturating_sub(s.committed.get()))
            .sum()
    }

    /// The device as it goes on file.
    fn record(&self) -> Record {
        let rules = self.shared.rules.load();
        let config = DeviceConfig {
            id: Some(self.id()),
            target: self.target(),
            data_path: self.data_path(),
            queues: self.info.queues,
            depth: self.info.depth,
            logical_block_bytes: Some(self.logical_block_bytes),
            physical_block_bytes: Some(self.physical_block_bytes),
            rules: rules.set.rules().cloned().collect(),
            ..self.config.clone()
        };
        Record {
            read_only: self.read_only.load(Ordering::Relaxed),
            ..Record::new(config, self.size_bytes(), rules.set.snapshot())
        }
    }

    /// Puts the device on file as it is now. A failure is told and does not undo what has changed: the file
    /// is then older than the device, and whole.
    fn remember(&self) {
        let record = self.record();
        let history = record.history.clone();
        match self.write_record(record) {
            Ok(()) => {
                *self
                    .history_on_file
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = history;
            }
            Err(error) => {
                tracing::error!(device = self.id(), %error, "another daemon would find it as it was before");
            }
        }
    }

    /// Puts the device on file if its rules have been through something since that was done last.
    pub(crate) fn remember_history(&self) {
        let rules = self.shared.rules.load_full();
        if rules.set.is_empty() {
            return;
        }
        let now = rules.set.snapshot();
        let mut last = self
            .history_on_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // How many requests there were changes all the time. To write a thousand rules for that cost more than
        // to decide by them, so that it is no news by itself unless a rule counts by it.
        if !rules.set.needs().ordinal {
            last.device.ordinal = now.device.ordinal;
        }
        let is_news = *last != now;
        drop(last);
        if is_news {
            self.remember();
        }
    }

    fn write_record(&self, record: Record) -> Result<(), DeviceError> {
        let Some(state) = &self.surroundings.state else {
            return Ok(());
        };
        let on_file = self.on_file.lock().unwrap_or_else(PoisonError::into_inner);
        if *on_file {
            let memory = self.memory.clone();
            state.write(self.id(), &Record { memory, ..record })?;
        }
        Ok(())
    }

    /// Takes the device off file, for good.
    fn forget(&self) -> Result<(), DeviceError> {
        let mut on_file = self.on_file.lock().unwrap_or_else(PoisonError::into_inner);
        *on_file = false;
        match &self.surroundings.state {
            Some(state) => Ok(state.remove(self.id())?),
            None => Ok(()),
        }
    }

    fn report(&self, kind: EventKind, generation: Option<u64>) {
        let event = Event {
            device: Some(self.id()),
            generation,
            ..Event::of(kind)
        };
        self.shared.events.push(event);
    }
}
