//! What a device is to be: the body of `POST /v1/devices`.

use fault::{DeviceFacts, Rule, RuleSet, SECTOR_BYTES};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::{DataPath, Transport};
use crate::driver::{self, Driver};
use crate::geometry::{self, out_of};
use crate::integrity::Integrity;
use crate::problem::Problem;
use crate::recovery::Recovery;
use crate::target::TargetConfig;

/// Device numbers the driver has: `UBLK_MINORS` (drivers/block/ublk_drv.c), all minors of one major.
pub const MAX_DEVICES: u32 = 1 << 20;

/// `UBLK_MAX_NR_QUEUES` (include/uapi/linux/ublk_cmd.h).
pub const MAX_QUEUES: u16 = 4096;

/// `UBLK_MAX_QUEUE_DEPTH` (include/uapi/linux/ublk_cmd.h).
pub const MAX_DEPTH: u16 = 4096;

/// What a device is to be. Everything but `target` may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// The number N of `/dev/ublkbN`, or of `/dev/nbdN`; the lowest free one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_048_575)]
    pub id: Option<u32>,
    /// What backs it.
    pub target: TargetConfig,
    /// Which driver of the kernel makes the block device; `ublk` if absent.
    #[serde(default, skip_serializing_if = "Driver::is_default")]
    pub driver: Driver,
    /// How payload moves; `auto` if absent.
    #[serde(default)]
    pub data_path: DataPath,
    /// How requests move; `per-io` if absent.
    #[serde(default)]
    pub transport: Transport,
    /// Hardware queues, 1 to 4096; 1 if absent. The driver lowers the number to that of the CPUs.
    #[serde(default = "default_queues")]
    #[schema(minimum = 1, maximum = 4096, default = 1)]
    pub queues: u16,
    /// Requests in flight a queue, 1 to 4096; 128 if absent.
    #[serde(default = "default_depth")]
    #[schema(minimum = 1, maximum = 4096, default = 128)]
    pub depth: u16,
    /// The logical block in bytes, a power of two from 512 to 4096; what the backing needs if absent, which
    /// is 512 unless it is a disk of 4096, or O_DIRECT on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, maximum = 4096)]
    pub logical_block_bytes: Option<u32>,
    /// The physical block in bytes, a power of two from the logical block to 4096; the backing's if absent,
    /// 4096 where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, maximum = 4096)]
    pub physical_block_bytes: Option<u32>,
    /// The smallest I/O that costs no more than its size, in bytes: a power of two from the physical block
    /// to 256 MiB; the physical block if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, maximum = 268_435_456)]
    pub io_min_bytes: Option<u32>,
    /// The best size of an I/O in bytes: a power of two from `io_min_bytes` to 256 MiB; that if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, maximum = 268_435_456)]
    pub io_opt_bytes: Option<u32>,
    /// The longest request in bytes, whole pages of 4096 up to 32 MiB; 512 KiB if absent.
    #[serde(default = "default_max_io_bytes")]
    #[schema(minimum = 4096, maximum = 33_554_432, default = 524_288)]
    pub max_io_bytes: u32,
    /// How many pieces of memory a request may have, from 1; 65,535 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_segments: Option<u16>,
    /// The longest piece in bytes, a multiple of 512 from 4096; without limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4096)]
    pub max_segment_bytes: Option<u32>,
    /// No piece crosses a multiple of this, a power of two from 4096, in bytes; 4 GiB if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4096)]
    pub segment_boundary_bytes: Option<u64>,
    /// What a client's memory must be aligned to with O_DIRECT: a power of two from 4 to 4096, in bytes. If
    /// absent it is what the backing needs on a data path that hands it the client's memory, else 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4, maximum = 4096)]
    pub dma_alignment_bytes: Option<u32>,
    /// Whether writing is refused by the block layer; no if absent. A backing is then opened for
    /// reading only.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the device says of itself that it rotates, which schedulers and file systems ask; no if
    /// absent.
    #[serde(default)]
    pub rotational: bool,
    /// The unit of discard in bytes, a power of two from the physical block to 256 MiB; what the backing
    /// has if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, maximum = 268_435_456)]
    pub discard_granularity_bytes: Option<u32>,
    /// The longest discard in bytes, 0 for no discard; as long as can be if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_147_479_552)]
    pub max_discard_bytes: Option<u32>,
    /// The longest write zeroes in bytes, 0 to let the kernel write zeroes as data; as long as can be if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_147_479_552)]
    pub max_write_zeroes_bytes: Option<u32>,
    /// The protection information of its logical blocks; none if absent. It needs data path `user-copy`, which
    /// `auto` then is. A `loop` keeps it in a file beside its backing, with `.pi` at the end of the name.
    #[serde(default)]
    pub integrity: Integrity,
    /// Whether an ordinary user owns it, the one that the daemon runs as; no if absent. Such a device has no
    /// data path but `copy` and no recovery, and the driver kills a daemon that answers a request later
    /// than after 30 s.
    #[serde(default)]
    pub unprivileged: bool,
    /// Whether each write is looked at when it arrives and again before it is answered, and an event
    /// (`source_changed`) tells which of its bytes its client has changed in between; no if absent. Not with
    /// data path `copy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stability_watch: bool,
    /// What becomes of the device when its daemon is gone; `fail` if absent.
    #[serde(default)]
    pub recovery: Recovery,
    /// Rules in force from the first request on; none if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Seed of the rules' draws; 0 if absent.
    #[serde(default)]
    pub seed: u64,
}

