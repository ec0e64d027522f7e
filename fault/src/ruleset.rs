//! An immutable, numbered set of rules, ready to decide.

mod arming;
mod compiled;
mod keep;
mod needs;
mod snapshot;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::check_rules;
use crate::device::DeviceHistory;
use crate::error::RuleError;
use crate::facts::DeviceFacts;
use crate::history::Counters;
use crate::index::Index;
use crate::rule::Rule;
use crate::verdict::RuleIndex;

pub(crate) use compiled::Compiled;
pub use keep::Keep;
pub use needs::Needs;
pub use snapshot::{RuleSnapshot, Snapshot};

/// One generation of rules. Never changes once compiled, except for the counts its rules keep.
///
/// A set is published whole to the queues of its device and each decides by the one it read last, so a
/// request is judged by one generation from beginning to end.
#[derive(Debug)]
pub struct RuleSet {
    generation: u64,
    pub(crate) facts: DeviceFacts,
    pub(crate) needs: Needs,
    pub(crate) device: Arc<DeviceHistory>,
    pub(crate) index: Index,
    pub(crate) rules: Box<[Compiled]>,
}

/// A rule of a set and what it has done.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleReport {
    /// The rule.
    pub rule: Rule,
    /// What it has done since `since`.
    pub counters: Counters,
    /// The generation in which it began to count.
    pub since: u64,
    /// Whether it is armed.
    pub armed: bool,
    /// Whether it is enabled.
    pub enabled: bool,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl RuleSet {
    /// The set without rules, generation 0, of a device that has just been made.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            generation: 0,
            facts: DeviceFacts::of_size(0),
            needs: Needs::default(),
            device: Arc::default(),
            index: Index::default(),
            rules: Box::default(),
        }
    }

    /// Makes generation `generation` of these rules, asked by priority and then in the order of the list.
    ///
    /// A rule that stands in `previous` under the same name, with the same content and the same seed,
    /// goes on with its counts and its place in its draws; any other starts from nothing. The history of the
    /// device is taken over from `previous`, or begins.
    ///
    /// # Errors
    /// A rule does not make sense on this device, or the daemon cannot carry it out, or two share a name. The
    /// error names the rule and the field; nothing is kept of the set.
    pub fn compile(
        generation: u64,
        seed: u64,
        rules: Vec<Rule>,
        previous: Option<&Self>,
        facts: &DeviceFacts,
    ) -> Result<Self, RuleError> {
        Self::compile_keeping(generation, seed, rules, previous, facts, &Keep::Unchanged)
    }

    /// The same, with other rules that go on with their counts.
    ///
    /// # Errors
    /// As [`RuleSet::compile`].
    pub fn compile_keeping(
        generation: u64,
        seed: u64,
        rules: Vec<Rule>,
        previous: Option<&Self>,
        facts: &DeviceFacts,
        keep: &Keep,
    ) -> Result<Self, RuleError> {
        let device = previous
            .map(|set| Arc::clone(&set.device))
            .unwrap_or_default();
        let old = previous.map_or(&[][..], |set| &set.rules);
        Self::make(generation, seed, rules, (old, keep), device, facts)
    }

    fn make(
        generation: u64,
        seed: u64,
        mut rules: Vec<Rule>,
        (old, keep): (&[Compiled], &Keep),
        device: Arc<DeviceHistory>,
        facts: &DeviceFacts,
    ) -> Result<Self, RuleError> {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        // The sort is stable: rules of one priority keep the order of the list.
        order.sort_by_key(|index| Reverse(rules.get(*index).map_or(0, |rule| rule.options.prio)));
        check_rules(&rules, &order, facts)?;
        rules.sort_by_key(|rule| Reverse(rule.options.prio));
        let by_name: BTreeMap<&str, &Compiled> = old
            .iter()
            .map(|old| (old.rule.name.as_str(), old))
            .collect();
        let compile = |(index, rule): (u16, Rule)| {
            let old = by_name.get(rule.name.as_str()).copied();
            let edited = old.filter(|_| keep.edited(&rule.name));
            let kept = old.filter(|_| keep.unchanged(&rule.name));
            let mut new = Compiled::new(RuleIndex(index), rule, seed, generation, kept, facts);
            // One that stays as it is has the old history already.
            if let Some(old) = edited.filter(|old| !Arc::ptr_eq(&old.history, &new.history)) {
                new.follow(old);
            }
            new
        };
        let rules: Box<[Compiled]> = (0..=u16::MAX).zip(rules).map(compile).collect();
        for label in rules.iter().flat_map(|compiled| compiled.rule.labels()) {
            device.know(label);
        }
        Ok(Self {
            generation,
            facts: *facts,
            needs: Needs::of(&rules),
            device,
            index: Index::new(&rules),
            rules,
        })
    }

    /// The number of this generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What the device has been through; the same for all its generations.
    #[must_use]
    pub const fn history(&self) -> &Arc<DeviceHistory> {
        &self.device
    }

    /// Whether there is no rule, so that nothing needs to be asked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many rules there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// What must be known of the time and of requests for a decision; the rest may be anything.
    #[must_use]
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether a verdict of this set may depend on the time, or say when. If not, `now_ns` may be anything,
    /// and the clock need not be read.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        self.needs.clock
    }

    /// The rules, in the order of evaluation.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The rule that a verdict of this very set names; `None` if it cannot be of this set.
    #[must_use]
    pub fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(index.get()).map(|compiled| &compiled.rule)
    }

    /// The rules and what they have done, in the order of evaluation.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = RuleReport> {
        self.rules.iter().map(|compiled| RuleReport {
            rule: compiled.rule.clone(),
            counters: compiled.history.tally.counters(),
            since: compiled.since,
            armed: compiled.history.gate.is_armed(),
            enabled: compiled.history.gate.is_enabled(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Request, Sector};

    const FACTS: &DeviceFacts = &DeviceFacts::of_size(4096);
    const READ: Request = Request::new(Op::Read, Sector(0), 8);

    fn rules(words: &[(&str, &str)]) -> Vec<Rule> {
        words
            .iter()
            .map(|(name, words)| Rule::parse(name, words).unwrap())
            .collect()
    }

    fn fired(set: &RuleSet) -> Vec<(String, u64, u64)> {
        set.reports()
            .map(|r| (r.rule.name, r.counters.fired, r.since))
            .collect()
    }

    #[test]
    fn an_unchanged_rule_keeps_its_counts_and_a_changed_one_starts_again() {
        let before = rules(&[("a", "delay:1ms"), ("b", "delay:1ms"), ("c", "delay:1ms")]);
        let first = RuleSet::compile(1, 7, before, None, FACTS).unwrap();
        first.decide(&READ, 0);
        let after = rules(&[("c", "delay:1ms"), ("a", "delay:1ms"), ("b", "delay:2ms")]);
        let second = RuleSet::compile(2, 7, after, Some(&first), FACTS).unwrap();
        second.decide(&READ, 0);
        let expected =
            [("c", 2, 1), ("a", 2, 1), ("b", 1, 2)].map(|(n, f, s)| (n.to_owned(), f, s));
        assert_eq!(fired(&second), expected);
        // Queues that still decide by the old generation count in the same place.
        assert_eq!(fired(&first)[0].1, 2);
    }

    #[test]
    fn another_seed_starts_again() {
        let one = || rules(&[("a", "delay:1ms when prob=1")]);
        let first = RuleSet::compile(1, 7, one(), None, FACTS).unwrap();
        first.decide(&READ, 0);
        let second = RuleSet::compile(2, 8, one(), Some(&first), FACTS).unwrap();
        assert_eq!(fired(&second)[0].1, 0);
    }

    #[test]
    fn a_used_up_rule_stays_used_up() {
        let one = || rules(&[("a", "fail when count=1")]);
        let first = RuleSet::compile(1, 7, one(), None, FACTS).unwrap();
        assert!(!first.decide(&READ, 0).is_pass());
        let second = RuleSet::compile(2, 7, one(), Some(&first), FACTS).unwrap();
        assert!(second.decide(&READ, 0).is_pass());
    }

    #[test]
    fn priority_comes_before_the_order_of_the_list() {
        let list = rules(&[
            ("a", "delay:1ms"),
            ("b", "delay:1ms with prio=5"),
            ("c", "delay:1ms with prio=-1"),
            ("d", "delay:1ms with prio=5"),
        ]);
        let set = RuleSet::compile(1, 7, list, None, FACTS).unwrap();
        let names: Vec<&str> = set.rules().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["b", "d", "a", "c"]);
    }

    #[test]
    fn the_clock_is_needed_by_what_takes_time() {
        let needs = |words| {
            RuleSet::compile(1, 0, rules(&[("a", words)]), None, FACTS)
                .unwrap()
                .needs_clock()
        };
        assert!(needs("delay:1ms") && needs("hold") && needs("fail when rate=1/s"));
        assert!(!needs("fail"));
        assert!(!RuleSet::empty().needs_clock() && RuleSet::empty().is_empty());
    }
}
