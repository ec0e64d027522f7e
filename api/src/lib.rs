//! What the daemon and its clients say to each other: JSON over HTTP on a Unix socket.
//!
//! Each resource has a file and a type; [`paths`] says where they are, [`call`] what can be asked, and
//! [`Client`] or [`BlockingClient`] asks it. A body of a request refuses unknown keys; an answer may grow
//! keys. Sizes end in `_bytes`, times in `_ns`, and a sector is 512 bytes. What goes wrong is told as a
//! [`Problem`], which points to the field.
//!
//! The rule types are those of the engine, under [`fault`].
//!
//! ```no_run
//! use api::{BlockingClient, DeviceConfig, TargetConfig, call};
//!
//! let client = BlockingClient::new(api::paths::DEFAULT_SOCKET)?;
//! let device = client.send(call::add_device(&DeviceConfig::new(TargetConfig::Ram {
//!     size_bytes: 64 << 20,
//! })))?;
//! let rule = api::fault::Rule::parse("bad", "fail:MEDIUM where op=read,lba=2048+8").unwrap();
//! client.send(call::add_rule(device.id, &rule))?;
//! # Ok::<(), api::ClientError>(())
//! ```

mod body;
mod buffer;
pub mod call;
mod change;
mod client;
mod data_path;
mod device;
mod device_config;
mod driver;
mod event;
mod explain;
mod features;
mod geometry;
mod hex;
mod hold;
mod integrity;
mod lifecycle;
pub mod paths;
mod problem;
mod recovery;
mod rule;
mod schema;
mod stats;
mod target;

pub use fault;
pub use fault::{RuleFile, Version};

pub use body::read_body;
pub use buffer::{Buffer, BufferConfig, BufferList, BufferRemoved};
pub use call::Call;
pub use change::ChangeOptions;
pub use client::{
    BlockingClient, BlockingConnection, BlockingEvents, Client, ClientError, Connection,
    DEFAULT_TIMEOUT, EventStream,
};
pub use data_path::{DataPath, Transport, UnknownWord};
pub use device::{Device, DeviceDeleted, DeviceList, DeviceState};
pub use device_config::{DeviceConfig, MAX_DEPTH, MAX_DEVICES, MAX_QUEUES};
pub use driver::{Driver, NBD_DEPTH};
pub use event::{ByteRange, Decision, Effect, Event, EventKind};
pub use explain::{ExplainRequest, Explanation, RememberRequest, Remembered, SwitchRequest};
pub use features::{
    DataPathSupport, DriverSupport, FeatureFlag, FeatureKind, FeatureRow, Features,
    TransportSupport,
};
pub use geometry::{Limits, MAX_IO_BYTES, MAX_RANGE_BYTES};
pub use hex::Hex;
pub use hold::{
    Content, Hold, HoldData, HoldList, PokeRequest, Poked, ReleaseRequest, Released, Which,
};
pub use integrity::{Integrity, Mismatch, ProtectionTag};
pub use lifecycle::{
    Adopted, DeviceChanged, DeviceLeft, HandedOver, QuiesceRequest, Reaped, ResizeRequest,
    StopRequest,
};
pub use problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemCode};
pub use recovery::Recovery;
pub use rule::{Healed, RuleList, RuleStatus, RulesChanged};
pub use schema::SCHEMA;
pub use stats::{DeviceStats, OpStats, QueueStats, SharedMemoryStats};
pub use target::TargetConfig;
