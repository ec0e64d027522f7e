//! What each action makes of a verdict.

use fault::{
    CrashPoint, Extent, Flags, MAX_PARK_NS, Op, Request, Sector, Status, Terminal, Verdict,
    permutation,
};

use super::support::{failed, flush, read, set, write};

fn verdict(words: &str, request: &Request) -> Verdict {
    set(7, &[words]).decide(request, 1000)
}

fn ranges(extent: Extent) -> Vec<(u32, u32)> {
    extent
        .ranges()
        .map(|range| (range.start, range.end))
        .collect()
}

#[test]
fn terminals_carry_what_was_said() {
    let second = 1_000_000_000;
    for (words, request, terminal) in [
        ("fail(NOSPC)", write(0), failed(Status::Nospc)),
        ("hang", read(0), Terminal::Hang),
        ("drop", write(0), Terminal::Drop),
        ("ignore_flush", flush(), Terminal::IgnoreFlush),
        ("short(3)", read(0), Terminal::Short { sectors: 3 }),
        ("short(frac=50%)", read(0), Terminal::Short { sectors: 4 }),
        (
            "crash_server(after_media)",
            read(0),
            Terminal::Crash {
                point: CrashPoint::AfterMedia,
            },
        ),
        (
            "remove(graceful,return=5s)",
            read(0),
            Terminal::Remove {
                surprise: false,
                return_after_ns: Some(5 * second),
            },
        ),
        (
            "misdirect(+8)",
            write(16),
            Terminal::Misdirect {
                to: Sector(24),
                lost: true,
            },
        ),
    ] {
        assert_eq!(verdict(words, &request).terminal, terminal, "{words}");
    }
    let Terminal::Torn { keep, status } =
        verdict("torn(parts=2,persist=2,status=IOERR)", &write(0)).terminal
    else {
        panic!("not torn");
    };
    assert_eq!(
        (ranges(keep), status),
        (vec![(2048, 4096)], Some(Status::Ioerr))
    );
}

#[test]
fn a_failure_says_what_reaches_the_medium() {
    for (words, expected) in [
        ("fail(effect=full)", vec![(0, u32::MAX)]),
        ("fail(effect=prefix:2)", vec![(0, 1024)]),
        (
            "fail(scope=sectors) where lba=2+1",
            vec![(0, 1024), (1536, 4096)],
        ),
        ("badmap(wr_fail=1) where lba=7", vec![(0, 3584)]),
    ] {
        let Terminal::Fail { effect, .. } = verdict(words, &write(0)).terminal else {
            panic!("{words} does not fail");
        };
        assert_eq!(ranges(effect), expected, "{words}");
    }
}

#[test]
fn a_bad_sector_heals_when_it_is_written() {
    let set = set(0, &["badmap where lba=16+8", "delay:1ms where op=read"]);
    assert_eq!(set.decide(&read(0), 0).terminal, Terminal::Pass);
    assert_eq!(set.decide(&read(16), 0).terminal, failed(Status::Medium));
    let healing = set.decide(&write(16), 0);
    assert_eq!(
        (healing.terminal, healing.rule.is_some()),
        (Terminal::Pass, true)
    );
    assert_eq!(set.decide(&read(16), 0).terminal, Terminal::Pass);
    let found = super::support::counters(&set, 0);
    assert_eq!((found.matched, found.fired, found.exhausted), (3, 2, 1));
}

#[test]
fn modifiers_leave_the_request_to_the_target() {
    let fua = Request {
        flags: Flags::FUA,
        ..write(0)
    };
    let ignoring = verdict("ignore_fua", &fua);
    assert!(ignoring.ignore_fua && ignoring.terminal == Terminal::Pass);
    for words in [
        "resize(1M)",
        "readonly",
        "notify",
        "set_state(a)",
        "mark(b)",
    ] {
        let told = verdict(words, &read(0));
        assert_eq!(
            (told.signals.iter().count(), told.terminal),
            (1, Terminal::Pass),
            "{words}"
        );
    }
    assert_eq!(verdict("pi(ref)", &read(0)).corrupt.iter().count(), 1);
}

#[test]
fn delays_are_drawn_and_bounded() {
    let set = set(
        3,
        &[
            "delay(lognormal:1ms/20ms)",
            "delay(exponential:1ms,at=complete)",
        ],
    );
    let waits: Vec<(u64, u64)> = (0..100)
        .map(|n| set.decide(&read(n), 0))
        .map(|verdict| (verdict.submit_delay_ns, verdict.complete_delay_ns))
        .collect();
    let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
    assert_eq!(distinct.len(), 100);
    assert!(waits.iter().all(|(a, b)| *a > 0 && a + b < MAX_PARK_NS));
    let mut first: Vec<u64> = waits.iter().map(|(submit, _)| *submit).collect();
    first.sort_unstable();
    assert!((500_000..2_000_000).contains(&first[50]), "{}", first[50]);
}

#[test]
fn one_lane_serves_one_after_the_other() {
    let set = set(0, &["delay(10ms,lanes=1)"]);
    let due: Vec<u64> = (0..3).map(|n| set.decide(&read(n), 5).due_ns).collect();
    assert_eq!(due, [10_000_005, 20_000_005, 30_000_005]);
}

#[test]
fn a_throttle_keeps_its_rate_and_tells_only_of_waits() {
    let set = set(0, &["throttle(iops=1000,burst=3)"]);
    let verdicts: Vec<Verdict> = (0..5).map(|n| set.decide(&read(n), 0)).collect();
    let waits: Vec<u64> = verdicts
        .iter()
        .map(|verdict| verdict.submit_delay_ns)
        .collect();
    assert_eq!(waits, [0, 0, 0, 1_000_000, 2_000_000]);
    assert!(verdicts[0].is_pass() && !verdicts[4].is_pass());
    let bytes = super::support::set(0, &["throttle(bytes=4096000)"]);
    let waits: Vec<u64> = (0..3)
        .map(|n| bytes.decide(&read(n), 0).submit_delay_ns)
        .collect();
    assert_eq!(waits, [0, 1_000_000, 2_000_000]);
}

#[test]
fn a_reordering_has_an_order_of_its_own() {
    let Terminal::Reorder {
        window,
        hold_ns,
        draw,
    } = verdict("reorder(16)", &read(0)).terminal
    else {
        panic!("not reordered");
    };
    assert_eq!((window, hold_ns), (16, 5_000_000));
    let mut order: Vec<usize> = permutation(draw, 16).collect();
    order.sort_unstable();
    assert!(order.into_iter().eq(0..16));
}

#[test]
fn data_is_looked_at_when_it_is_there() {
    let set = set(0, &["drop where op=write,data=hex:dead@510"]);
    let mut data = [0; 4096];
    assert!(set.wants_payload(&write(0)) && !set.wants_payload(&read(0)));
    assert!(set.decide_with(&write(0), 0, Some(&data)).is_pass());
    data[510..512].copy_from_slice(&[0xde, 0xad]);
    assert_eq!(
        set.decide_with(&write(0), 0, Some(&data)).terminal,
        Terminal::Drop
    );
    assert!(set.decide(&write(0), 0).is_pass());
    assert!(!super::support::set(0, &["drop"]).wants_payload(&write(0)));
}

#[test]
fn a_misdirected_request_stays_on_the_device() {
    let set = set(5, &["misdirect(random)"]);
    for n in 0..1000 {
        let request = Request::new(Op::Write, Sector(n), 64);
        let Terminal::Misdirect { to, .. } = set.decide(&request, 0).terminal else {
            panic!("not misdirected");
        };
        assert!(to.0 + 64 <= 1 << 20);
    }
}
