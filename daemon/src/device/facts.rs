//! What rules are checked against: the device, and what this daemon carries out.

use api::{DeviceConfig, Driver, Integrity};
use fault::{ActionSet, DeviceFacts};

use super::Device;
use super::plan::Plan;
use crate::queue::HAS_FAULTS;

/// What the queues' loop carries out, and tells the engine of a request.
const SUPPORTED: ActionSet = match HAS_FAULTS {
    true => ActionSet::all(),
    false => ActionSet::empty(),
};

/// The same on a device of this driver. NBD has no word for fewer bytes than were asked for.
fn supported(driver: Driver) -> ActionSet {
    match driver {
        Driver::Ublk => SUPPORTED,
        Driver::Nbd => SUPPORTED.difference(ActionSet::SHORT),
    }
}

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
        supported: supported(config.driver),
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
            supported: supported(self.config.driver),
        }
    }
}
