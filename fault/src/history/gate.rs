//! Whether a rule is armed and enabled, and since when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::options::Arm;

/// Stands for "not yet".
const NEVER: u64 = u64::MAX;

/// Whether a rule is armed and enabled, and since when.
#[derive(Debug)]
pub(crate) struct Gate {
    armed: AtomicBool,
    enabled: AtomicBool,
    since_ns: AtomicU64,
    since_op: AtomicU64,
    since_epoch: AtomicU64,
}

/// When a rule was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmedAt {
    /// On the caller's clock, in nanoseconds.
    pub ns: u64,
    /// The number of the next request.
    pub op: u64,
    /// How many flushes had completed.
    pub epoch: u64,
}

impl Gate {
    pub(crate) fn new(arm: &Arm) -> Self {
        Self {
            armed: AtomicBool::new(*arm == Arm::Now),
            enabled: AtomicBool::new(true),
            since_ns: AtomicU64::new(NEVER),
            since_op: AtomicU64::new(NEVER),
            since_epoch: AtomicU64::new(NEVER),
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Relaxed)
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    pub(crate) fn enable(&self, on: bool) {
        self.enabled.store(on, Relaxed);
    }

    /// Arms it at this moment. One that is armed stays armed since it was.
    pub(crate) fn arm(&self, at: ArmedAt) {
        if !self.armed.swap(true, Relaxed) {
            self.forget();
        }
        self.since(at);
    }

    pub(crate) fn disarm(&self) {
        self.armed.store(false, Relaxed);
        self.forget();
    }

    fn forget(&self) {
        for since in [&self.since_ns, &self.since_op, &self.since_epoch] {
            since.store(NEVER, Relaxed);
        }
    }

    /// Since when it is armed: since this moment, if it was not known.
    pub(crate) fn since(&self, now: ArmedAt) -> ArmedAt {
        let first = |since: &AtomicU64, now: u64| {
            let known = since.load(Relaxed);
            if known != NEVER {
                return known;
            }
            // If another queue was first, its moment counts.
            let set = since.compare_exchange(NEVER, now, Relaxed, Relaxed);
            set.map_or_else(|other| other, |_| now)
        };
        ArmedAt {
            ns: first(&self.since_ns, now.ns),
            op: first(&self.since_op, now.op),
            epoch: first(&self.since_epoch, now.epoch),
        }
    }

    /// Since when it is armed, if that is known; changes nothing.
    pub(crate) fn known_since(&self) -> Option<ArmedAt> {
        let at = ArmedAt {
            ns: self.since_ns.load(Relaxed),
            op: self.since_op.load(Relaxed),
            epoch: self.since_epoch.load(Relaxed),
        };
        (at.op != NEVER && at.ns != NEVER).then_some(at)
    }

    /// Takes over what is on file.
    pub(crate) fn restore(&self, armed: bool, enabled: bool, since: Option<ArmedAt>) {
        self.armed.store(armed, Relaxed);
        self.enable(enabled);
        self.forget();
        if let Some(since) = since {
            self.since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> ArmedAt {
        ArmedAt {
            ns,
            op: 1,
            epoch: 0,
        }
    }

    #[test]
    fn the_first_arming_counts_until_it_is_disarmed() {
        let gate = Gate::new(&Arm::Manual);
        assert!(!gate.is_armed() && gate.is_enabled());
        gate.arm(at(5));
        gate.arm(at(7));
        assert_eq!((gate.is_armed(), gate.known_since()), (true, Some(at(5))));
        gate.disarm();
        assert_eq!((gate.is_armed(), gate.known_since()), (false, None));
        gate.arm(at(9));
        assert_eq!(gate.since(at(11)), at(9));
        assert!(Gate::new(&Arm::Now).is_armed());
    }
}
