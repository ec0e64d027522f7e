//! A device begins: made anew, or taken over from a daemon that is gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::{DeviceConfig, DeviceState, Driver, EventKind};
use arc_swap::ArcSwap;
use fault::RuleSet;
use tokio::sync::oneshot;
use ublk::{DeviceInfo, Features, control};

use super::life::{How, Life, PATIENCE};
use super::plan::{Plan, Source};
use super::{Device, DeviceError, Surroundings, facts, geometry, threads};
use crate::backing::BackingError;
use crate::clock::now_ns;
use crate::holds::Holds;
use crate::mailbox::Command;
use crate::shared::{DeviceShared, Published};
use crate::state::Record;

/// How long the backing may still be locked by a daemon that has gone: its last files are closed by a
/// worker of the kernel.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

impl Device {
    /// Makes the device and serves it. Blocks until the block device is there.
    ///
    /// # Errors
    /// [`DeviceError`]; whatever was made on the way is gone again.
    pub fn add(
        config: DeviceConfig,
        offered: Features,
        surroundings: &Surroundings,
    ) -> Result<Self, DeviceError> {
        let plan = Plan::make(&config, offered, None)?;
        let size_bytes = plan.params.device_sectors << 9;
        let facts = facts::planned(&config, &plan, size_bytes);
        let first = RuleSet::compile(1, config.seed, config.rules.clone(), None, &facts)?;
        let info = control::add(plan.add)?;
        let added = Added(info.id);
        control::set_params(info.id, &plan.params)?;
        let device = Self::assemble(config, info, plan, size_bytes, first, surroundings)?;
        // Before the block device appears: a daemon that is killed now leaves nothing that nobody knows.
        device.write_record(device.record())?;
        if let Err(error) = device.serve(&mut device.life(), How::Start) {
            // What is wrong is told by that error; a file that stays is found by `reap`.
            let _ = device.forget();
            return Err(error);
        }
        added.keep();
        device.life().keep_memory();
        for queue in &device.queues {
            // Nobody waits for the answer: no client knows of the device yet.
            queue.mailbox.send(Command::Refresh(oneshot::channel().0));
        }
        device.report(EventKind::DeviceAdded, None);
        Ok(device)
    }

    /// Serves a device that another daemon has left, as it is on file. Blocks until requests flow.
    ///
    /// # Errors
    /// [`DeviceError`]; the device is as it was.
    pub fn adopt(
        id: u32,
        record: Record,
        offered: Features,
        surroundings: &Surroundings,
    ) -> Result<Self, DeviceError> {
        let info = whose(id, &record)?;
        // It waits until the kernel has done away with the old server, and so comes before the backing.
        control::start_recovery(id, PATIENCE)?;
        let plan = plan_again(&record, offered)?;
        fits(&info, &plan, &record)?;
        let config = record.config;
        let rules = config.rules.clone();
        let facts = facts::planned(&config, &plan, record.size_bytes);
        let (generation, seed) = (record.generation, config.seed);
        let rules = RuleSet::restore(generation, seed, rules, &record.history, &facts)?;
        let device = Self::assemble(config, info, plan, record.size_bytes, rules, surroundings)?;
        device.read_only.store(record.read_only, Ordering::Relaxed);
        device.serve(&mut device.life(), How::Recover)?;
        device.remember();
        device.report(EventKind::DeviceAdopted, None);
        Ok(device)
    }

