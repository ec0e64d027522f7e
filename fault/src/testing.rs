//! What the unit tests of several files share: rules of every shape.

use proptest::option;
use proptest::prelude::*;

use crate::{
    Action, Op, OpSet, Overlap, Ranges, Rule, Sector, SectorRange, Selector, Status, Then, Trigger,
};

fn any_status() -> impl Strategy<Value = Status> {
    proptest::sample::select(Status::all().collect::<Vec<_>>())
}

fn any_action() -> impl Strategy<Value = Action> {
    let then = prop_oneof![Just(Then::Release), any_status().prop_map(Then::Fail)];
    prop_oneof![
        any_status().prop_map(|status| Action::Fail { status }),
        (1..=crate::MAX_PARK_NS).prop_map(|ns| Action::Delay { ns }),
        (1..=crate::MAX_PARK_NS, then).prop_map(|(max_ns, then)| Action::Hold { max_ns, then }),
    ]
}

fn any_ranges() -> impl Strategy<Value = Ranges> {
    let range = (0..u64::MAX / 2, 1..u64::MAX / 2)
        .prop_map(|(start, sectors)| SectorRange::new(Sector(start), Sector(start + sectors)));
    proptest::collection::vec(range, 1..4).prop_filter_map("empty", |ranges| {
        Ranges::new(ranges.into_iter().flatten().collect())
    })
}

fn any_ops() -> impl Strategy<Value = OpSet> {
    proptest::sample::subsequence(Op::ALL.to_vec(), 1..=Op::ALL.len()).prop_map(|ops| {
        let (first, rest) = ops.split_first().unwrap();
        rest.iter()
            .fold(OpSet::only(*first), |set, op| set.union(OpSet::only(*op)))
    })
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let overlaps = [
        Overlap::Any,
        Overlap::Within,
        Overlap::Covers,
        Overlap::Exact,
    ];
    (
        any_ops(),
        option::of(any_ranges()),
        proptest::sample::select(overlaps.to_vec()),
    )
        .prop_map(|(op, lba, overlap)| Selector { op, lba, overlap })
}

fn any_trigger() -> impl Strategy<Value = Trigger> {
    let at_least_one = || option::of(1..u64::MAX);
    (
        option::of(0.0..=1.0),
        at_least_one(),
        at_least_one(),
        option::of(any::<u64>()),
        at_least_one(),
        option::of(any::<u64>()),
    )
        .prop_map(|(prob, nth, every, skip, count, seed)| Trigger {
            prob,
            nth,
            every,
            skip,
            count,
            seed,
        })
}

/// Any well-formed rule, whether or not it makes sense on a device.
pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    (
        "[a-z][a-z0-9._-]{0,9}",
        any_selector(),
        any_trigger(),
        any_action(),
    )
        .prop_map(|(name, selector, trigger, action)| Rule {
            name,
            selector,
            trigger,
            action,
        })
}
