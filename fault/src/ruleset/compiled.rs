//! A rule, prepared for many requests.

use std::sync::{Arc, OnceLock};

use crate::draw::{Draw, fnv1a};
use crate::engine::Sets;
use crate::facts::DeviceFacts;
use crate::history::History;
use crate::label::Label;
use crate::matcher::Matcher;
use crate::options::Arm;
use crate::range::SectorRange;
use crate::rule::Rule;
use crate::verdict::RuleIndex;

/// A rule, prepared.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) index: RuleIndex,
    pub(crate) matcher: Matcher,
    /// The sectors of its `lba`, sorted, neither overlapping nor touching; none without one.
    pub(crate) named: Box<[SectorRange]>,
    pub(crate) draw: Draw,
    pub(crate) history: Arc<History>,
    pub(crate) labels: Labels,
    /// Whether it depends on how long it has been armed.
    pub(crate) has_window: bool,
    /// The seed its draws come from: its own, else that of the set.
    pub(crate) seed: u64,
    /// The first generation of this history.
    pub(crate) since: u64,
    /// The first generation in which the rule was as it is.
    pub(crate) made: u64,
    /// What stands for its content on file, once that was asked for.
    content: OnceLock<u64>,
}

/// The labels of a rule, as numbers.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) state: Option<u64>,
    pub(crate) after: Option<u64>,
    pub(crate) arm: Option<u64>,
    pub(crate) sets: Option<Sets>,
}

impl Compiled {
    pub(super) fn new(
        index: RuleIndex,
        rule: Rule,
        seed: u64,
        generation: u64,
        old: Option<&Self>,
        facts: &DeviceFacts,
    ) -> Self {
        let seed = rule.seed().unwrap_or(seed);
        let kept = old.filter(|old| old.rule == rule && old.seed == seed);
        let matcher = Matcher::new(&rule, facts);
        let (history, since, made) = match kept {
            Some(old) => (Arc::clone(&old.history), old.since, old.made),
            None => {
                let history = Arc::new(History::new(&rule, &matcher));
                (history, generation, generation)
            }
        };
        let content = kept.map(|old| old.content.clone()).unwrap_or_default();
        let arm = match &rule.options.arm {
            Arm::Mark(label) => Some(label.id()),
            Arm::Now | Arm::Manual => None,
        };
        let trigger = &rule.trigger;
        Self {
            index,
            named: matcher.named(),
            matcher,
            draw: Draw::new(seed, &rule.name),
            history,
            labels: Labels {
                state: trigger.state.as_ref().map(Label::id),
                after: trigger.after_mark.as_ref().map(Label::id),
                arm,
                sets: Sets::of(&rule.action),
            },
            has_window: trigger.from.is_some()
                || trigger.until.is_some()
                || trigger.during.is_some()
                || rule.options.ttl_ns.is_some(),
            seed,
            since,
            made,
            content,
            rule,
        }
    }

    /// Stands for its content and its seed: its words have all of it. They are put together once, as a
    /// snapshot of many rules is taken every second.
    pub(super) fn content(&self) -> u64 {
        let words = || fnv1a(format!("{} {}", self.rule, self.seed).as_bytes());
        *self.content.get_or_init(words)
    }
}
