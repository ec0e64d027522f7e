//! What the engine says about a request.

use crate::action::Then;
use crate::status::Status;

/// What is to become of one request. Small and `Copy`: it is made for every request that rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How long the request waits before `terminal` takes effect, in nanoseconds: the sum of all delays
    /// that fired.
    pub delay_ns: u64,
    /// When that wait is over, on the clock of `now_ns`; `now_ns` itself without a delay. The `max_ns` of
    /// a hold counts from here.
    pub due_ns: u64,
    /// What happens then.
    pub terminal: Terminal,
    /// The rule that decided: that of `terminal`, else the first that delayed, else none.
    pub rule: Option<RuleIndex>,
}

/// What ends the engine's interest in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// The target serves it.
    Pass,
    /// It fails with this status, without touching the target.
    Fail(Status),
    /// It is kept uncommitted until it is released.
    Hold {
        /// How long at most, in nanoseconds from `due_ns`.
        max_ns: u64,
        /// What happens when that is over.
        then: Then,
    },
}

/// The place of a rule in its rule set, from 0 in the order of evaluation. Means nothing in another
/// generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub(crate) u16);

impl RuleIndex {
    /// The place as a number, from 0.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl Verdict {
    /// The verdict on a request that no rule fired on, asked about at `now_ns`.
    #[must_use]
    pub const fn pass(now_ns: u64) -> Self {
        Self {
            delay_ns: 0,
            due_ns: now_ns,
            terminal: Terminal::Pass,
            rule: None,
        }
    }

    /// Whether the request goes to its target at once, as if there were no rules.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.delay_ns == 0 && self.terminal == Terminal::Pass
    }
}
