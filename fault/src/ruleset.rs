//! An immutable, numbered set of rules, ready to decide.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::check::check_rules;
use crate::draw::Draw;
use crate::error::RuleError;
use crate::facts::DeviceFacts;
use crate::history::{Counters, History};
use crate::matcher::Matcher;
use crate::rule::Rule;
use crate::verdict::RuleIndex;

/// One generation of rules. Never changes once compiled, except for the counts its rules keep.
///
/// A set is published whole to the queues of its device and each decides by the one it read last, so a
/// request is judged by one generation from beginning to end.
#[derive(Debug, Default)]
pub struct RuleSet {
    generation: u64,
    needs_clock: bool,
    pub(crate) rules: Box<[Compiled]>,
}

/// A rule, prepared.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) index: RuleIndex,
    pub(crate) matcher: Matcher,
    pub(crate) draw: Draw,
    pub(crate) history: Arc<History>,
    /// The seed its draws come from: its own, else that of the set.
    seed: u64,
    /// The first generation with this rule and this history.
    since: u64,
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
}

impl RuleSet {
    /// The set without rules, generation 0.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Makes generation `generation` of these rules, asked by priority and then in the order of the list.
    ///
    /// A rule that stands in `previous` under the same name, with the same content and the same seed,
    /// goes on with its counts and its place in its draws; any other starts from nothing.
    ///
    /// # Errors
    /// A rule does not make sense on this device, or the daemon cannot carry it out, or two share a name. The error names the
    /// rule and the field; nothing is kept of the set.
    pub fn compile(
        generation: u64,
        seed: u64,
        rules: Vec<Rule>,
        previous: Option<&Self>,
        facts: &DeviceFacts,
    ) -> Result<Self, RuleError> {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        // The sort is stable: rules of one priority keep the order of the list.
        order.sort_by_key(|index| Reverse(rules.get(*index).map_or(0, |rule| rule.options.prio)));
        check_rules(&rules, &order, facts)?;
        let mut rules = rules;
        rules.sort_by_key(|rule| Reverse(rule.options.prio));
        let old = previous.map_or(&[][..], |set| &set.rules);
        let rules: Box<[Compiled]> = (0..=u16::MAX)
            .zip(rules)
            .map(|(index, rule)| Compiled::new(RuleIndex(index), rule, seed, generation, old))
            .collect();
        let needs_clock = rules.iter().any(|compiled| compiled.rule.needs_clock());
        Ok(Self {
            generation,
            needs_clock,
            rules,
        })
    }

    /// The number of this generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
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

    /// Whether a verdict of this set may say when: some rule delays or holds. If not, `now_ns` may be
    /// anything, and the clock need not be read.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        self.needs_clock
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
            counters: compiled.history.counters(),
            since: compiled.since,
        })
    }
}

impl Compiled {
    fn new(index: RuleIndex, rule: Rule, seed: u64, generation: u64, old: &[Self]) -> Self {
        let seed = rule.seed().unwrap_or(seed);
        let kept = old.iter().find(|old| old.rule == rule && old.seed == seed);
        let (history, since) = match kept {
            Some(old) => (Arc::clone(&old.history), old.since),
            None => (Arc::new(History::new()), generation),
        };
        Self {
            index,
            matcher: Matcher::new(&rule.selector),
            draw: Draw::new(seed, &rule.name),
            history,
            seed,
            since,
            rule,
        }
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
    fn the_clock_is_needed_by_what_takes_time() {
        let needs = |words| {
            RuleSet::compile(1, 0, rules(&[("a", words)]), None, FACTS)
                .unwrap()
                .needs_clock()
        };
        assert!(needs("delay:1ms") && needs("hold"));
        assert!(!needs("fail"));
        assert!(!RuleSet::empty().needs_clock() && RuleSet::empty().is_empty());
    }
}
