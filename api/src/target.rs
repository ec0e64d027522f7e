//! What backs a device.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What serves a device's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TargetConfig {
    /// A file or a block device. The device is as large as it.
    Loop {
        /// Absolute path of the file or block device.
        #[schema(value_type = String, example = "/var/tmp/disk.img")]
        file: PathBuf,
        /// Whether it is opened with `O_DIRECT`; no if absent.
        #[serde(default)]
        direct: bool,
    },
    /// Memory of the daemon, zero at first and gone with the device.
    Ram {
        /// Size of the device in bytes, a multiple of its logical block.
        size_bytes: u64,
    },
    /// Nothing: writes vanish, and what a read finds is not defined.
    Null {
        /// Size of the device in bytes, a multiple of its logical block.
        size_bytes: u64,
    },
}

impl TargetConfig {
    /// The target's word: `loop`, `ram` or `null`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Loop { .. } => "loop",
            Self::Ram { .. } => "ram",
            Self::Null { .. } => "null",
        }
    }

    /// The size in bytes if the configuration says it; that of a `loop` is known once it is opened.
    #[must_use]
    pub const fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::Loop { .. } => None,
            Self::Ram { size_bytes } | Self::Null { size_bytes } => Some(*size_bytes),
        }
    }
}
