//! What a rule has seen so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Sector;

/// Stands for "not yet" where a sector is kept; no device has that sector.
const NEVER: u64 = u64::MAX;

/// The counts of one rule, shared by the queues of its device and by the generations that keep it.
///
/// Each count is one atomic, exact by itself; relaxed order is enough, as nothing else is read through
/// them.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) matched: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) prob_miss: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) shadowed: AtomicU64,
    fired: AtomicU64,
    first_sector: AtomicU64,
    last_sector: AtomicU64,
}

/// How often a rule got how far. Every selected request is counted in `matched` and in exactly one of the
/// others, so `matched` is their sum whenever no request is being decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counters {
    /// Requests that the selectors chose.
    pub matched: u64,
    /// Of these, let pass by `skip`, `nth` or `every`.
    pub skipped: u64,
    /// Of these, let pass by the draw of `prob`.
    pub prob_miss: u64,
    /// Of these, let pass because `count` was used up.
    pub exhausted: u64,
    /// Of these, on which an earlier rule had already decided. They do not use up `count`.
    pub shadowed: u64,
    /// Of these, on which the rule fired.
    pub fired: u64,
    /// First sector of the request on which it fired first.
    pub first_fired: Option<Sector>,
    /// First sector of the request on which it fired last.
    pub last_fired: Option<Sector>,
}

impl History {
    pub(crate) const fn new() -> Self {
        Self {
            matched: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            prob_miss: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            first_sector: AtomicU64::new(NEVER),
            last_sector: AtomicU64::new(NEVER),
        }
    }

    /// How often the rule has fired.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Relaxed)
    }

    /// Takes one of `count` firings, or says that none is left. Exact under concurrent calls.
    pub(crate) fn take(&self, count: u64) -> bool {
        if count == u64::MAX {
            self.fired.fetch_add(1, Relaxed);
            return true;
        }
        let taken = |fired: u64| (fired < count).then_some(fired + 1);
        self.fired.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    /// Remembers where the rule fired.
    pub(crate) fn note(&self, sector: Sector) {
        if self.first_sector.load(Relaxed) == NEVER {
            // If another queue was first, its sector stays.
            let _ = self
                .first_sector
                .compare_exchange(NEVER, sector.0, Relaxed, Relaxed);
        }
        self.last_sector.store(sector.0, Relaxed);
    }

    /// The counts now. Counts that change meanwhile may be from slightly different moments.
    pub(crate) fn counters(&self) -> Counters {
        let sector = |at: &AtomicU64| Some(at.load(Relaxed)).filter(|at| *at != NEVER).map(Sector);
        Counters {
            matched: self.matched.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            prob_miss: self.prob_miss.load(Relaxed),
            exhausted: self.exhausted.load(Relaxed),
            shadowed: self.shadowed.load(Relaxed),
            fired: self.fired(),
            first_fired: sector(&self.first_sector),
            last_fired: sector(&self.last_sector),
        }
    }
}
