//! A set's history as it goes on file, so that the next daemon goes on from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Compiled, Keep, RuleSet};
use crate::device::{DeviceHistory, DeviceSnapshot};
use crate::error::RuleError;
use crate::facts::DeviceFacts;
use crate::history::addresses::{AddressCount, Addresses};
use crate::history::bad_map::{BadMap, BadRun};
use crate::history::{ArmedAt, Counters, History};
use crate::rule::Rule;

/// What a device and its rules have been through. Rules themselves are not in it.
///
/// The moments of arming are on the clock of the one who wrote it; a monotonic clock of the same boot goes
/// on from there. What throttles, lanes and rates owe is not kept: they begin anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The generation it was taken of.
    pub generation: u64,
    /// The device.
    pub device: DeviceSnapshot,
    /// Each rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSnapshot>,
}

/// What a rule has been through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSnapshot {
    /// Its name.
    pub name: String,
    /// Stands for its content and its seed: a rule with another one starts from nothing.
    pub content: u64,
    /// The generation since which it counts.
    pub since: u64,
    /// What it has done.
    pub counters: Counters,
    /// How many requests have come to its turns.
    pub turns: u64,
    /// Whether it is armed.
    pub armed: bool,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Since when it is armed, if that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_at: Option<ArmedAt>,
    /// The bad sectors to which something has happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<BadRun>,
    /// The addresses it has met, if it counts by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressCount>,
}

impl RuleSnapshot {
    /// What a rule has been through so far.
    pub(super) fn of(compiled: &Compiled) -> Self {
        let history: &History = &compiled.history;
        Self {
            name: compiled.rule.name.clone(),
            content: compiled.content(),
            since: compiled.since,
            counters: history.tally.counters(),
            turns: history.turn(),
            armed: history.gate.is_armed(),
            enabled: history.gate.is_enabled(),
            armed_at: history.gate.known_since(),
            bad: history.bad.as_ref().map(BadMap::runs).unwrap_or_default(),
            addresses: history
                .addresses
                .as_ref()
                .map(Addresses::counts)
                .unwrap_or_default(),
        }
    }
}

impl RuleSet {
    /// What the device and the rules have been through so far. Exact when no request is being decided.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            device: self.device.snapshot(),
            rules: self.rules.iter().map(RuleSnapshot::of).collect(),
        }
    }

    /// Makes a generation of these rules, as [`RuleSet::compile`] does, that goes on from a snapshot. A rule
    /// that is not in it, or that has changed since, starts from nothing.
    ///
    /// # Errors
    /// As [`RuleSet::compile`].
    pub fn restore(
        generation: u64,
        seed: u64,
        rules: Vec<Rule>,
        snapshot: &Snapshot,
        facts: &DeviceFacts,
    ) -> Result<Self, RuleError> {
        let device = Arc::new(DeviceHistory::restore(&snapshot.device));
        let mut set = Self::make(
            generation,
            seed,
            rules,
            (&[], &Keep::Nothing),
            device,
            facts,
        )?;
        let known: BTreeMap<&str, &RuleSnapshot> = snapshot
            .rules
            .iter()
            .map(|rule| (rule.name.as_str(), rule))
            .collect();
        for compiled in &mut set.rules {
            let found = known.get(compiled.rule.name.as_str());
            let same = |rule: &&&RuleSnapshot| rule.content == compiled.content();
            if let Some(rule) = found.filter(same) {
                compiled.since = rule.since;
                take_over(&compiled.history, rule);
            }
        }
        Ok(set)
    }
}

pub(super) fn take_over(history: &History, rule: &RuleSnapshot) {
    history.tally.restore(&rule.counters);
    history.restore_turns(rule.turns);
    history
        .gate
        .restore(rule.armed, rule.enabled, rule.armed_at);
    if let Some(bad) = &history.bad {
        bad.restore(&rule.bad);
    }
    if let Some(addresses) = &history.addresses {
        addresses.restore(&rule.addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Request, Sector};

    fn rules() -> Vec<Rule> {
        let words = [
            ("bad", "badmap(wr_fail=1) where lba=0+8"),
            (
                "seq",
                "delay:1ms where op=read when seq=xwwX with draw=address",
            ),
            ("late", "delay:2ms where op=read when from=op:2,nth=3"),
            ("off", "delay:3ms where op=read with arm=manual"),
            ("mark", "mark(seen) where op=flush"),
            ("drawn", "delay:4ms where op=read when prob=50%"),
        ];
        words
            .iter()
            .map(|(name, words)| Rule::parse(name, words).unwrap())
            .collect()
    }

    /// Request number `n` of a mixed load.
    fn request(set: &RuleSet, n: u64) -> Request {
        let plain = match n % 4 {
            0 => Request::new(Op::Write, Sector(n % 8), 1),
            1 => Request::new(Op::Flush, Sector(0), 0),
            _ => Request::new(Op::Read, Sector(n % 24), 8),
        };
        if plain.op == Op::Flush {
            set.history().flush_completed();
        }
        let ordinal = set.history().next_ordinal();
        let epoch = set.history().epoch();
        Request {
            ordinal,
            epoch,
            ..plain
        }
    }

    #[test]
    fn the_next_daemon_goes_on_as_if_nothing_had_happened() {
        let facts = DeviceFacts::of_size(4096);
        let decide = |set: &RuleSet, n: u64| set.decide(&request(set, n), n);
        let whole = RuleSet::compile(3, 9, rules(), None, &facts).unwrap();
        let before = RuleSet::compile(3, 9, rules(), None, &facts).unwrap();
        for set in [&whole, &before] {
            set.start(0);
            assert!(set.enable("drawn", true) && !set.enable("nobody", true));
        }
        for n in 0..100 {
            assert_eq!(decide(&whole, n), decide(&before, n));
            if n == 50 {
                assert!(whole.arm("off", n) && before.arm("off", n));
            }
        }
        let json = serde_json::to_string(&before.snapshot()).unwrap();
        let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
        assert_eq!(snapshot, before.snapshot());
        let after = RuleSet::restore(3, 9, rules(), &snapshot, &facts).unwrap();
        for n in 100..300 {
            assert_eq!(decide(&whole, n), decide(&after, n), "{n}");
        }
        assert_eq!(after.snapshot(), whole.snapshot());
        assert!(whole.reports().eq(after.reports()));
    }

    #[test]
    fn a_rule_that_has_changed_starts_again() {
        let facts = DeviceFacts::of_size(4096);
        let rule = |words| vec![Rule::parse("r", words).unwrap()];
        let set = RuleSet::compile(1, 0, rule("delay:1ms"), None, &facts).unwrap();
        set.decide(&Request::new(Op::Read, Sector(0), 8), 0);
        let snapshot = set.snapshot();
        for (words, fired) in [("delay:1ms", 1), ("delay:2ms", 0)] {
            let again = RuleSet::restore(2, 0, rule(words), &snapshot, &facts).unwrap();
            assert_eq!(again.reports().next().unwrap().counters.fired, fired);
        }
    }
}
