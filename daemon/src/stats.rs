//! Counters of one queue. The queue's thread is their only writer, so it adds with a plain load and
//! store instead of a locked instruction; anybody may read them at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ublk::Op;

use crate::backing_errors::BackingErrors;
use crate::latency::Latencies;

/// A count with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `amount`; for the owning thread only.
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Takes `amount` off; for the owning thread only.
    #[inline]
    pub(crate) fn sub(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    /// Sets the value; for the owning thread only.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What happened to the requests of one operation.
#[derive(Debug, Default)]
pub struct OpCounts {
    /// Requests committed.
    pub ios: Count,
    /// Bytes moved, or zeroed, or discarded.
    pub bytes: Count,
    /// Requests committed with an error.
    pub errors: Count,
    /// How long they took, from their arrival at the queue until they were committed.
    pub latencies: Latencies,
}

/// The counters of one queue.
///
/// Aligned to a pair of cache lines, so that two queues never write to one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct QueueStats {
    ops: [OpCounts; 5],
    /// Requests that have arrived.
    pub arrived: Count,
    /// Requests that were committed.
    pub committed: Count,
    /// Requests on which a rule fired.
    pub faulted: Count,
    /// Requests held now.
    pub held: Count,
    /// Requests delayed now.
    pub delayed: Count,
    /// The rule generation that the queue decides by.
    pub generation: Count,
    /// What the backing failed to do.
    pub backing_errors: BackingErrors,
    /// Requests whose protection information was wrong.
    pub integrity_errors: BackingErrors,
}

impl QueueStats {
    /// The counts of one operation; none for operations that were never offered.
    #[must_use]
    pub fn of(&self, op: Op) -> Option<&OpCounts> {
        let index = match op {
            Op::Read => 0,
            Op::Write => 1,
            Op::Flush => 2,
            Op::Discard => 3,
            Op::WriteZeroes => 4,
            Op::Other(_) => return None,
        };
        self.ops.get(index)
    }

    #[inline]
    pub(crate) fn count_commit(&self, op: Op, len_bytes: u64, result: i32, took_ns: u64) {
        self.committed.add(1);
        let Some(counts) = self.of(op) else { return };
        counts.ios.add(1);
        counts.latencies.count(took_ns);
        if result < 0 {
            counts.errors.add(1);
        } else {
            counts.bytes.add(len_bytes);
        }
    }
}