const fn default_queues() -> u16 {
    1
}

const fn default_depth() -> u16 {
    128
}

const fn default_max_io_bytes() -> u32 {
    512 << 10
}

impl DeviceConfig {
    /// A device on this target with every default.
    #[must_use]
    pub fn new(target: TargetConfig) -> Self {
        Self {
            id: None,
            target,
            driver: Driver::default(),
            data_path: DataPath::default(),
            transport: Transport::default(),
            queues: default_queues(),
            depth: default_depth(),
            logical_block_bytes: None,
            physical_block_bytes: None,
            io_min_bytes: None,
            io_opt_bytes: None,
            max_io_bytes: default_max_io_bytes(),
            max_segments: None,
            max_segment_bytes: None,
            segment_boundary_bytes: None,
            dma_alignment_bytes: None,
            read_only: false,
            rotational: false,
            discard_granularity_bytes: None,
            max_discard_bytes: None,
            max_write_zeroes_bytes: None,
            integrity: Integrity::None,
            unprivileged: false,
            stability_watch: false,
            recovery: Recovery::default(),
            rules: Vec::new(),
            seed: 0,
        }
    }

    /// Checks everything that can be judged without the kernel and the backing.
    ///
    /// # Errors
    /// A field is out of its range; the problem points to it. Rules are held against the size of the device
    /// where the configuration says it; for a `loop` that is left to whoever opens the backing.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(id) = self.id.filter(|id| *id >= MAX_DEVICES) {
            return Err(out_of("/id", id, format!("a number below {MAX_DEVICES}")));
        }
        if !(1..=MAX_QUEUES).contains(&self.queues) {
            return Err(out_of(
                "/queues",
                self.queues,
                format!("1 to {MAX_QUEUES} queues"),
            ));
        }
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(out_of(
                "/depth",
                self.depth,
                format!("1 to {MAX_DEPTH} requests a queue"),
            ));
        }
        geometry::check(self)?;
        driver::check(self)?;
        self.check_target()?;
        let size_bytes = self.target.size_bytes().unwrap_or(u64::MAX);
        // What only the daemon knows is left to it.
        let facts = DeviceFacts {
            logical_block_bytes: self.logical_block_bytes.unwrap_or(512),
            queues: self.queues,
            depth: self.depth,
            integrity: self.integrity != Integrity::None,
            unprivileged: self.unprivileged,
            ..DeviceFacts::of_size(size_bytes / SECTOR_BYTES)
        };
        match RuleSet::compile(0, self.seed, self.rules.clone(), None, &facts) {
            Ok(_) => Ok(()),
            Err(error) => Err(Problem::rule_of_list(&error)),
        }
    }

    fn check_target(&self) -> Result<(), Problem> {
        if let TargetConfig::Loop { file, .. } = &self.target
            && !file.is_absolute()
        {
            // The daemon's working directory is not the client's.
            return Err(out_of(
                "/target/loop/file",
                file.display(),
                "an absolute path".to_owned(),
            ));
        }
        let block = u64::from(self.logical_block_bytes.unwrap_or(512));
        match self.target.size_bytes() {
            Some(size_bytes) if size_bytes == 0 || !size_bytes.is_multiple_of(block) => {
                let pointer = format!("/target/{}/size_bytes", self.target.name());
                let expected = format!("a multiple of the logical block, {block} bytes, above 0");
                Err(out_of(&pointer, size_bytes, expected))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
