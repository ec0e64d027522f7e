//! What rules are checked against: the device, and what this daemon carries out.

use api::{DeviceConfig, Integrity};
use fault::{ActionSet, DeviceFacts};

use super::Device;
use super::plan::Plan;
use crate::queue::HAS_FAULTS;

/// What the queues' loop carries out, and tells the engine of a request.
const SUPPORTED: ActionSet = match HAS_FAULTS {
    true => ActionSet::all(),
    false => ActionSet::empty(),
};

/// The facts of a device that is planned.
pub(super) fn planned(config: &DeviceConfig, plan: &Plan, size_bytes: u64) -> DeviceFacts {
    DeviceFacts {
        sectors: size_bytes >> 9,
        logical_block_bytes: plan.params.logical_block.bytes(),
        queues: config.queues,
        depth: config.depth,
        has_volatile_cache: plan.params.volatile_cache,
        integrity: config.integrity != Integrity::None,
        unprivileged: config.unprivileged,
        can_stage: true,
        supported: SUPPORTED,
    }
}

impl Device {
    /// The facts that its rules are checked against, if it has this size.
    #[must_use]
    pub fn facts(&self, size_bytes: u64) -> DeviceFacts {
        DeviceFacts {
            sectors: size_bytes >> 9,
            logical_block_bytes: self.logical_block_bytes,
            queues: self.info.queues,
            depth: self.info.depth,
            has_volatile_cache: self.limits.volatile_cache,
            integrity: self.config.integrity != Integrity::None,
            unprivileged: self.config.unprivileged,
            can_stage: true,
            supported: SUPPORTED,
        }
    }
}
