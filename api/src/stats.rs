//! What a device has done.

use fault::{Direction, Op};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a device has done since it was made, and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceStats {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// Requests committed, by operation.
    pub ops: Vec<OpStats>,
    /// Requests fetched and not yet committed, those held and delayed among them.
    pub inflight: u64,
    /// Requests held now.
    pub held: u64,
    /// Requests delayed now.
    pub delayed: u64,
    /// How often a rule fired, rules that are gone included.
    pub faults_fired: u64,
    /// Requests that failed because what backs the device did.
    #[serde(default)]
    pub backing_errors: u64,
    /// Requests that failed because a tag of their protection information was wrong.
    #[serde(default)]
    pub integrity_errors: u64,
    /// What became of its reads and writes on data path `shared-memory`; absent on any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<SharedMemoryStats>,
    /// The queues, by number.
    pub queues: Vec<QueueStats>,
}

/// The reads and writes that arrived on data path `shared-memory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedMemoryStats {
    /// How many lay in a registered buffer, and were not copied.
    pub shared: u64,
    /// How many lay in none, and were copied.
    pub copied: u64,
}

/// The requests of one operation that were committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpStats {
    /// The operation.
    pub op: Op,
    /// Which way its data moves.
    pub direction: Direction,
    /// How many.
    pub ios: u64,
    /// Their bytes, those of failed requests not counted.
    pub bytes: u64,
    /// How many of them failed.
    pub errors: u64,
}

/// What one queue has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueStats {
    /// The queue's number.
    pub queue: u16,
    /// Requests committed.
    pub ios: u64,
    /// Their bytes, those of failed requests not counted.
    pub bytes: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Requests fetched and not yet committed.
    pub inflight: u64,
    /// Requests held now.
    pub held: u64,
    /// Requests delayed now.
    pub delayed: u64,
    /// The generation of rules that it decides by.
    pub generation: u64,
}
