//! Memory that a client shares with the daemon, for data path `shared-memory`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `POST /v1/devices/{id}/buffers`: what is to be registered.
///
/// The memory itself is an open file: sent along with the request (`SCM_RIGHTS` on the first byte of the
/// request, exactly one descriptor), or named by `file`. All of the file is registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BufferConfig {
    /// A file on tmpfs or hugetlbfs that the daemon opens; absent if a descriptor comes with the request.
    /// The daemon has a mount namespace of its own, in which mounts later than its start are not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub file: Option<PathBuf>,
    /// Whether source requests alone are served from it (the driver pins without the right to change);
    /// no if absent.
    #[serde(default)]
    pub read_only: bool,
}

/// A registered buffer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Buffer {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The number by which the driver names it.
    pub buffer: u16,
    /// What the file calls itself, such as `/memfd:name (deleted)`.
    pub file: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Whether source requests alone are served from it.
    pub read_only: bool,
    /// Whether nobody can shorten it (`F_SEAL_SHRINK`). The daemon touches other memory by the kernel only,
    /// so that a shortened file is an error of the request and not the end of the daemon.
    pub sealed: bool,
}

/// The buffers of a device, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BufferList {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The buffers.
    pub buffers: Vec<Buffer>,
}

/// The answer to the removal of a buffer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BufferRemoved {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The buffer's number.
    pub buffer: u16,
}
