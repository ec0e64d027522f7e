//! Which rules go on with their counts when a set takes the place of another.

use std::sync::Arc;

use super::snapshot::{RuleSnapshot, take_over};
use super::{Compiled, RuleSet};
use crate::action::Action;
use crate::rule::Rule;

/// Which rules of a new set go on with the counts that they have in the old one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those that stay as they are.
    #[default]
    Unchanged,
    /// The rule of this name as well, although it has changed.
    Edited(String),
    /// Those that stay as they are, without the rule of this name.
    Except(String),
    /// None.
    Nothing,
}

impl Keep {
    /// Whether a rule that stays as it is goes on.
    pub(super) fn unchanged(&self, name: &str) -> bool {
        match self {
            Self::Unchanged | Self::Edited(_) => true,
            Self::Except(other) => other != name,
            Self::Nothing => false,
        }
    }

    /// Whether a rule goes on although it has changed.
    pub(super) fn edited(&self, name: &str) -> bool {
        matches!(self, Self::Edited(other) if other == name)
    }
}

impl Compiled {
    /// Goes on with the counts of what the rule was before. If both count the same things they share the
    /// history, so that nothing is lost of what queues count that still decide by the old set; otherwise what
    /// has a meaning for the new rule is taken over as it is now.
    pub(super) fn follow(&mut self, old: &Self) {
        self.since = old.since;
        if counts_alike(&old.rule, &self.rule) {
            self.history = Arc::clone(&old.history);
            return;
        }
        let mut snapshot = RuleSnapshot::of(old);
        if old.named != self.named {
            // The places in a map of bad sectors are those of its own sectors.
            snapshot.bad.clear();
        }
        if old.rule.options.arm != self.rule.options.arm {
            let fresh = &self.history.gate;
            (snapshot.armed, snapshot.armed_at) = (fresh.is_armed(), None);
        }
        take_over(&self.history, &snapshot);
    }
}

/// Whether one history has all that either rule counts.
fn counts_alike(old: &Rule, new: &Rule) -> bool {
    let apart = |rule: &Rule| {
        matches!(
            rule.action,
            Action::Badmap { .. } | Action::Delay { lanes: Some(_), .. }
        )
    };
    let (was, is) = (&old.options, &new.options);
    !apart(old) && !apart(new) && was.arm == is.arm && was.draw == is.draw
}

impl RuleSet {
    /// Whether a rule of this name is in the set and has been as it is since this generation or longer. If not,
    /// what a rule of this name and that generation has done to a request is of the past.
    #[must_use]
    pub fn is_current(&self, name: &str, generation: u64) -> bool {
        let found = self.rules.iter().find(|rule| rule.rule.name == name);
        found.is_some_and(|rule| rule.made <= generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceFacts, Op, Request, Sector};

    const FACTS: &DeviceFacts = &DeviceFacts::of_size(4096);
    const READ: Request = Request::new(Op::Read, Sector(0), 8);

    fn set(generation: u64, words: &str, before: Option<&RuleSet>, keep: &Keep) -> RuleSet {
        let rules = vec![Rule::parse("r", words).unwrap()];
        RuleSet::compile_keeping(generation, 7, rules, before, FACTS, keep).unwrap()
    }

    fn fired(set: &RuleSet) -> (u64, u64) {
        let report = set.reports().next().unwrap();
        (report.counters.fired, report.since)
    }

    #[test]
    fn an_edited_rule_goes_on_and_nothing_is_lost_meanwhile() {
        let first = set(1, "fail where lba=0+8 when count=2", None, &Keep::Unchanged);
        assert!(!first.decide(&READ, 0).is_pass());
        let edited = Keep::Edited("r".to_owned());
        let second = set(2, "fail where lba=0+16 when count=2", Some(&first), &edited);
        assert_eq!(fired(&second), (1, 1));
        // A queue that still decides by the old set takes the last one.
        assert!(!first.decide(&READ, 0).is_pass());
        assert!(second.decide(&READ, 0).is_pass());
        assert_eq!(fired(&second).0, 2);
    }

    #[test]
    fn without_it_a_changed_rule_starts_again_and_so_may_an_unchanged_one() {
        let words = "fail where lba=0+8 when count=1";
        let first = set(1, words, None, &Keep::Unchanged);
        first.decide(&READ, 0);
        let other = "fail where lba=0+16 when count=1";
        assert_eq!(
            fired(&set(2, other, Some(&first), &Keep::Unchanged)),
            (0, 2)
        );
        assert_eq!(
            fired(&set(2, words, Some(&first), &Keep::Unchanged)),
            (1, 1)
        );
        let except = Keep::Except("r".to_owned());
        assert_eq!(fired(&set(2, words, Some(&first), &except)), (0, 2));
        assert_eq!(fired(&set(2, words, Some(&first), &Keep::Nothing)), (0, 2));
    }

    #[test]
    fn what_has_another_shape_takes_over_what_has_a_meaning() {
        let first = set(1, "badmap where lba=0+8", None, &Keep::Unchanged);
        assert!(!first.decide(&READ, 0).is_pass());
        first.enable("r", false);
        let edited = Keep::Edited("r".to_owned());
        let second = set(
            2,
            "fail where lba=0+8 with arm=manual",
            Some(&first),
            &edited,
        );
        let report = second.reports().next().unwrap();
        assert_eq!((report.counters.fired, report.since), (1, 1));
        assert!(!report.enabled && !report.armed);
    }

    #[test]
    fn what_an_older_rule_did_is_of_the_past() {
        let first = set(1, "fail", None, &Keep::Unchanged);
        let second = set(2, "fail", Some(&first), &Keep::Unchanged);
        assert!(second.is_current("r", 1) && second.is_current("r", 2));
        let third = set(3, "hang", Some(&second), &Keep::Edited("r".to_owned()));
        assert!(!third.is_current("r", 2) && third.is_current("r", 3));
        assert!(!third.is_current("none", 3));
    }
}
