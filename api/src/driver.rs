//! Which driver of the kernel makes the block device.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::{DataPath, Transport, UnknownWord};
use crate::device_config::DeviceConfig;
use crate::integrity::Integrity;
use crate::problem::Problem;
use crate::recovery::Recovery;

/// Requests in flight of a device with the driver `nbd` (`nbd_dev_add`, drivers/block/nbd.c).
pub const NBD_DEPTH: u16 = 128;

/// Which driver of the kernel makes the block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// `ublk_drv`: `/dev/ublkbN`.
    #[default]
    Ublk,
    /// The NBD client over a socket pair: `/dev/nbdN`, for kernels without ublk. Payload is copied, a failure is always
    /// `EIO` for clients, and the device goes with its daemon.
    Nbd,
}

impl Driver {
    /// Every choice, in the order of listings.
    pub const ALL: [Self; 2] = [Self::Ublk, Self::Nbd];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ublk => "ublk",
            Self::Nbd => "nbd",
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Driver {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|driver| driver.name() == text);
        found.ok_or_else(|| UnknownWord::among(text, &Self::ALL))
    }
}

/// Checks that a device of the driver `nbd` asks for nothing that NBD does not have.
pub(crate) fn check(config: &DeviceConfig) -> Result<(), Problem> {
    if config.driver != Driver::Nbd {
        return Ok(());
    }
    let refuse = |pointer, expected: &str| {
        let found = "what the driver nbd does not have".to_owned();
        Err(Problem::field(pointer, found, expected.to_owned()))
    };
    let values = wrong_values(config);
    if let Some((_, pointer, expected)) = values.into_iter().find(|(is_wrong, ..)| *is_wrong) {
        return refuse(pointer, expected);
    }
    let limits = wrong_limits(config);
    if let Some((_, pointer)) = limits.into_iter().find(|(is_asked, _)| *is_asked) {
        return refuse(
            pointer,
            "nothing: the kernel's NBD client chooses it, and `bvecctl dev show` tells it",
        );
    }
    Ok(())
}

/// Whether a field has a value that NBD does not have, which field, and what would be right.
fn wrong_values(config: &DeviceConfig) -> [(bool, &'static str, &'static str); 8] {
    [
        (
            ![DataPath::Auto, DataPath::Copy].contains(&config.data_path),
            "/data_path",
            "`copy` or `auto`: NBD sends payload over a socket",
        ),
        (
            config.transport != Transport::PerIo,
            "/transport",
            "`per-io`: NBD has one message a request",
        ),
        (
            config.recovery != Recovery::Fail,
            "/recovery",
            "`fail`: a device of the driver nbd goes with its daemon",
        ),
        (
            config.integrity != Integrity::None,
            "/integrity",
            "`none`: NBD carries no protection information",
        ),
        (
            config.unprivileged,
            "/unprivileged",
            "`false`: the NBD client takes orders from root only",
        ),
        (
            config.stability_watch,
            "/stability_watch",
            "`false`: NBD sends a copy of a write, and nobody sees what becomes of the client's memory",
        ),
        (
            config.queues != 1,
            "/queues",
            "`1`: there is one connection, and that is one queue",
        ),
        (
            config.depth != NBD_DEPTH,
            "/depth",
            "`128`: the kernel's NBD client has that many requests in flight, always",
        ),
    ]
}

/// Whether a limit is asked for that the kernel's client chooses, and which.
fn wrong_limits(config: &DeviceConfig) -> [(bool, &'static str); 10] {
    let some = |bytes: Option<u32>| bytes.is_some_and(|bytes| bytes > 0);
    [
        (
            config.physical_block_bytes.is_some(),
            "/physical_block_bytes",
        ),
        (config.io_min_bytes.is_some(), "/io_min_bytes"),
        (config.io_opt_bytes.is_some(), "/io_opt_bytes"),
        (config.max_segments.is_some(), "/max_segments"),
        (config.max_segment_bytes.is_some(), "/max_segment_bytes"),
        (
            config.segment_boundary_bytes.is_some(),
            "/segment_boundary_bytes",
        ),
        (config.dma_alignment_bytes.is_some(), "/dma_alignment_bytes"),
        (
            config.discard_granularity_bytes.is_some(),
            "/discard_granularity_bytes",
        ),
        (some(config.max_discard_bytes), "/max_discard_bytes"),
        (
            some(config.max_write_zeroes_bytes),
            "/max_write_zeroes_bytes",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TargetConfig;

    fn judge(change: impl FnOnce(&mut DeviceConfig)) -> Option<String> {
        let mut config = DeviceConfig {
            driver: Driver::Nbd,
            ..DeviceConfig::new(TargetConfig::Ram { size_bytes: 4096 })
        };
        change(&mut config);
        let problem = config.validate().err()?;
        Some(problem.pointer.unwrap_or_default())
    }

    #[test]
    fn what_nbd_does_not_have_is_refused_at_its_field() {
        assert_eq!(judge(|_| {}), None);
        assert_eq!(judge(|config| config.data_path = DataPath::Copy), None);
        assert_eq!(judge(|config| config.max_discard_bytes = Some(0)), None);
        let refused = |change: fn(&mut DeviceConfig)| judge(change).unwrap();
        assert_eq!(refused(|c| c.data_path = DataPath::UserCopy), "/data_path");
        assert_eq!(refused(|c| c.transport = Transport::Batch), "/transport");
        assert_eq!(refused(|c| c.recovery = Recovery::Queue), "/recovery");
        assert_eq!(refused(|c| c.queues = 2), "/queues");
        assert_eq!(refused(|c| c.depth = 64), "/depth");
        assert_eq!(refused(|c| c.io_min_bytes = Some(4096)), "/io_min_bytes");
        assert_eq!(refused(|c| c.stability_watch = true), "/stability_watch");
    }

    #[test]
    fn the_default_is_not_said() {
        let config = DeviceConfig::new(TargetConfig::Ram { size_bytes: 4096 });
        let json = serde_json::to_string(&config).unwrap();
        assert!(!json.contains("driver"), "{json}");
        assert_eq!("nbd".parse(), Ok(Driver::Nbd));
    }
}
