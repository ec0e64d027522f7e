//! A device that there is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::{DataPath, Transport};
use crate::driver::Driver;
use crate::geometry::Limits;
use crate::integrity::Integrity;
use crate::recovery::Recovery;
use crate::target::TargetConfig;

/// A device of this daemon, as it really is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Version of this object; 1.
    pub schema: u32,
    /// The number N of `/dev/ublkbN`, or of `/dev/nbdN`.
    pub id: u32,
    /// The block device's path.
    #[schema(example = "/dev/ublkb0")]
    pub path: String,
    /// Which driver of the kernel makes the block device.
    #[serde(default)]
    pub driver: Driver,
    /// What it is doing.
    pub state: DeviceState,
    /// What backs it.
    pub target: TargetConfig,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How payload moves; never `auto`.
    pub data_path: DataPath,
    /// The protection information of its logical blocks.
    #[serde(default)]
    pub integrity: Integrity,
    /// How requests move.
    pub transport: Transport,
    /// Hardware queues that the driver gave, which may be fewer than asked for.
    pub queues: u16,
    /// Requests in flight a queue that the driver gave.
    pub depth: u16,
    /// The logical block in bytes.
    pub logical_block_bytes: u32,
    /// The physical block in bytes.
    pub physical_block_bytes: u32,
    /// The longest request in bytes.
    pub max_io_bytes: u32,
    /// Whether the block layer refuses to write.
    pub read_only: bool,
    /// What else the block layer was told of it.
    pub limits: Limits,
    /// What becomes of it when its daemon is gone.
    pub recovery: Recovery,
    /// Names of the driver's flags in force, without `UBLK_F_`.
    pub flags: Vec<String>,
    /// The generation of its rule set.
    pub generation: u64,
    /// Seed of its rules' draws.
    pub seed: u64,
    /// How many rules it has.
    pub rules: u32,
    /// How many requests are held.
    pub held: u32,
    /// Process id of the daemon that serves it.
    pub daemon_pid: u32,
}

/// What a device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It is being made.
    Starting,
    /// It serves requests.
    Live,
    /// Its queues are ending; requests that are with the backing are waited for.
    Quiescing,
    /// The block device is there and nobody serves it: requests wait, or fail with `fail-io`, until it is
    /// resumed.
    Quiesced,
    /// There is no block device until it is resumed.
    Stopped,
    /// It is being taken away.
    Stopping,
    /// It failed and serves no more.
    Dead,
}

/// The devices of the daemon, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceList {
    /// Version of this object; 1.
    pub schema: u32,
    /// The devices.
    pub devices: Vec<Device>,
}

/// The answer to the removal of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceDeleted {
    /// Version of this object; 1.
    pub schema: u32,
    /// Its number.
    pub id: u32,
    /// How many held or delayed requests were released for it.
    pub released: u64,
}
