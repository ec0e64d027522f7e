//! What a device is to be: the body of `POST /v1/devices`.

use fault::{Geometry, Rule, RuleSet, SECTOR_BYTES};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::{DataPath, Transport};
use crate::problem::Problem;
use crate::target::TargetConfig;

/// Device numbers the driver has: `UBLK_MINORS` (drivers/block/ublk_drv.c), all minors of one major.
pub const MAX_DEVICES: u32 = 1 << 20;

/// `UBLK_MAX_NR_QUEUES` (include/uapi/linux/ublk_cmd.h).
pub const MAX_QUEUES: u16 = 4096;

/// `UBLK_MAX_QUEUE_DEPTH` (include/uapi/linux/ublk_cmd.h).
pub const MAX_DEPTH: u16 = 4096;

/// The longest request: `UBLK_IO_BUF_BITS` (include/uapi/linux/ublk_cmd.h) leaves 25 bits for the offset
/// within the payload of one tag.
pub const MAX_IO_BYTES: u32 = 1 << 25;

/// The smallest page of the kernels this runs on. A logical block may not exceed a page
/// (`ublk_validate_params`, drivers/block/ublk_drv.c), and the longest request is whole pages.
const PAGE_BYTES: u32 = 4096;

/// The largest physical block that is served. The driver takes any.
const MAX_PHYSICAL_BLOCK_BYTES: u32 = PAGE_BYTES;

