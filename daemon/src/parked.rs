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
mod tests {
    use super::*;
    use ublk::{Op, RequestFlags};

    fn wait(tag: u16, due_ns: u64, hold_id: Option<u64>, rule: &str) -> Wait {
        let request = Request::new(tag, Op::Read, RequestFlags::empty(), 0, 8);
        Wait {
            hold_id,
            ..Wait::of(request, due_ns, Next::Serve, &mark(rule))
        }
    }

    fn mark(rule: &str) -> Mark {
        Mark {
            rule: Arc::from(rule),
            generation: 1,
            on_remove: OnRemove::Release,
        }
    }

    fn tags(parked: &mut Parked, which: &Which) -> Vec<u16> {
        std::iter::from_fn(|| parked.take_which(which))
            .map(|wait| {
                let tag = wait.request.tag();
                wait.request.abandon();
                tag
            })
            .collect()
    }

    #[test]
    fn the_earliest_comes_first_and_the_table_knows_when() {
        let mut parked = Parked::new(4);
        assert_eq!(parked.next_due_ns(), None);
        parked.park(wait(2, 300, None, "a"));
        parked.park(wait(0, 100, None, "a"));
        assert_eq!(parked.next_due_ns(), Some(100));
        assert!(parked.take_due(99).is_none());
        let first = parked.take_due(100).unwrap();
        assert_eq!(first.request.tag(), 0);
        first.request.abandon();
        assert_eq!(parked.next_due_ns(), Some(300));
        assert_eq!(tags(&mut parked, &Which::Everything), [2]);
        assert!(parked.is_empty());
        assert_eq!(parked.next_due_ns(), None);
    }

    #[test]
    fn choices_take_what_they_name() {
        let mut parked = Parked::new(8);
        for (tag, hold_id, rule) in [(0, Some(7), "a"), (1, None, "a"), (2, Some(9), "b")] {
            parked.park(wait(tag, 100, hold_id, rule));
        }
        assert_eq!(tags(&mut parked, &Which::Hold(8)), Vec::<u16>::new());
        assert_eq!(tags(&mut parked, &Which::Rule("a".into())), [0]);
        assert_eq!(tags(&mut parked, &Which::Held), [2]);
        assert_eq!(tags(&mut parked, &Which::Everything), [1]);
    }

    #[test]
    fn what_hangs_has_no_time_and_can_be_let_go() {
        let mut parked = Parked::new(4);
        parked.park(wait(1, u64::MAX, None, "a"));
        assert_eq!(parked.next_due_ns(), None);
        assert!(parked.take_due(u64::MAX - 1).is_none());
        parked.park(wait(2, 500, None, "a"));
        assert_eq!(parked.next_due_ns(), Some(500));
        assert_eq!(tags(&mut parked, &Which::Everything), [1, 2]);
    }

    #[test]
    fn a_group_is_taken_as_it_came() {
        let mut parked = Parked::new(8);
        let order = Some(Order { window: 3, draw: 9 });
        for (tag, rule) in [(5, "a"), (2, "a"), (7, "b"), (0, "a")] {
            parked.park(Wait {
                order,
                ..wait(tag, 100, None, rule)
            });
        }
        parked.park(wait(1, 100, None, "a"));
        assert_eq!(parked.group_len(&mark("a")), 3);
        let group = parked.take_group(&mark("a"));
        let came: Vec<u16> = group.iter().map(|wait| wait.request.tag()).collect();
        assert_eq!(came, [5, 2, 0]);
        group.into_iter().for_each(|wait| wait.request.abandon());
        assert_eq!(tags(&mut parked, &Which::Everything), [1, 7]);
    }

    #[test]
    fn a_removed_rule_does_with_its_requests_as_it_says() {
        let mut parked = Parked::new(4);
        let fail = OnRemove::Fail(fault::Status::Timeout);
        for (tag, on_remove) in [(0, OnRemove::Expire), (1, fail), (2, OnRemove::Release)] {
            parked.park(Wait {
                on_remove,
                ..wait(tag, 100, None, "a")
            });
        }
        let none = fault::RuleSet::empty();
        let nexts: Vec<Next> = std::iter::from_fn(|| parked.take_orphan(&none))
            .map(|wait| {
                let next = wait.orphaned();
                wait.request.abandon();
                next
            })
            .collect();
        assert_eq!(nexts, [Next::Fail(fault::Status::Timeout), Next::Serve]);
        assert_eq!(tags(&mut parked, &Which::Everything), [0]);
    }
}
