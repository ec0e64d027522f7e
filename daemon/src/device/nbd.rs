//! A device whose block device the kernel's NBD client makes. It has the life of every device, with three
//! differences: it is claimed before it is anything, it goes with its daemon, and so it is never on file.

use std::os::fd::OwnedFd;

use api::{DeviceConfig, DeviceState, EventKind};
use fault::RuleSet;
use tokio::sync::oneshot;
use ublk::nbd::{Client, DEPTH, Settings};
use ublk::{DeviceInfo, Features, Params};

use super::life::Life;
use super::plan::Plan;
use super::threads::Threads;
use super::{Device, DeviceError, Surroundings, facts};
use crate::mailbox::Command;

/// What a device of this driver has in its life.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The block device while it is not begun, with the server's end of its socket.
    claimed: Option<(Client, OwnedFd)>,
    /// The block device.
    client: Option<Client>,
}

impl Link {
    /// The block device, if requests flow.
    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Takes the size of the block device away. What the kernel's cache holds is written back first, if it is to be.
    /// Waits until the server has answered what it was asked.
    pub(super) fn end(&mut self, write_back: bool) {
        let Some(client) = self.client.take() else {
            return;
        };
        if write_back && let Err(error) = client.sync() {
            tracing::warn!(%error, "what was in the cache of the block device is lost");
        }
        client.disconnect();
    }
}

impl Device {
    /// Makes a device of the driver `nbd` and serves it; `avoid` are numbers that it must not have. Blocks until the
    /// block device is there.
    ///
    /// # Errors
    /// [`DeviceError`]; whatever was made on the way is gone again.
    pub fn add_nbd(
        config: DeviceConfig,
        avoid: &[u32],
        surroundings: &Surroundings,
    ) -> Result<Self, DeviceError> {
        let plan = Plan::make(&config, Features::empty(), None)?;
        let size_bytes = plan.params.device_sectors << 9;
        let facts = facts::planned(&config, &plan, size_bytes);
        let first = RuleSet::compile(1, config.seed, config.rules.clone(), None, &facts)?;
        let settings = settings(&plan.params);
        let avoided = |number| avoid.contains(&number);
        let (client, socket) = Client::claim(config.id, avoided, settings)?;
        let info = info(client.number(), config.max_io_bytes);
        let mut device = Self::assemble(config, info, plan, size_bytes, first, surroundings)?;
        device.life().link.claimed = Some((client, socket));
        device.serve_nbd(&mut device.life())?;
        device.learn_limits();
        for queue in &device.queues {
            // Nobody waits for the answer: no client knows of the device yet.
            queue.mailbox.send(Command::Refresh(oneshot::channel().0));
        }
        device.report(EventKind::DeviceAdded, None);
        Ok(device)
    }

    /// Starts the queue and lets requests flow.
    pub(super) fn serve_nbd(&self, life: &mut Life) -> Result<(), DeviceError> {
        for queue in &self.queues {
            queue.mailbox.reopen();
        }
        let (mut client, socket) = match life.link.claimed.take() {
            Some(claimed) => claimed,
            None => Client::claim(Some(self.id()), |_| false, settings(&life.plan.params))?,
        };
        let failures = self.surroundings.failures.clone();
        let threads = Threads::spawn_nbd(&life.plan, socket, &self.shared, &self.queues, failures)?;
        // The kernel's own probing must not meet the rules.
        self.pass(true);
        let begun = client.begin();
        self.pass(false);
        if let Err(error) = begun {
            client.disconnect();
            threads.quit(&self.queues);
            return Err(error.into());
        }
        life.link.client = Some(client);
        life.set_threads(threads);
        self.set_state(DeviceState::Live);
        Ok(())
    }

    /// What the kernel made of the block device, which nobody asked for.
    fn learn_limits(&mut self) {
        let Some(limits) = self.life().link.client().map(Client::limits) else {
            return;
        };
        self.physical_block_bytes = limits.physical_block_bytes;
        self.info.max_io_bytes = limits.max_io_bytes;
        self.limits = api::Limits {
            io_min_bytes: limits.io_min_bytes,
            io_opt_bytes: limits.io_opt_bytes,
            max_segments: limits.max_segments,
            max_segment_bytes: limits.max_segment_bytes,
            discard_granularity_bytes: limits.discard_granularity_bytes,
            max_discard_bytes: limits.max_discard_bytes,
            max_write_zeroes_bytes: limits.max_write_zeroes_bytes,
            ..self.limits
        };
    }
}

/// What the NBD client is told. Its only block is logical and physical.
fn settings(params: &Params) -> Settings {
    Settings {
        size_bytes: params.device_sectors << 9,
        block_bytes: params.logical_block.bytes(),
        max_io_bytes: params.max_io_bytes,
        read_only: params.read_only,
        rotational: params.rotational,
        volatile_cache: params.volatile_cache,
        discard: params.discard.is_some(),
        write_zeroes: params.max_write_zeroes_bytes > 0,
    }
}

fn info(number: u32, max_io_bytes: u32) -> DeviceInfo {
    DeviceInfo {
        id: number,
        queues: 1,
        depth: DEPTH,
        max_io_bytes,
        state: ublk::DeviceState::Live,
        server_pid: i32::try_from(std::process::id()).unwrap_or(0),
        flags: Features::empty(),
        owner_uid: 0,
        owner_gid: 0,
    }
}
