//! The requests of a queue that are not to be committed yet: held or delayed. A table by tag, made at
//! start-up, so that parking allocates nothing.

use std::sync::Arc;

use api::Decision;
use ublk::Request;

use crate::mailbox::{Outcome, Which};

/// What follows when a parked request's time has come, or when it is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The target serves it.
    Serve,
    /// It fails.
    Fail(fault::Status),
    /// A delay is over, and the request is held from now on.
    Hold {
        /// For how long at most.
        max_ns: u64,
        /// And what then.
        then: fault::Then,
    },
}

impl Next {
    /// The same, as events call it.
    pub(crate) const fn decision(self) -> Decision {
        match self {
            Self::Serve => Decision::Pass,
            Self::Fail(_) => Decision::Fail,
            Self::Hold { .. } => Decision::Hold,
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
}

impl Wait {
    /// What follows if the request is let go early: a hold is over, a delay is not waited for, but the
    /// failure that was to follow a delay still does.
    pub(crate) fn let_go(&self, outcome: Outcome) -> Next {
        match (outcome, self.next) {
            (Outcome::Fail(status), _) => Next::Fail(status),
            (Outcome::GoOn, Next::Fail(status)) if self.hold_id.is_none() => Next::Fail(status),
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
        }
    }

    /// Whether nothing is parked.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Parks a request under its tag, which is free as long as the request is not committed.
    pub fn park(&mut self, wait: Wait) {
        self.earliest_ns = self.earliest_ns.min(wait.due_ns);
        self.count += 1;
        let tag = usize::from(wait.request.tag());
        self.by_tag[tag] = Some(wait);
    }

    /// When the next one's time comes, on `CLOCK_MONOTONIC`.
    #[inline]
    #[must_use]
    pub fn next_due_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.earliest_ns)
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

    /// Takes one whose rule is not among `rules` any more.
    pub fn take_orphan(&mut self, rules: &fault::RuleSet) -> Option<Wait> {
        self.take(|wait| !rules.rules().any(|rule| rule.name == *wait.rule))
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
        let rule = Arc::from(rule);
        Wait {
            request,
            due_ns,
            next: Next::Serve,
            hold_id,
            rule,
            generation: 1,
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
}