/// What a device is to be. Everything but `target` may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// The number N of `/dev/ublkbN`; the lowest free one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_048_575)]
    pub id: Option<u32>,
    /// What backs it.
    pub target: TargetConfig,
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
    pub physical_block_bytes: Option<u32>,
    /// The longest request in bytes, whole pages of 4096 up to 32 MiB; 512 KiB if absent.
    #[serde(default = "default_max_io_bytes")]
    #[schema(minimum = 4096, maximum = 33_554_432, default = 524_288)]
    pub max_io_bytes: u32,
    /// Whether writing is refused by the block layer; no if absent. A backing is then opened for
    /// reading only.
    #[serde(default)]
    pub read_only: bool,
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
            data_path: DataPath::default(),
            transport: Transport::default(),
            queues: default_queues(),
            depth: default_depth(),
            logical_block_bytes: None,
            physical_block_bytes: None,
            max_io_bytes: default_max_io_bytes(),
            read_only: false,
            rules: Vec::new(),
            seed: 0,
        }
    }

    /// The physical block in bytes: what was asked for, else 4096, which is never below the logical one.
    #[must_use]
    pub fn physical_block(&self) -> u32 {
        self.physical_block_bytes.unwrap_or(PAGE_BYTES)
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
        self.check_blocks()?;
        self.check_target()?;
        let size_bytes = self.target.size_bytes().unwrap_or(u64::MAX);
        let geometry = Geometry {
            sectors: size_bytes / SECTOR_BYTES,
        };
        match RuleSet::compile(0, self.seed, self.rules.clone(), None, geometry) {
            Ok(_) => Ok(()),
            Err(error) => Err(Problem::rule_of_list(&error)),
        }
    }

    fn check_blocks(&self) -> Result<(), Problem> {
        let logical = self.logical_block_bytes.unwrap_or(512);
        if !is_block(logical, 512, PAGE_BYTES) {
            let expected = format!("a power of two from 512 to {PAGE_BYTES}");
            return Err(out_of("/logical_block_bytes", logical, expected));
        }
        let physical = self.physical_block();
        if !is_block(physical, logical, MAX_PHYSICAL_BLOCK_BYTES) {
            let expected = format!("a power of two from {logical} to {MAX_PHYSICAL_BLOCK_BYTES}");
            return Err(out_of("/physical_block_bytes", physical, expected));
        }
        let whole_pages = self.max_io_bytes.is_multiple_of(PAGE_BYTES);
        if !whole_pages || !(PAGE_BYTES..=MAX_IO_BYTES).contains(&self.max_io_bytes) {
            let expected =
                format!("a multiple of {PAGE_BYTES} from {PAGE_BYTES} to {MAX_IO_BYTES}");
            return Err(out_of("/max_io_bytes", self.max_io_bytes, expected));
        }
        Ok(())
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

fn is_block(bytes: u32, least: u32, most: u32) -> bool {
    bytes.is_power_of_two() && (least..=most).contains(&bytes)
}

fn out_of(pointer: &str, found: impl std::fmt::Display, expected: String) -> Problem {
    Problem::field(pointer, format!("found `{found}`"), expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read_body;

    #[test]
    fn a_target_is_enough() {
        let config: DeviceConfig =
            read_body(br#"{"target":{"ram":{"size_bytes":1048576}}}"#).unwrap();
        assert_eq!(
            config,
            DeviceConfig::new(TargetConfig::Ram {
                size_bytes: 1 << 20
            })
        );
        assert_eq!(config.validate(), Ok(()));
        let json = serde_json::to_vec(&config).unwrap();
        assert_eq!(read_body::<DeviceConfig>(&json), Ok(config));
    }

    #[test]
    fn a_loop_is_read_with_its_rules() {
        let body =
            br#"{"id":3,"target":{"loop":{"file":"/x","direct":true}},"data_path":"user-copy",
            "rules":[{"name":"bad","where":{"lba":"1G+8"},"action":{"fail":{}}}]}"#;
        let config: DeviceConfig = read_body(body).unwrap();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.rules.len(), 1);
    }

    /// What is put beside a good target, and where the problem points.
    const BAD: [(&str, &str); 20] = [
        (r#""id":1048576"#, "/id"),
        (r#""id":-1"#, "/id"),
        (r#""queues":0"#, "/queues"),
        (r#""queues":4097"#, "/queues"),
        (r#""queues":70000"#, "/queues"),
        (r#""depth":0"#, "/depth"),
        (r#""depth":"128""#, "/depth"),
        (r#""logical_block_bytes":256"#, "/logical_block_bytes"),
        (r#""logical_block_bytes":1000"#, "/logical_block_bytes"),
        (r#""logical_block_bytes":8192"#, "/logical_block_bytes"),
        (
            r#""logical_block_bytes":4096,"physical_block_bytes":512"#,
            "/physical_block_bytes",
        ),
        (r#""max_io_bytes":2048"#, "/max_io_bytes"),
        (r#""max_io_bytes":4097"#, "/max_io_bytes"),
        (r#""max_io_bytes":67108864"#, "/max_io_bytes"),
        (r#""data_path":"fast""#, "/data_path"),
        (r#""transport":"bulk""#, "/transport"),
        (
            r#""rules":[{"name":"a","action":{"fail":{"status":"EPERM"}}}]"#,
            "/rules/0/action/fail/status",
        ),
        (
            r#""rules":[{"name":"a","action":{"fail":{}},"where":{"lba":"2048"}}]"#,
            "/rules/0/where/lba",
        ),
        (
            r#""rules":[{"name":"a","action":{"fail":{}}},{"name":"a","action":{"fail":{}}}]"#,
            "/rules/1/name",
        ),
        (r#""que":1"#, "/que"),
    ];

    #[test]
    fn bad_fields_are_pointed_to() {
        for (field, pointer) in BAD {
            let body = format!(r#"{{"target":{{"ram":{{"size_bytes":1048576}}}},{field}}}"#);
            let problem = match read_body::<DeviceConfig>(body.as_bytes()) {
                Ok(config) => config.validate().unwrap_err(),
                Err(problem) => problem,
            };
            assert_eq!(
                problem.pointer.as_deref(),
                Some(pointer),
                "{field}: {problem}"
            );
        }
    }

    #[test]
    fn bad_targets_are_pointed_to() {
        for (target, pointer) in [
            (r#"{"ram":{"size_bytes":0}}"#, "/target/ram/size_bytes"),
            (r#"{"null":{"size_bytes":1000}}"#, "/target/null/size_bytes"),
            (r#"{"loop":{"file":"disk.img"}}"#, "/target/loop/file"),
            (r#"{"loop":{"file":""}}"#, "/target/loop/file"),
            (r#"{"loop":{"file":"/x","sync":true}}"#, "/target/loop/sync"),
            (r#"{"tape":{}}"#, "/target"),
            (r#""ram""#, "/target/ram"),
        ] {
            let body = format!(r#"{{"target":{target}}}"#);
            let problem = match read_body::<DeviceConfig>(body.as_bytes()) {
                Ok(config) => config.validate().unwrap_err(),
                Err(problem) => problem,
            };
            assert_eq!(
                problem.pointer.as_deref(),
                Some(pointer),
                "{target}: {problem}"
            );
        }
    }
}
