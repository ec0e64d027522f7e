//! What must be known for a decision, and what makes a set differ from run to run.

use super::{Compiled, RuleSet};
use crate::action::Action;
use crate::facts::ActionSet;
use crate::trigger::Moment;

/// What a decision of a set may depend on. What is not needed may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The time.
    pub clock: bool,
    /// The number of a request.
    pub ordinal: bool,
    /// How many flushes have completed.
    pub epoch: bool,
    /// How many requests are in flight.
    pub inflight: bool,
    /// The flags of a request.
    pub flags: bool,
    /// The data of some source requests; [`RuleSet::wants_payload`] says of which.
    pub data: bool,
}

impl Needs {
    pub(super) fn of(rules: &[Compiled]) -> Self {
        let all = rules.iter().fold(ActionSet::empty(), |all, compiled| {
            all | compiled.rule.needs()
        });
        Self {
            clock: rules.iter().any(|compiled| compiled.rule.needs_clock()),
            ordinal: all.contains(ActionSet::ORDINAL),
            epoch: all.contains(ActionSet::EPOCH),
            inflight: all.contains(ActionSet::INFLIGHT),
            flags: all.contains(ActionSet::FLAGS),
            data: rules
                .iter()
                .any(|compiled| compiled.matcher.looks_at_data()),
        }
    }
}

impl RuleSet {
    /// The rules whose firing depends on more than the requests and the seed, each with the field that makes
    /// it so and why. None: same requests in the same order, same verdicts.
    ///
    /// How long a delay or a throttle makes a request wait may depend on the time; that alone is not told.
    #[must_use]
    pub fn nondeterministic(&self) -> Vec<(String, &'static str, &'static str)> {
        let found = |compiled: &Compiled| {
            let rule = &compiled.rule;
            let (trigger, selector) = (&rule.trigger, &rule.selector);
            let timed = |moment: Option<Moment>| matches!(moment, Some(Moment::Time(_)));
            let clock = "wall clock";
            let reasons = [
                (timed(trigger.from), "when.from", clock),
                (timed(trigger.until), "when.until", clock),
                (
                    timed(trigger.during.map(|turns| turns.up)),
                    "when.during",
                    clock,
                ),
                (trigger.rate.is_some(), "when.rate", clock),
                (rule.options.ttl_ns.is_some(), "with.ttl", clock),
                (
                    selector.inflight.is_some(),
                    "where.inflight",
                    "the order of completions",
                ),
                (
                    selector.tag.is_some(),
                    "where.tag",
                    "the kernel's choice of tags",
                ),
                (
                    selector.queue.is_some(),
                    "where.queue",
                    "the client's processor",
                ),
            ];
            let told = reasons.into_iter().filter(|(is_so, ..)| *is_so);
            let name = rule.name.clone();
            told.map(move |(_, field, why)| (name.clone(), field, why))
                .collect::<Vec<_>>()
        };
        self.rules.iter().flat_map(found).collect()
    }

    /// Whether some rule moves data through memory of the daemon.
    #[must_use]
    pub fn may_stage(&self) -> bool {
        self.rules.iter().any(|compiled| {
            matches!(
                compiled.rule.action,
                Action::Corrupt(_) | Action::Torn(_) | Action::Misdirect { .. } | Action::Pi { .. }
            ) || compiled.rule.needs().contains(ActionSet::FAIL_EFFECT)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{DeviceFacts, Rule, RuleSet};

    fn set(words: &str) -> RuleSet {
        let rule = Rule::parse("r", words).unwrap();
        RuleSet::compile(1, 0, vec![rule], None, &DeviceFacts::of_size(4096)).unwrap()
    }

    #[test]
    fn what_depends_on_the_clock_is_told() {
        for (words, field) in [
            ("fail when from=5s", Some("when.from")),
            ("fail when until=5s", Some("when.until")),
            ("fail when during=5s/1s", Some("when.during")),
            ("fail when rate=1/s", Some("when.rate")),
            ("fail with ttl=10m", Some("with.ttl")),
            ("fail where inflight>3", Some("where.inflight")),
            ("fail when from=op:5,prob=10%", None),
            ("delay(lognormal:1ms/5ms)", None),
        ] {
            let found = set(words).nondeterministic();
            assert_eq!(found.first().map(|(_, field, _)| *field), field, "{words}");
        }
    }

    #[test]
    fn only_what_is_needed_is_asked_for() {
        assert_eq!(*set("fail where op=read").needs(), super::Needs::default());
        let needs =
            *set("drop where flags=fua,inflight>3,epoch=1..,data=zero when from=op:3").needs();
        assert!(needs.flags && needs.inflight && needs.epoch && needs.data && needs.ordinal);
        assert!(!needs.clock);
    }
}