    pub(super) fn assemble(
        config: DeviceConfig,
        info: DeviceInfo,
        plan: Plan,
        size_bytes: u64,
        rules: RuleSet,
        surroundings: &Surroundings,
    ) -> Result<Self, DeviceError> {
        let queues = threads::shared_queues(info.queues)?;
        // The next daemon finds nothing of a device of the NBD client's.
        let on_file = config.driver == Driver::Ublk;
        let shared = Arc::new(DeviceShared {
            id: info.id,
            history: Arc::clone(rules.history()),
            queues: queues.clone(),
            wishes: surroundings.wishes.clone(),
            rules: Arc::new(ArcSwap::from_pointee(Published::new(rules))),
            holds: Holds::new(usize::from(info.queues) * usize::from(info.depth)),
            events: Arc::clone(&surroundings.events),
            buffers: Arc::default(),
        });
        Ok(Self {
            data_path: plan.data_path,
            logical_block_bytes: plan.params.logical_block.bytes(),
            physical_block_bytes: plan.params.physical_block.bytes(),
            limits: geometry::limits(&plan.params),
            queues,
            config,
            info,
            shared,
            added_ns: now_ns(),
            size_bytes: AtomicU64::new(size_bytes),
            closing: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            state: Mutex::new(DeviceState::Starting),
            memory: plan.source.kept().map(|kept| kept.path().to_owned()),
            life: Mutex::new(Life::new(plan)),
            rule_change: tokio::sync::Mutex::default(),
            on_file: Mutex::new(on_file),
            history_on_file: Mutex::default(),
            surroundings: surroundings.clone(),
        })
    }
}

/// What the kernel has of a device that is on file, if nobody serves it.
fn whose(id: u32, record: &Record) -> Result<DeviceInfo, DeviceError> {
    if record.daemon.is_alive() {
        let pid = record.daemon.pid;
        return Err(DeviceError::Conflict(format!(
            "device {id} is served by process {pid}, which runs; `bvecctl dev hand-over` at its socket lets it go"
        )));
    }
    let Some(info) = control::info(id)? else {
        return Err(DeviceError::Conflict(format!(
            "device {id} is on file and the kernel does not have it; `bvecctl dev reap` forgets it"
        )));
    };
    if info.server_pid != record.daemon.pid && crate::state::is_alive(info.server_pid) {
        let pid = info.server_pid;
        return Err(DeviceError::Conflict(format!(
            "device {id} is now another one, of process {pid}; `bvecctl dev reap` forgets ours"
        )));
    }
    if info.state == ublk::DeviceState::Dead {
        return Err(DeviceError::Conflict(format!(
            "the block device of device {id} has gone; `bvecctl dev reap` removes what is left"
        )));
    }
    if !record.config.recovery.outlives_daemon() {
        return Err(DeviceError::Conflict(format!(
            "device {id} was added with --recovery fail and goes with its daemon; `bvecctl dev reap` removes what is left"
        )));
    }
    Ok(info)
}

/// Opens everything again as it is on file.
fn plan_again(record: &Record, offered: Features) -> Result<Plan, DeviceError> {
    let begin = Instant::now();
    loop {
        match Plan::make(&record.config, offered, record.memory.as_deref()) {
            Err(DeviceError::Backing(BackingError::InUse { .. }))
                if begin.elapsed() < LOCK_PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Whether the device of the kernel is the one on file, and the medium still holds all of it.
fn fits(info: &DeviceInfo, plan: &Plan, record: &Record) -> Result<(), DeviceError> {
    let id = info.id;
    let (kernel, file) = (
        (info.queues, info.depth, info.max_io_bytes),
        (plan.add.queues, plan.add.depth, plan.add.max_io_bytes),
    );
    if kernel != file || !info.flags.contains(plan.add.flags) {
        let flags = plan.add.flags - info.flags;
        return Err(DeviceError::Conflict(format!(
            "device {id} of the kernel is not the one on file: queues, depth, longest request {kernel:?} and {file:?}, missing flags {flags:?}"
        )));
    }
    let has_bytes = plan.params.device_sectors << 9;
    if has_bytes < record.size_bytes {
        return Err(DeviceError::Conflict(format!(
            "the backing of device {id} has {has_bytes} bytes, fewer than the device's {}; make it as large as it was",
            record.size_bytes
        )));
    }
    Ok(())
}

impl Source {
    /// The memory that outlives the daemon, if the device has such.
    pub(super) fn kept(&self) -> Option<&crate::kept_memory::KeptMemory> {
        match self {
            Self::Ram(ram) => ram.kept.as_deref(),
            Self::Loop(_) | Self::Null => None,
        }
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
