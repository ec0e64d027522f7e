//! What the tests of decisions share.

use fault::{Counters, DeviceFacts, Op, Request, Rule, RuleSet, Sector, Status, Terminal};

/// A device of 512 MiB on which everything can be carried out.
pub(super) const FACTS: &DeviceFacts = &DeviceFacts {
    queues: 4,
    integrity: true,
    ..DeviceFacts::of_size(1 << 20)
};

/// A set of rules `r0`, `r1`, ...
pub(super) fn set(seed: u64, words: &[&str]) -> RuleSet {
    let rules = words.iter().enumerate();
    let rules = rules.map(|(n, words)| Rule::parse(&format!("r{n}"), words).unwrap());
    RuleSet::compile(1, seed, rules.collect(), None, FACTS).unwrap()
}

/// A read of 4 KiB.
pub(super) fn read(sector: u64) -> Request {
    Request::new(Op::Read, Sector(sector), 8)
}

/// A write of 4 KiB.
pub(super) fn write(sector: u64) -> Request {
    Request::new(Op::Write, Sector(sector), 8)
}

/// A flush.
pub(super) fn flush() -> Request {
    Request::new(Op::Flush, Sector(0), 0)
}

/// A failure that leaves the medium alone.
pub(super) fn failed(status: Status) -> Terminal {
    Terminal::Fail {
        status,
        effect: fault::Extent::NONE,
    }
}

pub(super) fn counters(set: &RuleSet, rule: usize) -> Counters {
    set.reports().nth(rule).unwrap().counters
}

/// What `matched` must be.
pub(super) fn sum(c: &Counters) -> u64 {
    let gates = c.not_armed + c.disabled + c.window;
    gates + c.skipped + c.prob_miss + c.exhausted + c.shadowed + c.fired
}

/// The numbers, from 1, of the requests on which a rule with this trigger fires, of so many reads.
pub(super) fn firings(trigger: &str, requests: u64) -> Vec<u64> {
    let set = set(1, &[&format!("fail when {trigger} with allow_inert=yes")]);
    let fires = |n: &u64| !set.decide(&read(*n), 0).is_pass();
    (1..=requests).filter(fires).collect()
}
