//! How often a rule got how far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sector::Sector;

/// Stands for "not yet" where a sector is kept; no device has that sector.
const NEVER: u64 = u64::MAX;

/// Where a selected request leaves a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The rule is not armed.
    NotArmed,
    /// It is disabled.
    Disabled,
    /// The state, the marks or the time are not right.
    Window,
    /// `skip`, `nth`, `every` or `seq` let the request pass.
    Skipped,
    /// The draw did.
    ProbMiss,
    /// `count` is used up, or `rate` is reached.
    Exhausted,
    /// An earlier rule has decided.
    Shadowed,
}

/// The counts of one rule.
#[derive(Debug)]
pub(crate) struct Tally {
    exits: [AtomicU64; 7],
    fired: AtomicU64,
    bytes: AtomicU64,
    first_sector: AtomicU64,
    last_sector: AtomicU64,
}

/// How often a rule got how far. Every selected request is counted in exactly one of the others than
/// `matched`, which is their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counters {
    /// Requests that the selectors chose, and that the action can do something to.
    pub matched: u64,
    /// Of these, that came before the rule was armed.
    #[serde(default)]
    pub not_armed: u64,
    /// Of these, that came while it was disabled.
    #[serde(default)]
    pub disabled: u64,
    /// Of these, let pass by `state`, `after_mark`, `from`, `until`, `during` or `ttl`.
    #[serde(default)]
    pub window: u64,
    /// Of these, let pass by `skip`, `nth`, `every` or `seq`.
    pub skipped: u64,
    /// Of these, let pass by the draw of `prob`.
    pub prob_miss: u64,
    /// Of these, let pass because `count` was used up or `rate` was reached, or because a bad map had
    /// nothing bad there.
    pub exhausted: u64,
    /// Of these, on which an earlier rule had already decided. They do not use up `count`.
    pub shadowed: u64,
    /// Of these, on which the rule fired.
    pub fired: u64,
    /// Bytes of the requests on which it fired.
    #[serde(default)]
    pub fired_bytes: u64,
    /// First sector of the request on which it fired first.
    pub first_fired: Option<Sector>,
    /// First sector of the request on which it fired last.
    pub last_fired: Option<Sector>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            exits: [const { AtomicU64::new(0) }; 7],
            fired: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            first_sector: AtomicU64::new(NEVER),
            last_sector: AtomicU64::new(NEVER),
        }
    }
}

impl Tally {
    /// Counts a request that left here.
    pub(crate) fn count(&self, exit: Exit) {
        self.exits[exit as usize].fetch_add(1, Relaxed);
    }

    fn left(&self, exit: Exit) -> u64 {
        self.exits[exit as usize].load(Relaxed)
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

    /// Remembers where the rule fired, and on how much.
    pub(crate) fn note(&self, sector: Sector, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
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
        let fired = self.fired();
        let exits: u64 = self.exits.iter().map(|exit| exit.load(Relaxed)).sum();
        Counters {
            matched: exits + fired,
            not_armed: self.left(Exit::NotArmed),
            disabled: self.left(Exit::Disabled),
            window: self.left(Exit::Window),
            skipped: self.left(Exit::Skipped),
            prob_miss: self.left(Exit::ProbMiss),
            exhausted: self.left(Exit::Exhausted),
            shadowed: self.left(Exit::Shadowed),
            fired,
            fired_bytes: self.bytes.load(Relaxed),
            first_fired: sector(&self.first_sector),
            last_fired: sector(&self.last_sector),
        }
    }

    /// Takes over what is on file.
    pub(crate) fn restore(&self, counters: &Counters) {
        let exits = [
            (Exit::NotArmed, counters.not_armed),
            (Exit::Disabled, counters.disabled),
            (Exit::Window, counters.window),
            (Exit::Skipped, counters.skipped),
            (Exit::ProbMiss, counters.prob_miss),
            (Exit::Exhausted, counters.exhausted),
            (Exit::Shadowed, counters.shadowed),
        ];
        for (exit, count) in exits {
            self.exits[exit as usize].store(count, Relaxed);
        }
        self.fired.store(counters.fired, Relaxed);
        self.bytes.store(counters.fired_bytes, Relaxed);
        let sector = |at: Option<Sector>| at.map_or(NEVER, |at| at.0);
        self.first_sector
            .store(sector(counters.first_fired), Relaxed);
        self.last_sector.store(sector(counters.last_fired), Relaxed);
    }
}
