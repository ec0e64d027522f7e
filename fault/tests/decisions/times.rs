//! Arming, states, marks, windows and rates.

use fault::{Request, RuleSet};

use super::support::{counters, flush, read, set, sum};

/// The numbers of the requests on which rule 0 fires; request `n` comes at `n` ms and is number `n` of the
/// device.
fn fired_of(set: &RuleSet, requests: u64) -> Vec<u64> {
    let asked = |n: &u64| {
        let request = Request {
            ordinal: *n,
            ..read(0)
        };
        !set.decide(&request, n * 1_000_000).is_pass()
    };
    (0..requests).filter(asked).collect()
}

#[test]
fn a_rule_waits_until_it_is_armed() {
    let set = set(0, &["fail when count=1 with arm=manual"]);
    assert!(set.decide(&read(0), 0).is_pass());
    assert!(set.arm("r0", 0) && !set.arm("r9", 0));
    assert!(!set.decide(&read(0), 0).is_pass());
    let found = counters(&set, 0);
    assert_eq!((found.not_armed, found.fired, found.matched), (1, 1, 2));
    set.disarm("r0");
    assert!(set.decide(&read(0), 0).is_pass());
    assert_eq!(counters(&set, 0).not_armed, 2);
}

#[test]
fn what_comes_before_arming_is_no_turn() {
    let set = set(0, &["fail when nth=2 with arm=manual"]);
    for _ in 0..5 {
        assert!(set.decide(&read(0), 0).is_pass());
    }
    set.arm("r0", 0);
    let fired: Vec<bool> = (0..3).map(|_| !set.decide(&read(0), 0).is_pass()).collect();
    assert_eq!(fired, [false, true, false]);
}

#[test]
fn a_disabled_rule_rests() {
    let set = set(0, &["fail"]);
    set.enable("r0", false);
    assert!(set.decide(&read(0), 0).is_pass());
    set.enable("r0", true);
    assert!(!set.decide(&read(0), 0).is_pass());
    assert_eq!(counters(&set, 0).disabled, 1);
}

#[test]
fn a_mark_arms_and_opens() {
    let set = set(
        0,
        &[
            "fail:MEDIUM where op=read with arm=mark:cut",
            "notify where op=read when after_mark=cut",
            "mark(cut) where op=flush when nth=2",
        ],
    );
    let step = || {
        let verdict = set.decide(&flush(), 0);
        (
            verdict.signals.iter().count(),
            set.decide(&read(0), 0).is_pass(),
        )
    };
    assert_eq!(
        (step(), step(), step()),
        ((0, true), (1, false), (0, false))
    );
    assert_eq!(set.history().marks().len(), 1);
    let first = counters(&set, 0);
    assert_eq!((first.not_armed, first.fired), (1, 2));
    assert_eq!(counters(&set, 1).window, 1);
}

#[test]
fn a_state_is_there_for_the_next_request() {
    // Each alone would undo the other at once, if it were there for this one.
    let set = set(
        0,
        &[
            "set_state(broken) when state=fine",
            "set_state(fine) when state=broken",
            "fail when state=broken",
        ],
    );
    set.history().set_state(&"fine".parse().unwrap());
    let seen: Vec<(bool, String)> = (0..4)
        .map(|_| {
            let failed = set.decide(&read(0), 0).terminal != fault::Terminal::Pass;
            (failed, set.history().state().unwrap().to_string())
        })
        .collect();
    let expected = [
        (false, "broken"),
        (true, "fine"),
        (false, "broken"),
        (true, "fine"),
    ];
    assert_eq!(
        seen,
        expected.map(|(failed, state)| (failed, state.to_owned()))
    );
}

#[test]
fn windows_open_and_close() {
    for (words, expected) in [
        ("from=3ms", &[3, 4, 5, 6, 7, 8, 9][..]),
        ("until=3ms", &[0, 1, 2]),
        ("from=op:3,until=op:5", &[3, 4]),
        ("from=2ms,until=op:4", &[2, 3]),
        ("during=3ms/1ms", &[3, 7]),
        ("during=3ms/1ms/2ms", &[1, 5, 9]),
        ("during=op:2/op:3", &[2, 3, 4, 7, 8, 9]),
        ("from=3ms,nth=2", &[4]),
        ("rate=1/3ms", &[0, 3, 6, 9]),
        ("rate=2/4ms", &[0, 1, 2, 4, 6, 8]),
    ] {
        let set = set(0, &[&format!("fail when {words}")]);
        set.start(0);
        assert_eq!(fired_of(&set, 10), expected, "{words}");
        let found = counters(&set, 0);
        assert_eq!((found.matched, sum(&found)), (10, 10), "{words}");
    }
    let short = set(0, &["fail with ttl=3ms"]);
    assert_eq!(fired_of(&short, 10), [0, 1, 2]);
    assert_eq!(counters(&short, 0).window, 7);
}

#[test]
fn time_counts_from_arming() {
    let set = set(0, &["fail when from=2ms,until=op:6 with arm=manual"]);
    let ask = |n: u64| {
        let request = Request {
            ordinal: n,
            ..read(0)
        };
        !set.decide(&request, n * 1_000_000).is_pass()
    };
    for _ in 0..10 {
        set.history().next_ordinal();
    }
    assert!((0..10).all(|n| !ask(n)));
    set.arm("r0", 10_000_000);
    let fired: Vec<u64> = (10..20).filter(|n| ask(*n)).collect();
    assert_eq!(fired, [12, 13, 14, 15]);
}

#[test]
fn epochs_are_counted_by_completed_flushes() {
    let set = set(
        0,
        &[
            "fail:MEDIUM where op=read,epoch=1..3",
            "notify when from=epoch:2",
        ],
    );
    set.start(0);
    let seen: Vec<(bool, bool)> = (0..4)
        .map(|epoch| {
            let verdict = set.decide(&Request { epoch, ..read(0) }, 0);
            (
                verdict.terminal != fault::Terminal::Pass,
                !verdict.signals.is_empty(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [(false, false), (true, false), (true, true), (false, true)]
    );
}
