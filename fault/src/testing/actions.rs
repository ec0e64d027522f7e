//! Actions of every shape.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::selectors::{any_label, any_range};
use crate::{
    Action, Bytes, Corruption, CrashPoint, Dist, Effect, Heal, Kind, MAX_PARK_NS, Persist, PiTag,
    Place, Point, Removal, Scope, Sector, Sectors, Side, Stage, Status, Then, Torn, Unit, Window,
};

pub(super) fn any_status() -> impl Strategy<Value = Status> {
    select(Status::all().collect::<Vec<_>>())
}

fn any_ns() -> impl Strategy<Value = u64> {
    1..=MAX_PARK_NS
}

fn any_dist() -> impl Strategy<Value = Dist> {
    let sorted = |(a, b): (u64, u64)| (a.min(b), a.max(b));
    let points = vec(any_ns(), 2..6).prop_map(|mut times| {
        times.sort_unstable();
        let last = times.len() - 1;
        let percent = |n: usize| 100.0 * n as f64 / last as f64;
        let point = |(n, ns)| Point {
            percent: if n == last { 100.0 } else { percent(n) },
            ns,
        };
        Dist::Table(times.into_iter().enumerate().map(point).collect())
    });
    prop_oneof![
        any_ns().prop_map(Dist::Fixed),
        any_ns().prop_map(Dist::Exponential),
        (any_ns(), any_ns())
            .prop_map(sorted)
            .prop_map(|(a, b)| Dist::Uniform(a, b)),
        (any_ns(), any_ns()).prop_map(|(mean_ns, sd_ns)| Dist::Normal { mean_ns, sd_ns }),
        (any_ns(), any_ns())
            .prop_map(sorted)
            .prop_map(|(p50_ns, p99_ns)| Dist::Lognormal { p50_ns, p99_ns }),
        (any_ns(), 0.1..=1000.0).prop_map(|(least_ns, shape)| Dist::Pareto { least_ns, shape }),
        points,
    ]
}

fn any_unit() -> impl Strategy<Value = Unit> {
    prop_oneof![
        select(vec![Unit::Byte, Unit::Sector, Unit::Block]),
        (1_u32..=1 << 20).prop_map(Unit::Bytes),
    ]
}

fn any_persist() -> impl Strategy<Value = Persist> {
    prop_oneof![Just(Persist::Random), any::<u16>().prop_map(Persist::Parts)]
}

fn any_effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::None),
        Just(Effect::Full),
        (1..u64::MAX).prop_map(|sectors| Effect::Prefix(Sectors(sectors))),
        (1_u16..=16, any_persist(), any_unit()).prop_map(|(parts, persist, unit)| Effect::Torn {
            parts,
            persist,
            unit
        }),
    ]
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        select(vec![
            Kind::Flip,
            Kind::Stuck0,
            Kind::Stuck1,
            Kind::Zero,
            Kind::Random
        ]),
        any::<u8>().prop_map(Kind::Set),
        (1_u8..).prop_map(Kind::Xor),
        (1_u32..=1 << 20).prop_map(Kind::Swap),
    ]
}

fn any_corruption() -> impl Strategy<Value = Corruption> {
    let window =
        (0..u64::MAX / 2, 1..u64::MAX / 2).prop_map(|(start, bytes)| Window { start, bytes });
    (
        select(Side::ALL.to_vec()),
        any_kind(),
        of(1_u32..=4096),
        of(0.0..=1.0),
        of(window),
        of(1_u32..=65536),
    )
        .prop_map(|(on, kind, places, ber, at, burst)| Corruption {
            on,
            kind,
            places,
            ber,
            at,
            burst,
        })
}

fn any_torn() -> impl Strategy<Value = Torn> {
    (
        of(1_u16..=16),
        of(vec(1_u32.., 1..5)),
        any_persist(),
        any_unit(),
        of(any_status()),
    )
        .prop_map(|(parts, bytes, persist, unit, status)| Torn {
            parts,
            bytes,
            persist,
            unit,
            status,
        })
}

fn any_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        (1_u64..).prop_map(Place::After),
        (1_u64..).prop_map(Place::Before),
        any::<u64>().prop_map(|sector| Place::At(Sector(sector))),
        of(any_range()).prop_map(Place::Random),
    ]
}

/// Actions on one request.
fn of_request() -> impl Strategy<Value = Action> {
    let then = prop_oneof![Just(Then::Release), any_status().prop_map(Then::Fail)];
    let heal = prop_oneof![
        select(vec![Heal::Write, Heal::Discard, Heal::Never]),
        (1_u8..=254).prop_map(Heal::After),
    ];
    prop_oneof![
        (any_status(), any_effect(), select(Scope::ALL.to_vec())).prop_map(
            |(status, effect, scope)| Action::Fail {
                status,
                effect,
                scope
            }
        ),
        (of(any::<u64>().prop_map(Sectors)), of(0.0..=1.0))
            .prop_map(|(sectors, frac)| Action::Short { sectors, frac }),
        (any_dist(), select(Stage::ALL.to_vec()), of(1_u16..=64))
            .prop_map(|(dist, at, lanes)| Action::Delay { dist, at, lanes }),
        (any_ns(), then).prop_map(|(max_ns, then)| Action::Hold { max_ns, then }),
        any_corruption().prop_map(Action::Corrupt),
        any_torn().prop_map(Action::Torn),
        (any_place(), any::<bool>()).prop_map(|(to, lost)| Action::Misdirect { to, lost }),
        (heal, 0_u8..=254, any_status()).prop_map(|(heal, wr_fail, status)| Action::Badmap {
            heal,
            wr_fail,
            status
        }),
    ]
}

/// Actions on more than one request.
fn of_device() -> impl Strategy<Value = Action> {
    let bytes = || of(any::<u64>().prop_map(Bytes));
    prop_oneof![
        (2_u16..=256, any_ns()).prop_map(|(window, hold_ns)| Action::Reorder { window, hold_ns }),
        (of(1_u64..), bytes(), of(1_u64..), bytes()).prop_map(
            |(iops, bytes, burst, burst_bytes)| Action::Throttle {
                iops,
                bytes,
                burst,
                burst_bytes
            }
        ),
        (select(Removal::ALL.to_vec()), of(any_ns()))
            .prop_map(|(how, return_ns)| Action::Remove { how, return_ns }),
        select(CrashPoint::ALL.to_vec()).prop_map(|point| Action::CrashServer { point }),
        any::<u64>().prop_map(|size| Action::Resize {
            size: Sectors(size)
        }),
        any::<bool>().prop_map(|on| Action::Readonly { on }),
        select(PiTag::ALL.to_vec()).prop_map(|tag| Action::Pi { tag }),
        any_label().prop_map(|state| Action::SetState { state }),
        any_label().prop_map(|label| Action::Mark { label }),
    ]
}

pub(super) fn any_action() -> impl Strategy<Value = Action> {
    let plain = vec![
        Action::Hang {},
        Action::Drop {},
        Action::IgnoreFlush {},
        Action::IgnoreFua {},
        Action::Notify {},
    ];
    prop_oneof![of_request(), of_device(), select(plain)]
}
