//! The requests of a queue that are not to be committed yet: held or delayed. A table by tag, made at
//! start-up, so that parking allocates nothing.

use std::sync::Arc;

use api::Decision;
use fault::OnRemove;
use ublk::Request;

use crate::mailbox::{Outcome, Which};
use crate::shared::Mark;

/// What follows when a parked request's time has come, or when it is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The target serves it.
    Serve,
    /// It fails.
    Fail(fault::Status),
    /// Only its first sectors are done, and answered.
    Short {
        /// How many.
        sectors: u32,
        /// Whether they are what is in its pages; else the medium is asked.
        as_is: bool,
    },
    /// It succeeds with what is in its pages.
    AsIs,
    /// A delay is over, and the request is held from now on.
    Hold {
        /// For how long at most.
        max_ns: u64,
        /// And what then.
        then: fault::Then,
    },
    /// It is never answered.
    Hang,
    /// It waits for others of its rule, to be let go in another order.
    Order {
        /// Which.
        order: Order,
        /// How long at most.
        hold_ns: u64,
    },
}

/// In which order requests of a rule are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// How many wait for each other at most.
    pub window: u16,
    /// What addresses the order.
    pub draw: u64,
}

impl Next {
    /// The same, as events call it.
    pub(crate) const fn decision(self) -> Decision {
        match self {
            Self::Serve | Self::AsIs => Decision::Pass,
            Self::Fail(_) => Decision::Fail,
            Self::Short { .. } => Decision::Short,
            Self::Hold { .. } => Decision::Hold,
            Self::Hang => Decision::Hang,
            Self::Order { .. } => Decision::Reorder,
        }
    }
}

/// A parked request.
#[derive(Debug)]
pub struct Wait {
    /// The request.
    pub request: Request,
    /// When its time comes, on `CLOCK_MONOTONIC`.
    pub due_ns: u64,
    /// What follows then.
    pub next: Next,
    /// Its number, if it is held rather than delayed.
    pub hold_id: Option<u64>,
    /// The rule that parked it.
    pub rule: Arc<str>,
    /// The generation of that rule.
    pub generation: u64,
    /// What becomes of it when that rule is removed.
    pub on_remove: OnRemove,
    /// Set if it waits for others.
    pub order: Option<Order>,
    /// Its place among all that were parked.
    pub arrival: u64,
    /// Whether its pages were changed while it waits, so that nothing may go over that.
    pub poked: bool,
}

impl Wait {
    /// A request that waits until `due_ns`, for a rule.
    #[must_use]
    pub fn of(request: Request, due_ns: u64, next: Next, mark: &Mark) -> Self {
        Self {
            request,
            due_ns,
            next,
            hold_id: None,
            rule: Arc::clone(&mark.rule),
            generation: mark.generation,
            on_remove: mark.on_remove,
            order: None,
            arrival: 0,
            poked: false,
        }
    }

    /// The rule that parked it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            rule: Arc::clone(&self.rule),
            generation: self.generation,
            on_remove: self.on_remove,
        }
    }

    fn is_of_group(&self, mark: &Mark) -> bool {
        self.order.is_some() && self.rule == mark.rule && self.generation == mark.generation
    }

    /// What follows if its rule is removed.
    pub(crate) fn orphaned(&self) -> Next {
        match self.on_remove {
            OnRemove::Fail(status) => Next::Fail(status),
            OnRemove::Release | OnRemove::Expire => self.let_go(Outcome::GoOn),
        }
    }

    /// What follows if its time is over.
    pub(crate) fn expired(&self) -> Next {
        match self.next {
            // What somebody stored there is what the client is to get, as if it had been let go.
            Next::Serve if self.poked => Next::AsIs,
            next => next,
        }
    }

    /// What follows if the request is let go early: a hold is over, a delay is not waited for, but the
    /// failure that was to follow a delay still does.
    pub(crate) fn let_go(&self, outcome: Outcome) -> Next {
        match (outcome, self.next) {
            (Outcome::Fail(status), _) => Next::Fail(status),
            (Outcome::Short(sectors), _) => Next::Short {
                sectors,
                as_is: self.poked,
            },
            (Outcome::GoOn, Next::Fail(status)) if self.hold_id.is_none() => Next::Fail(status),
            (Outcome::GoOn, _) if self.poked => Next::AsIs,
            (Outcome::GoOn, _) => Next::Serve,
        }
    }
}

