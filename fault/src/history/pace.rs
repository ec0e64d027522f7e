//! Paces: how much may pass in a time, and how many may wait at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::action::MAX_PARK_NS;

/// A bucket of tokens in one number: the time at which all that has been taken is paid for (the generic
/// cell rate algorithm). No lock, and nothing to do while nothing comes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    paid_ns: AtomicU64,
}

impl Pace {
    /// Takes what costs `cost_ns` of time, at `now_ns`, if up to `burst_ns` may be owed; returns how long it
    /// waits, in nanoseconds, at most an hour. Nothing is taken if it is only asked.
    pub(crate) fn take(&self, now_ns: u64, cost_ns: u64, burst_ns: u64, only_ask: bool) -> u64 {
        let mut wait_ns = 0;
        let pay = |paid_ns: u64| {
            // Whoever waits an hour waits no longer, and does not make others wait for it.
            let last_ns = now_ns.saturating_add(burst_ns).saturating_add(MAX_PARK_NS);
            let from_ns = paid_ns.max(now_ns);
            wait_ns = (from_ns - now_ns).saturating_sub(burst_ns).min(MAX_PARK_NS);
            Some(from_ns.saturating_add(cost_ns).min(last_ns.max(from_ns)))
        };
        if only_ask {
            let mut pay = pay;
            pay(self.paid_ns.load(Relaxed));
            return wait_ns;
        }
        // The closure always gives a value, so the update always happens.
        let _ = self.paid_ns.fetch_update(Relaxed, Relaxed, pay);
        wait_ns
    }

    /// Takes it only if it need not wait; says whether it did.
    pub(crate) fn try_take(&self, now_ns: u64, cost_ns: u64, burst_ns: u64) -> bool {
        let pay = |paid_ns: u64| {
            let from_ns = paid_ns.max(now_ns);
            let owed_ns = from_ns - now_ns;
            (owed_ns <= burst_ns).then(|| from_ns.saturating_add(cost_ns))
        };
        self.paid_ns.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    /// Whether it could be taken now.
    pub(crate) fn would_take(&self, now_ns: u64, burst_ns: u64) -> bool {
        self.paid_ns.load(Relaxed).saturating_sub(now_ns) <= burst_ns
    }
}

/// Lanes in which requests wait one after the other.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// When each is free.
    free_ns: Box<[AtomicU64]>,
}

impl Lanes {
    pub(crate) fn new(lanes: u16) -> Self {
        Self {
            free_ns: (0..lanes).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Waits `delay_ns` in the lane that is free first; returns how long that takes from `now_ns` on, at
    /// most an hour. Nothing is entered if it is only asked.
    pub(crate) fn enter(&self, now_ns: u64, delay_ns: u64, only_ask: bool) -> u64 {
        let last_ns = now_ns.saturating_add(MAX_PARK_NS);
        loop {
            let first = self.free_ns.iter().min_by_key(|lane| lane.load(Relaxed));
            let Some(lane) = first else {
                return delay_ns;
            };
            let free_ns = lane.load(Relaxed);
            let end_ns = free_ns.max(now_ns).saturating_add(delay_ns).min(last_ns);
            if only_ask {
                return end_ns - now_ns;
            }
            // Another queue may have taken it meanwhile; then another lane may be first.
            let entered = lane.compare_exchange(free_ns, end_ns.max(free_ns), Relaxed, Relaxed);
            if entered.is_ok() {
                return end_ns - now_ns;
            }
        }
    }
}

/// The time that `amount` of something takes at `rate` a second, in nanoseconds.
pub(crate) fn cost_ns(amount: u64, rate: u64) -> u64 {
    let ns = u128::from(amount) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_pace_lets_a_burst_through_and_then_one_by_one() {
        let pace = Pace::default();
        let take = |now_ns| pace.take(now_ns, MS, 2 * MS, false);
        let waits: Vec<u64> = (0..5).map(|_| take(1000)).collect();
        assert_eq!(waits, [0, 0, 0, MS, 2 * MS]);
        // After a long pause the burst is there again, and no more.
        let later = 1000 * MS;
        let waits: Vec<u64> = (0..4).map(|_| take(later)).collect();
        assert_eq!(waits, [0, 0, 0, MS]);
    }

    #[test]
    fn the_rate_is_kept_over_time() {
        let pace = Pace::default();
        let cost = cost_ns(4096, 1 << 20);
        let last = (0..1000_u64)
            .map(|n| n * 100 + pace.take(n * 100, cost, 0, false))
            .last();
        let expected = 999 * cost;
        assert!(last.unwrap().abs_diff(expected) <= 1000, "{last:?}");
    }

    #[test]
    fn nobody_waits_more_than_an_hour_for_a_pace() {
        let pace = Pace::default();
        for _ in 0..3 {
            assert!(pace.take(0, u64::MAX, 0, false) <= MAX_PARK_NS);
        }
        assert_eq!(pace.take(2 * MAX_PARK_NS, 1, 0, false), 0);
    }

    #[test]
    fn what_may_not_wait_is_refused() {
        let pace = Pace::default();
        let times = [0, MS / 2, MS, MS + 1, 2 * MS];
        let taken: Vec<bool> = times.map(|now_ns| pace.try_take(now_ns, MS, 0)).into();
        assert_eq!(taken, [true, false, true, false, true]);
        assert!(!pace.would_take(2 * MS, 0) && pace.would_take(3 * MS, 0));
    }

    #[test]
    fn lanes_are_filled_one_after_the_other() {
        let lanes = Lanes::new(2);
        let waits: Vec<u64> = (0..4).map(|_| lanes.enter(5, MS, false)).collect();
        assert_eq!(waits, [MS, MS, 2 * MS, 2 * MS]);
        assert_eq!(lanes.enter(5 + 10 * MS, MS, false), MS);
        assert_eq!(Lanes::default().enter(5, MS, false), MS);
        let full = Lanes::new(1);
        let waits = (0..3).map(|_| full.enter(0, MAX_PARK_NS, false));
        assert!(waits.max() == Some(MAX_PARK_NS));
    }
}
