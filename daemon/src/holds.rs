//! The held requests of a device, as the server lists them. The requests themselves are in the
//! queues' tables; this is the notice board.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ublk::Request;

use crate::shared::{Mark, QueueShared, fault_op};

/// Numbers are never used twice in the life of a daemon, so that a stale `release` cannot hit another
/// request.
static NEXT_HOLD_ID: AtomicU64 = AtomicU64::new(1);

/// A held request.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its number.
    pub hold_id: u64,
    /// The rule that held it.
    pub rule: Arc<str>,
    /// What it asks for.
    pub op: fault::Op,
    /// Its first sector.
    pub sector: u64,
    /// Its length in sectors.
    pub sectors: u32,
    /// Its queue.
    pub queue: u16,
    /// Its tag.
    pub tag: u16,
    /// Since when, on `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// For how long at most.
    pub max_ns: u64,
}

/// The held requests of a device.
#[derive(Debug)]
pub struct Holds {
    list: Mutex<Vec<Held>>,
}

impl Holds {
    /// A board with room for every tag of the device.
    #[must_use]
    pub fn new(tags: usize) -> Self {
        Self {
            list: Mutex::new(Vec::with_capacity(tags)),
        }
    }

    /// The held requests, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Held> {
        self.lock().clone()
    }

    pub(crate) fn enter(
        &self,
        queue: &QueueShared,
        request: &Request,
        mark: &Mark,
        since_ns: u64,
        max_ns: u64,
    ) -> u64 {
        let hold_id = NEXT_HOLD_ID.fetch_add(1, Relaxed);
        // Only operations that a rule can name are held.
        let op = fault_op(request.op()).unwrap_or(fault::Op::Flush);
        self.lock().push(Held {
            hold_id,
            rule: Arc::clone(&mark.rule),
            op,
            sector: request.sector(),
            sectors: request.sectors(),
            queue: queue.queue,
            tag: request.tag(),
            since_ns,
            max_ns,
        });
        hold_id
    }

    pub(crate) fn leave(&self, hold_id: u64) {
        self.lock().retain(|held| held.hold_id != hold_id);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        // The list is whole after every statement, so a panic elsewhere does not spoil it.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
