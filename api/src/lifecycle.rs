//! The verbs of a device's life: their bodies and answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::Device;
use crate::problem::Problem;

/// Asks for the block device to go. Every key may be left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Whether to refuse while a client has it open (Linux 7.0); no if absent.
    #[serde(default)]
    pub safe: bool,
}

/// How long a quiesce waits unless told.
const DEFAULT_WAIT_NS: u64 = 10_000_000_000;

/// Asks for the queues to end and the block device to stay. Every key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuiesceRequest {
    /// How long to wait for requests that are with the backing, in nanoseconds; 10 s if absent. Then the
    /// quiesce is taken back.
    #[serde(default = "default_wait_ns")]
    #[schema(default = 10_000_000_000_u64)]
    pub wait_ns: u64,
}

const fn default_wait_ns() -> u64 {
    DEFAULT_WAIT_NS
}

impl Default for QuiesceRequest {
    fn default() -> Self {
        Self {
            wait_ns: DEFAULT_WAIT_NS,
        }
    }
}

/// Asks for another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeRequest {
    /// The new size in bytes, a multiple of the logical block.
    pub size_bytes: u64,
}

/// What a verb made of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceChanged {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device as it is now.
    pub device: Device,
    /// How many held or delayed requests were released for it.
    pub released: u64,
}

/// A device that a verb about many could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceLeft {
    /// Its number.
    pub id: u32,
    /// Why.
    pub problem: Problem,
}

/// The devices that were taken over from a daemon that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adopted {
    /// Version of this object; 1.
    pub schema: u32,
    /// The devices that this daemon serves now.
    pub adopted: Vec<Device>,
    /// Those that it could not take over; they are as they were.
    pub left: Vec<DeviceLeft>,
}

/// What was removed of daemons that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaped {
    /// Version of this object; 1.
    pub schema: u32,
    /// Numbers of the devices of which nothing is left.
    pub reaped: Vec<u32>,
    /// Those that could not be removed.
    pub left: Vec<DeviceLeft>,
}

/// The devices that wait for the next daemon; this one ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandedOver {
    /// Version of this object; 1.
    pub schema: u32,
    /// Their numbers.
    pub devices: Vec<u32>,
    /// How many held or delayed requests were released for it.
    pub released: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read_body;

    #[test]
    fn bodies_may_be_empty_objects_and_refuse_unknown_keys() {
        assert_eq!(read_body(b"{}"), Ok(StopRequest { safe: false }));
        assert_eq!(read_body(b"{}"), Ok(QuiesceRequest::default()));
        assert_eq!(
            read_body(br#"{"size_bytes":4096}"#),
            Ok(ResizeRequest { size_bytes: 4096 })
        );
        let problem = read_body::<StopRequest>(br#"{"force":true}"#).unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some("/force"));
        assert!(read_body::<ResizeRequest>(b"{}").is_err());
    }
}
