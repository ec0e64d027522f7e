//! What the kernel and this daemon can do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::{DataPath, Transport};
use crate::driver::Driver;

/// What can be done here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Features {
    /// Version of this object; 1.
    pub schema: u32,
    /// The kernel's release, as `uname -r`.
    pub kernel: String,
    /// The driver's feature mask (`UBLK_U_CMD_GET_FEATURES`); 0 where it cannot be asked.
    pub mask: u64,
    /// Every flag that we know, and those that only the driver knows, by bit.
    pub flags: Vec<FeatureFlag>,
    /// The data paths, each with whether it can be used.
    pub data_paths: Vec<DataPathSupport>,
    /// The transports, each with whether it can be used.
    pub transports: Vec<TransportSupport>,
    /// The drivers that can make a block device, each with whether it can be used.
    #[serde(default)]
    pub drivers: Vec<DriverSupport>,
    /// Everything in one table: what this kernel has, since when kernels have it, and what it is for.
    #[serde(default)]
    pub table: Vec<FeatureRow>,
}

/// A row of the table of features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeatureRow {
    /// What kind of thing it is.
    pub kind: FeatureKind,
    /// Its name: a word of ours, or the driver's without its prefix.
    pub name: String,
    /// The first kernel with it; null if unknown, or if every kernel that bvecd runs on has it.
    pub since: Option<String>,
    /// Whether it can be used here.
    pub usable: bool,
    /// What bvecd uses it for; null if for nothing.
    pub used_for: Option<String>,
}

/// The kinds of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// A driver that makes block devices.
    Driver,
    /// A data path.
    DataPath,
    /// A transport.
    Transport,
    /// What becomes of a device whose daemon is gone.
    Recovery,
    /// A command of the driver.
    Command,
    /// A flag of the driver.
    Flag,
}

/// A flag of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeatureFlag {
    /// Its name without `UBLK_F_`; `unknown` for one that only the driver knows.
    pub name: String,
    /// Its bit, from 0.
    pub bit: u8,
    /// The first kernel with it; null if unknown.
    pub since: Option<String>,
    /// Whether this kernel offers it.
    pub offered: bool,
}

/// Whether a data path can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataPathSupport {
    /// The data path.
    pub name: DataPath,
    /// Whether it can be used.
    pub usable: bool,
    /// Why not; null if it can.
    pub why: Option<String>,
}

/// Whether a driver of the kernel can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriverSupport {
    /// The driver.
    pub name: Driver,
    /// Whether it can be used.
    pub usable: bool,
    /// Why not; null if it can.
    pub why: Option<String>,
}

/// Whether a transport can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransportSupport {
    /// The transport.
    pub name: Transport,
    /// Whether it can be used.
    pub usable: bool,
    /// Why not; null if it can.
    pub why: Option<String>,
}
