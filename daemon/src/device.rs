//! One device, from ADD to DEL.

mod buffers;
mod geometry;
mod plan;
mod threads;
mod unprivileged;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api::{DeviceConfig, EventKind};
use arc_swap::ArcSwap;
use fault::{Geometry, RuleSet};
use tokio::sync::{mpsc, oneshot};
use ublk::{DataPathKind, DeviceInfo, Features, control};

use crate::backing::BackingError;
use crate::clock::now_ns;
use crate::events::{Event, EventLog};
use crate::holds::Holds;
use crate::mailbox::{Command, LetGo, Outcome, Which};
use crate::shared::{DeviceShared, Published, QueueShared};
pub use buffers::BufferChange;
use plan::Plan;
use threads::Threads;

/// Why a device could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Its backing was refused.
    #[error(transparent)]
    Backing(#[from] BackingError),
    /// The driver or the system refused something.
    #[error(transparent)]
    Ublk(#[from] ublk::Error),
    /// A rule was refused.
    #[error(transparent)]
    Rule(#[from] fault::RuleError),
    /// The configuration asks for what this server cannot do.
    #[error("{field}: {reason}")]
    Config {
        /// Where in the body.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The configuration asks for what no kernel or not this release can do.
    #[error("{field}: {reason}")]
    Unsupported {
        /// Where in the body.
        field: &'static str,
        /// What there is instead.
        reason: String,
    },
    /// The daemon is on its way out.
    #[error("the daemon is stopping and makes no more devices")]
    Stopping,
    /// The system is out of something.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

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

/// A device that is being served.
#[derive(Debug)]
pub struct Device {
    /// What the client asked for.
    pub config: DeviceConfig,
    /// What the driver gave.
    pub info: DeviceInfo,
    /// The data path in use.
    pub data_path: DataPathKind,
    /// The size in bytes.
    pub size_bytes: u64,
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
    closing: AtomicBool,
    /// Held while it is being removed, so that it is removed once.
    removed: Mutex<bool>,
    threads: Mutex<Option<Threads>>,
    rule_change: tokio::sync::Mutex<()>,
}

impl Device {
    /// Makes the device and serves it. Blocks until the block device is there.
    ///
    /// # Errors
    /// [`DeviceError`]; whatever was made on the way is gone again.
    pub fn add(
        config: DeviceConfig,
        offered: Features,
        events: Arc<EventLog>,
        failures: mpsc::UnboundedSender<Failure>,
    ) -> Result<Self, DeviceError> {
        let plan = Plan::make(&config, offered)?;
        let geometry = Geometry {
            sectors: plan.params.device_sectors,
        };
        let first = RuleSet::compile(1, config.seed, config.rules.clone(), None, geometry)?;
        let info = control::add(plan.add)?;
        let added = Added(info.id);
        control::set_params(info.id, &plan.params)?;
        let shared = Arc::new(DeviceShared {
            id: info.id,
            // The kernel's own probing at START must not meet the rules.
            rules: Arc::new(ArcSwap::from_pointee(Published::new(RuleSet::empty()))),
            holds: Holds::new(usize::from(info.queues) * usize::from(info.depth)),
            events,
            buffers: Arc::default(),
        });
        let queues = threads::shared_queues(info.queues)?;
        let threads = Threads::spawn(&plan, info, &shared, &queues, failures)?;
        let node = format!("/dev/ublkb{}", info.id);
        if let Err(error) = control::start(info.id).and_then(|()| control::wait_for_node(&node)) {
            // Best effort: it may not have started.
            let _ = control::stop(info.id);
            threads.quit(&queues);
            return Err(error.into());
        }
        added.keep();
        shared.rules.store(Arc::new(Published::new(first)));
        for queue in &queues {
            // Nobody waits for the answer: no client knows of the device yet.
            queue.mailbox.send(Command::Refresh(oneshot::channel().0));
        }
        shared.events.push(Event {
            device: Some(info.id),
            ..Event::of(EventKind::DeviceAdded)
        });
        Ok(Self {
            data_path: plan.data_path,
            size_bytes: plan.params.device_sectors << 9,
            logical_block_bytes: plan.params.logical_block.bytes(),
            physical_block_bytes: plan.params.physical_block.bytes(),
            limits: geometry::limits(&plan.params),
            config,
            info,
            shared,
            queues,
            added_ns: now_ns(),
            closing: AtomicBool::new(false),
            removed: Mutex::new(false),
            threads: Mutex::new(Some(threads)),
            rule_change: tokio::sync::Mutex::new(()),
        })
    }

    /// The number N of `/dev/ublkbN`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id
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

    /// The geometry that rules are checked against.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        Geometry {
            sectors: self.size_bytes >> 9,
        }
    }

    /// Publishes the rules that `change` makes of the present ones, and waits until every queue
    /// decides by them.
    ///
    /// # Errors
    /// `change`'s own, or a rule that was refused; then nothing has changed.
    pub async fn change_rules<E: From<fault::RuleError>>(
        &self,
        change: impl FnOnce(Vec<fault::Rule>) -> Result<Vec<fault::Rule>, E>,
    ) -> Result<Change, E> {
        let _one_at_a_time = self.rule_change.lock().await;
        let current = self.shared.rules.load_full();
        let rules = change(current.set.rules().cloned().collect())?;
        let generation = current.set.generation() + 1;
        let seed = self.config.seed;
        let next = RuleSet::compile(generation, seed, rules, Some(&current.set), self.geometry())?;
        let rules = next.len();
        self.shared.rules.store(Arc::new(Published::new(next)));
        let mut released = 0;
        for answer in self.ask(Command::Refresh) {
            // A queue that has ended decides nothing.
            released += answer.await.unwrap_or_default();
        }
        self.report(EventKind::RulesChanged, Some(generation));
        Ok(Change {
            generation,
            rules,
            released,
        })
    }

    /// Lets parked requests go.
    pub async fn release(&self, which: Which, outcome: Outcome) -> LetGo {
        let asked = self.ask(|answer| Command::Release {
            which: which.clone(),
            outcome,
            answer,
        });
        let mut all = LetGo::default();
        for answer in asked {
            let one = answer.await.unwrap_or_default();
            all.count += one.count;
            all.holds.extend(one.holds);
        }
        all.holds.sort_unstable();
        all
    }

    /// Removes every rule and lets everything go. Returns how many requests that were.
    ///
    /// # Errors
    /// None: an empty rule set is always accepted.
    pub async fn heal(&self) -> Result<u64, DeviceError> {
        let change = self
            .change_rules(|_| Ok::<_, DeviceError>(Vec::new()))
            .await?;
        let released = self.release(Which::Everything, Outcome::GoOn).await.count;
        self.report(EventKind::Healed, Some(change.generation));
        Ok(change.released + released)
    }

    /// Whether a queue ended although the device has not been removed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.as_ref().is_some_and(Threads::any_failed)
    }

    fn report(&self, kind: EventKind, generation: Option<u64>) {
        let event = Event {
            device: Some(self.id()),
            generation,
            ..Event::of(kind)
        };
        self.shared.events.push(event);
    }

    fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<oneshot::Receiver<T>> {
        let send = |queue: &Arc<QueueShared>| {
            let (sender, receiver) = oneshot::channel();
            queue.mailbox.send(command(sender));
            receiver
        };
        self.queues.iter().map(send).collect()
    }

    /// Removes the device. What is parked must have been let go by [`Device::heal`]; blocks until the
    /// last request has been answered. A second caller waits for the first; after an error it can be
    /// tried again.
    ///
    /// # Errors
    /// The driver's.
    pub fn delete(&self) -> Result<(), DeviceError> {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        if *removed {
            return Ok(());
        }
        let id = self.id();
        gone_is_fine(control::stop(id))?;
        let threads = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(threads) = threads {
            threads.join();
        }
        gone_is_fine(control::delete(id))?;
        *removed = true;
        self.report(EventKind::DeviceDeleted, None);
        Ok(())
    }
}

/// Removing what is gone already is no error.
fn gone_is_fine(result: Result<(), ublk::Error>) -> Result<(), ublk::Error> {
    match result {
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}

/// A device that was added and not yet started: deleted again if the way to START ends early.
struct Added(u32);

impl Added {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        if let Err(error) = control::delete(self.0) {
            tracing::error!(device = self.0, %error, "a half-made device stays behind");
        }
    }
}
