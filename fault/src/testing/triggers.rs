//! Triggers and options of every shape.

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::actions::any_status;
use super::selectors::any_label;
use crate::{Arm, DrawBy, Interval, Moment, OnRemove, Options, Rate, Sequence, Trigger};

fn any_moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        any::<u64>().prop_map(Moment::Time),
        any::<u64>().prop_map(Moment::Op),
        any::<u64>().prop_map(Moment::Epoch),
    ]
}

fn any_interval() -> impl Strategy<Value = Interval> {
    let kind = select(vec![
        Moment::Time as fn(u64) -> Moment,
        Moment::Op,
        Moment::Epoch,
    ]);
    (kind, any::<u64>(), 1_u64.., of(any::<u64>())).prop_map(|(kind, up, down, phase)| Interval {
        up: kind(up),
        down: kind(down),
        phase: phase.map(kind),
    })
}

fn any_sequence() -> impl Strategy<Value = Sequence> {
    "[xw]{0,8}[XW]".prop_map(|text| text.parse().unwrap())
}

pub(super) fn any_trigger() -> impl Strategy<Value = Trigger> {
    let at_least_one = || of(1..u64::MAX);
    let rate = (1_u64.., 1_u64..).prop_map(|(count, per_ns)| Rate { count, per_ns });
    let when = (
        of(any_label()),
        of(any_label()),
        of(any_moment()),
        of(any_moment()),
        of(any_interval()),
    );
    let turns = (
        of(0.0..=1.0),
        at_least_one(),
        at_least_one(),
        of(any_sequence()),
        of(any::<u64>()),
        at_least_one(),
        of(rate),
        of(any::<u64>()),
    );
    (when, turns).prop_map(
        |(
            (state, after_mark, from, until, during),
            (prob, nth, every, seq, skip, count, rate, seed),
        )| {
            Trigger {
                state,
                after_mark,
                from,
                until,
                during,
                prob,
                nth,
                every,
                seq,
                skip,
                count,
                rate,
                seed,
            }
        },
    )
}

pub(super) fn any_options() -> impl Strategy<Value = Options> {
    let arm = prop_oneof![
        Just(Arm::Now),
        Just(Arm::Manual),
        any_label().prop_map(Arm::Mark)
    ];
    let on_remove = prop_oneof![
        Just(OnRemove::Release),
        Just(OnRemove::Expire),
        any_status().prop_map(OnRemove::Fail),
    ];
    (
        any::<i32>(),
        any::<bool>(),
        arm,
        select(DrawBy::ALL.to_vec()),
        on_remove,
        of(any::<u64>()),
        of(any::<u64>()),
        any::<bool>(),
    )
        .prop_map(
            |(prio, is_final, arm, draw, on_remove, ttl_ns, seed, allow_inert)| Options {
                prio,
                is_final,
                arm,
                draw,
                on_remove,
                ttl_ns,
                seed,
                allow_inert,
            },
        )
}