/// A queue's parked requests.
#[derive(Debug)]
pub struct Parked {
    by_tag: Vec<Option<Wait>>,
    count: usize,
    earliest_ns: u64,
    arrivals: u64,
}

impl Parked {
    /// Room for every tag of a queue.
    #[must_use]
    pub fn new(depth: u16) -> Self {
        let by_tag = (0..depth).map(|_| None).collect();
        Self {
            by_tag,
            count: 0,
            earliest_ns: u64::MAX,
            arrivals: 0,
        }
    }

    /// Whether nothing is parked.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Parks a request under its tag, which is free as long as the request is not committed.
    pub fn park(&mut self, mut wait: Wait) {
        if wait.arrival == 0 {
            self.arrivals += 1;
            wait.arrival = self.arrivals;
        }
        self.earliest_ns = self.earliest_ns.min(wait.due_ns);
        self.count += 1;
        let tag = usize::from(wait.request.tag());
        self.by_tag[tag] = Some(wait);
    }

    /// When the next one's time comes, on `CLOCK_MONOTONIC`.
    #[inline]
    #[must_use]
    pub fn next_due_ns(&self) -> Option<u64> {
        // What hangs has no time.
        (self.count > 0 && self.earliest_ns < u64::MAX).then_some(self.earliest_ns)
    }

    /// Takes one whose time has come.
    pub fn take_due(&mut self, now_ns: u64) -> Option<Wait> {
        if self.count == 0 || now_ns < self.earliest_ns {
            return None;
        }
        self.take(|wait| wait.due_ns <= now_ns)
    }

    /// Takes one that is meant.
    pub fn take_which(&mut self, which: &Which) -> Option<Wait> {
        self.take(|wait| match which {
            Which::Everything => true,
            Which::Held => wait.hold_id.is_some(),
            Which::Rule(name) => wait.hold_id.is_some() && &*wait.rule == name,
            Which::Hold(id) => wait.hold_id == Some(*id),
        })
    }

    /// The held request with this number.
    #[must_use]
    pub fn held(&self, hold_id: u64) -> Option<&Wait> {
        let mut waits = self.by_tag.iter().flatten();
        waits.find(|wait| wait.hold_id == Some(hold_id))
    }

    /// The same, to be marked.
    pub fn held_mut(&mut self, hold_id: u64) -> Option<&mut Wait> {
        let mut waits = self.by_tag.iter_mut().flatten();
        waits.find(|wait| wait.hold_id == Some(hold_id))
    }

    /// Takes one whose rule is not among `rules` any more, unless it is to wait all the same.
    pub fn take_orphan(&mut self, rules: &fault::RuleSet) -> Option<Wait> {
        let gone = |wait: &Wait| !rules.rules().any(|rule| rule.name == *wait.rule);
        self.take(|wait| wait.on_remove != OnRemove::Expire && gone(wait))
    }

    /// How many wait for each other, of a rule.
    #[must_use]
    pub fn group_len(&self, mark: &Mark) -> usize {
        let waits = self.by_tag.iter().flatten();
        waits.filter(|wait| wait.is_of_group(mark)).count()
    }

    /// Takes all that wait for each other, of a rule, in the order in which they came.
    pub fn take_group(&mut self, mark: &Mark) -> Vec<Wait> {
        let mut group: Vec<Wait> =
            std::iter::from_fn(|| self.take(|wait| wait.is_of_group(mark))).collect();
        group.sort_unstable_by_key(|wait| wait.arrival);
        group
    }

    fn take(&mut self, meant: impl Fn(&Wait) -> bool) -> Option<Wait> {
        let slot = self
            .by_tag
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(&meant));
        let taken = slot.and_then(Option::take);
        if taken.is_some() {
            self.count -= 1;
        }
        // One pass over the table each time; it is as long as the queue is deep.
        let due = self.by_tag.iter().flatten().map(|wait| wait.due_ns);
        self.earliest_ns = due.min().unwrap_or(u64::MAX);
        taken
    }
}

#[cfg(test)]
mod tests;
