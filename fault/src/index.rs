//! Finds the rules whose sectors a request touches, without asking each.

use crate::op::{Op, OpSet};
use crate::range::SectorRange;
use crate::request::Request;
use crate::ruleset::Compiled;

/// Words of a set of rules: one bit for each of [`crate::MAX_RULES`].
pub(crate) const WORDS: usize = crate::MAX_RULES / 64;

/// Which rules are to be asked about a request, by their place.
pub(crate) type Chosen = [u64; WORDS];

/// The ranges of all rules, as a balanced tree in an array that is sorted by their start: the middle of each
/// part of the array is the root of that part, and knows how far the ranges of the part reach.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The operations that some rule is about.
    ops: Option<OpSet>,
    /// Rules that are asked about every request, having no `lba`.
    always: Box<[u64]>,
    /// Whether there is one.
    any_always: bool,
    nodes: Box<[Node]>,
    touched: Touched,
}

/// The sectors that some rule names: ranges in order that neither overlap nor touch.
#[derive(Debug, Default)]
struct Touched {
    starts: Box<[u64]>,
    ends: Box<[u64]>,
}

impl Touched {
    /// Of nodes that are sorted by their start.
    fn new(nodes: &[Node]) -> Self {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for node in nodes {
            match ends.last_mut() {
                Some(end) if *end >= node.start => *end = node.end.max(*end),
                _ => {
                    starts.push(node.start);
                    ends.push(node.end);
                }
            }
        }
        Self {
            starts: starts.into(),
            ends: ends.into(),
        }
    }

    /// Whether one of `start..end` is among them: a single search, of which nothing is remembered.
    fn has_any(&self, start: u64, end: u64) -> bool {
        let first = self.ends.partition_point(|other| *other <= start);
        self.starts.get(first).is_some_and(|other| *other < end)
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    start: u64,
    end: u64,
    /// The furthest end in the part of which this is the root.
    reach: u64,
    rule: u16,
}

impl Index {
    pub(crate) fn new(rules: &[Compiled]) -> Self {
        let mut always = vec![0; rules.len().div_ceil(64)];
        let mut nodes = Vec::new();
        let mut ops: Option<OpSet> = None;
        for (place, rule) in rules.iter().enumerate() {
            // A rule that acts on no operation is never asked.
            let Some(own) = rule.matcher.ops() else {
                continue;
            };
            ops = Some(ops.map_or(own, |ops| ops.union(own)));
            if rule.named.is_empty() {
                always[place / 64] |= 1 << (place % 64);
            }
            let node = |range: &SectorRange| Node {
                start: range.start().0,
                end: range.end().0,
                reach: 0,
                rule: rule.index.0,
            };
            nodes.extend(rule.named.iter().map(node));
        }
        nodes.sort_unstable_by_key(|node| (node.start, node.end, node.rule));
        measure(&mut nodes);
        Self {
            ops,
            any_always: always.iter().any(|word| *word != 0),
            always: always.into(),
            touched: Touched::new(&nodes),
            nodes: nodes.into(),
        }
    }

    /// Whether any rule is to be asked about requests of this kind for `start..end`.
    #[inline]
    pub(crate) fn asks(&self, op: Op, start: u64, end: u64) -> bool {
        self.ops.is_some_and(|ops| ops.contains(op))
            && (self.any_always || (start < end && self.touched.has_any(start, end)))
    }

    /// Marks the rules that are to be asked; says how many words are in use.
    pub(crate) fn choose(&self, request: &Request, chosen: &mut Chosen) -> usize {
        if !self.asks(request.op, request.sector.0, request.end().0) {
            return 0;
        }
        for (word, always) in chosen.iter_mut().zip(&self.always) {
            *word = *always;
        }
        if request.sectors > 0 {
            let (start, end) = (request.sector.0, request.end().0);
            find(&self.nodes, start, end, chosen);
        }
        self.always.len()
    }
}

/// Sets how far each part reaches; returns it for the whole.
fn measure(nodes: &mut [Node]) -> u64 {
    let middle = nodes.len() / 2;
    let (before, rest) = nodes.split_at_mut(middle);
    let Some((root, after)) = rest.split_first_mut() else {
        return 0;
    };
    root.reach = root.end.max(measure(before)).max(measure(after));
    root.reach
}

/// Marks the rules with a range that overlaps `start..end`.
fn find(mut nodes: &[Node], start: u64, end: u64, chosen: &mut Chosen) {
    // To the right by the loop, to the left by recursion: as deep as the logarithm of the ranges.
    loop {
        let middle = nodes.len() / 2;
        let (before, rest) = nodes.split_at(middle);
        let Some((root, after)) = rest.split_first() else {
            return;
        };
        if root.reach <= start {
            return;
        }
        find(before, start, end, chosen);
        if root.start >= end {
            return;
        }
        if root.end > start
            && let Some(word) = chosen.get_mut(usize::from(root.rule) / 64)
        {
            *word |= 1 << (root.rule % 64);
        }
        nodes = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DeviceFacts, Op, Rule, RuleSet, Sector};

    fn set(lbas: &[String]) -> RuleSet {
        let rules = lbas.iter().enumerate().map(|(n, lba)| {
            let words = format!("delay:1ms where op=read,lba={lba}");
            Rule::parse(&format!("r{n}"), &words).unwrap()
        });
        let facts = DeviceFacts::of_size(1 << 30);
        RuleSet::compile(1, 0, rules.collect(), None, &facts).unwrap()
    }

    proptest! {
        /// Against asking each rule.
        #[test]
        fn nothing_that_overlaps_is_missed_and_nothing_else_found(
            ranges in proptest::collection::vec((0_u64..200, 1_u64..60), 1..100),
            start in 0_u64..220,
            sectors in 1_u32..60,
        ) {
            let lbas: Vec<String> = ranges.iter().map(|(s, n)| format!("{s}+{n}")).collect();
            let set = set(&lbas);
            let request = Request::new(Op::Read, Sector(start), sectors);
            let mut chosen = [0; WORDS];
            let words = set.index.choose(&request, &mut chosen);
            let found: Vec<usize> = (0..words * 64)
                .filter(|rule| chosen[rule / 64] >> (rule % 64) & 1 == 1)
                .collect();
            let end = start + u64::from(sectors);
            let expected: Vec<usize> = (0..ranges.len())
                .filter(|n| ranges[*n].0 < end && ranges[*n].0 + ranges[*n].1 > start)
                .collect();
            prop_assert_eq!(set.may_select(Op::Read, Sector(start), sectors), !expected.is_empty());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_operation_that_no_rule_is_about_asks_none() {
        let set = set(&["0+8".to_owned()]);
        let mut chosen = [0; WORDS];
        let write = Request::new(Op::Write, Sector(0), 8);
        assert_eq!(set.index.choose(&write, &mut chosen), 0);
        assert!(!set.may_select(Op::Write, Sector(0), 8));
    }

    #[test]
    fn a_rule_without_sectors_may_select_what_has_none() {
        let facts = DeviceFacts::of_size(1 << 30);
        let rules = ["ignore_flush", "fail where op=read,lba=0+8"]
            .into_iter()
            .enumerate()
            .map(|(n, words)| Rule::parse(&format!("r{n}"), words).unwrap())
            .collect();
        let set = RuleSet::compile(1, 0, rules, None, &facts).unwrap();
        assert!(set.may_select(Op::Flush, Sector(0), 0));
        let only = self::set(&["0+8".to_owned()]);
        assert!(!only.may_select(Op::Read, Sector(0), 0));
        assert!(!RuleSet::empty().may_select(Op::Read, Sector(0), 8));
    }
}
