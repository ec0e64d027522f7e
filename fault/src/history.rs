//! What a rule has seen so far.

pub(crate) mod addresses;
pub(crate) mod bad_map;
mod counters;
mod gate;
pub(crate) mod pace;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use addresses::Addresses;
use bad_map::BadMap;
pub use counters::Counters;
pub(crate) use counters::{Exit, Tally};
pub use gate::ArmedAt;
pub(crate) use gate::Gate;
use pace::{Lanes, Pace};

use crate::action::Action;
use crate::matcher::Matcher;
use crate::options::DrawBy;
use crate::rule::Rule;

/// The history of one rule, shared by the queues of its device and by the generations that keep it.
///
/// Each number is one atomic, exact by itself; relaxed order is enough, as nothing else is read through
/// them. What only some rules need is empty for the others.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) gate: Gate,
    pub(crate) tally: Tally,
    /// How many requests have come to the turns (`skip`, `nth`, `every`, `seq`), and to the draw.
    turns: AtomicU64,
    /// What `rate` lets through.
    pub(crate) rate: Pace,
    /// What `throttle` lets through: requests, and bytes.
    pub(crate) iops: Pace,
    pub(crate) bytes: Pace,
    pub(crate) lanes: Lanes,
    pub(crate) bad: Option<BadMap>,
    pub(crate) addresses: Option<Addresses>,
}

impl History {
    /// That of a rule to which nothing has happened.
    pub(crate) fn new(rule: &Rule, matcher: &Matcher) -> Self {
        let lanes = match rule.action {
            Action::Delay {
                lanes: Some(lanes), ..
            } => Lanes::new(lanes),
            _ => Lanes::default(),
        };
        let bad = match rule.action {
            Action::Badmap { heal, wr_fail, .. } => {
                Some(BadMap::new(&matcher.named(), heal, wr_fail))
            }
            _ => None,
        };
        let by_address = rule.options.draw == DrawBy::Address;
        Self {
            gate: Gate::new(&rule.options.arm),
            tally: Tally::default(),
            turns: AtomicU64::new(0),
            rate: Pace::default(),
            iops: Pace::default(),
            bytes: Pace::default(),
            lanes,
            bad,
            addresses: by_address.then(Addresses::new),
        }
    }

    /// Takes the number of the next turn, from 0.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Relaxed)
    }

    /// The number that the next turn will have.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.load(Relaxed)
    }

    pub(crate) fn restore_turns(&self, turns: u64) {
        self.turns.store(turns, Relaxed);
    }
}
