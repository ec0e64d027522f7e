//! What holds for any rules and any requests.

use fault::{Flags, Op, Request, Rule, RuleSet, Sector};
use proptest::prelude::*;
use proptest::sample::select;

use super::support::{FACTS, counters, read, set, sum};

fn any_request() -> impl Strategy<Value = Request> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>());
    let place = (0_u64..4096, 1_u32..64, 0_u16..4, 0_u16..32);
    (select(Op::ALL.to_vec()), 0_u8..64, place, numbers).prop_map(
        |(op, flags, (sector, sectors, queue, tag), (inflight, ordinal, epoch))| {
            let (sector, sectors) = if op.has_sectors() {
                (sector, sectors)
            } else {
                (0, 0)
            };
            Request {
                op,
                flags: Flags::from_bits_truncate(flags),
                sector: Sector(sector),
                sectors,
                queue,
                tag,
                inflight,
                ordinal,
                epoch,
            }
        },
    )
}

/// Requests that no block layer makes.
fn absurd_request() -> impl Strategy<Value = Request> {
    (any_request(), any::<u64>(), any::<u32>()).prop_map(|(request, sector, sectors)| Request {
        sector: Sector(sector),
        sectors,
        ..request
    })
}

fn action() -> impl Strategy<Value = &'static str> {
    select(vec![
        "fail:MEDIUM",
        "fail(effect=prefix:3)",
        "fail(effect=torn:5/random)",
        "fail(effect=full)",
        "short(3)",
        "short(frac=0.3)",
        "delay:1ms",
        "delay(lognormal:1ms/20ms,at=complete)",
        "delay(normal:1ms/2ms,lanes=2)",
        "hang",
        "hold:5s",
        "drop",
        "corrupt(bits=3)",
        "corrupt(swap:512,ber=0.1)",
        "torn(parts=4,persist=1+3)",
        "torn(bytes=512+512,persist=random)",
        "misdirect(+8)",
        "misdirect(random)",
        "ignore_flush",
        "ignore_fua",
        "reorder(8)",
        "throttle(iops=100,bytes=1M)",
        "remove",
        "crash_server",
        "resize(1M)",
        "readonly",
        "pi(app)",
        "set_state(a)",
        "mark(m)",
        "notify",
    ])
}

fn selector() -> impl Strategy<Value = &'static str> {
    select(vec![
        "op=any",
        "op=read",
        "op=writes",
        "lba=100+200",
        "lba=0+8|1000+500|3000..3500",
        "lba=512+64,overlap=within",
        "lba=600+4,overlap=covers",
        "flags=fua",
        "flags=!meta",
        "size>=8",
        "size<4",
        "align=4K",
        "queue=2",
        "tag=5",
        "inflight>100",
        "epoch=5..",
        "lba=100+200,overlap=exact",
    ])
}

fn trigger() -> impl Strategy<Value = &'static str> {
    select(vec![
        "skip=0",
        "prob=0.3",
        "nth=3",
        "every=3",
        "seq=xwwxW",
        "count=3",
        "skip=2,every=2,prob=50%,count=4",
        "state=a",
        "after_mark=m",
        "from=op:100",
        "during=1s/1s",
        "rate=3/s",
        "until=epoch:9",
    ])
}

fn options() -> impl Strategy<Value = &'static str> {
    select(vec![
        "prio=0",
        "prio=3",
        "prio=-3",
        "final=yes",
        "ttl=1h",
        "arm=mark:m",
    ])
}

/// A set of rules that may be of no use, but that is accepted.
fn any_set() -> impl Strategy<Value = RuleSet> {
    let rule =
        (action(), selector(), trigger(), options()).prop_map(|(action, wher, when, with)| {
            format!("{action} where {wher} when {when} with {with},allow_inert=yes")
        });
    (any::<u64>(), proptest::collection::vec(rule, 1..8)).prop_filter_map(
        "refused",
        |(seed, words)| {
            let rules = words.iter().enumerate();
            let rules = rules.map(|(n, words)| Rule::parse(&format!("r{n}"), words).unwrap());
            RuleSet::compile(1, seed, rules.collect(), None, FACTS).ok()
        },
    )
}

/// The selector by its definition, apart from the code that decides.
fn selects(rule: &Rule, request: &Request) -> bool {
    let selector = &rule.selector;
    let asked = request.sector.0..request.end().0;
    let within = |lba: &fault::Ranges| {
        let mut sectors = asked.clone();
        let named = |sector: u64| {
            lba.iter()
                .any(|r| (r.start().0..r.end().0).contains(&sector))
        };
        let whole = |r: fault::SectorRange| asked.start <= r.start().0 && r.end().0 <= asked.end;
        match selector.overlap {
            fault::Overlap::Any => sectors.any(named),
            fault::Overlap::Within => request.sectors > 0 && sectors.all(named),
            fault::Overlap::Covers => lba.iter().any(whole),
            fault::Overlap::Exact => lba
                .iter()
                .any(|r| r.start().0 == asked.start && r.end().0 == asked.end),
        }
    };
    selector.op.contains(request.op)
        && rule.action.acts_on(request.op)
        && selector.lba.as_ref().is_none_or(within)
        && selector.flags.is_none_or(|test| test.holds(request.flags))
        && selector.size.is_none_or(|test| test.holds(request.sectors))
        && selector.queue.is_none_or(|queue| queue == request.queue)
        && selector.tag.is_none_or(|tag| tag == request.tag)
        && selector
            .inflight
            .is_none_or(|test| test.holds(u64::from(request.inflight)))
        && selector
            .epoch
            .is_none_or(|epochs| epochs.contains(request.epoch))
        && selector.align.is_none_or(|align| {
            request.op.has_sectors() && request.sector.0.is_multiple_of(align.0)
        })
}

proptest! {
    #[test]
    fn no_rule_fires_outside_its_selector_and_every_request_is_counted_once(
        set in any_set(),
        requests in proptest::collection::vec(any_request(), 1..60),
    ) {
        for (now_ns, request) in (0..).map(|n| n * 100_000_000).zip(&requests) {
            let before: Vec<u64> = set.reports().map(|r| r.counters.matched).collect();
            let foreseen = set.explain(request, now_ns, None).verdict;
            let verdict = set.decide(request, now_ns);
            prop_assert_eq!(foreseen, verdict);
            for (report, before) in set.reports().zip(before) {
                let matched = report.counters.matched - before;
                prop_assert!(matched <= 1);
                prop_assert!(matched == 0 || selects(&report.rule, request), "{}", report.rule);
                prop_assert_eq!(report.counters.matched, sum(&report.counters));
            }
            if let Some(rule) = verdict.rule {
                prop_assert!(selects(set.rule(rule).unwrap(), request));
            }
            for touch in verdict.corrupt.iter() {
                let mut bytes = vec![0; usize::try_from(request.bytes()).unwrap()];
                let direction = request.op.direction();
                set.corrupt(touch.rule, touch.draw, direction, request, &mut bytes);
            }
        }
    }

    #[test]
    fn same_seed_same_requests_same_verdicts(
        set in any_set(),
        requests in proptest::collection::vec(any_request(), 1..100),
    ) {
        let again = set.snapshot();
        let rules: Vec<Rule> = set.rules().cloned().collect();
        let two = RuleSet::restore(1, 9, rules.clone(), &Default::default(), FACTS).unwrap();
        let three = RuleSet::compile(1, 9, rules, None, FACTS).unwrap();
        for request in &requests {
            prop_assert_eq!(two.decide(request, 1), three.decide(request, 1));
        }
        prop_assert!(two.reports().eq(three.reports()));
        prop_assert_eq!(set.snapshot(), again);
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(
        set in any_set(),
        requests in proptest::collection::vec(absurd_request(), 1..50),
        now_ns: u64,
        draw: u64,
    ) {
        for request in &requests {
            let verdict = set.decide_with(request, now_ns, Some(&[1, 2, 3]));
            prop_assert!(verdict.due_ns >= now_ns);
            let _ = set.explain(request, now_ns, Some(&[]));
            let mut bytes = [0; 1000];
            for touch in verdict.corrupt.iter() {
                let direction = request.op.direction();
                set.corrupt(touch.rule, draw, direction, request, &mut bytes);
                set.corrupt_tuples(touch.rule, draw, request, 2, &mut bytes);
            }
        }
    }

    /// Of rules that all answer, the one of the highest prio does, of equal ones the first; those before it in that
    /// order only pass, and those behind it are shadowed.
    #[test]
    fn the_first_by_prio_and_place_answers(
        prios in proptest::collection::vec(-2_i32..3, 1..12),
        counts in proptest::collection::vec(1_u64..6, 12),
    ) {
        let words = |(prio, count): (&i32, &u64)| {
            format!("fail when count={count} with prio={prio},allow_inert=yes")
        };
        let words: Vec<String> = prios.iter().zip(&counts).map(words).collect();
        let set = set(1, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut order: Vec<usize> = (0..prios.len()).collect();
        order.sort_by_key(|rule| -prios[*rule]);
        let total: u64 = order.iter().map(|rule| counts[*rule]).sum();
        let mut answers = order
            .iter()
            .flat_map(|rule| std::iter::repeat_n(*rule, usize::try_from(counts[*rule]).unwrap()));
        for _ in 0..total + 2 {
            let name = set.decide(&read(0), 0).rule.map(|rule| set.rule(rule).unwrap().name.clone());
            prop_assert_eq!(name, answers.next().map(|rule| format!("r{rule}")));
        }
        // Reports come in the order of evaluation.
        for (place, rule) in order.iter().enumerate() {
            let report = counters(&set, place);
            prop_assert_eq!((report.fired, report.matched), (counts[*rule], total + 2));
        }
    }

    /// A window holds exactly what comes in it, whatever the others of the conjunction are.
    #[test]
    fn a_window_is_open_from_its_begin_to_its_end(
        from in 0_u64..40, len in 1_u64..40, up in 1_u64..7, down in 1_u64..7,
        requests in proptest::collection::vec(0_u64..100, 1..80),
    ) {
        let until = from + len;
        let words = format!("fail when from=op:{from},until=op:{until},during=op:{up}/op:{down}");
        let set = set(1, &[&words]);
        let mut outside = 0;
        // Requests are counted from the one that finds the rule armed.
        for ordinal in [0].iter().chain(&requests) {
            let request = Request { ordinal: *ordinal, ..read(0) };
            // As in dm-flakey: up is what goes well.
            let is_in = (from..until).contains(ordinal) && ordinal % (up + down) >= up;
            outside += u64::from(!is_in);
            prop_assert_eq!(!set.decide(&request, 0).is_pass(), is_in, "{} at {}", &words, ordinal);
        }
        prop_assert_eq!(counters(&set, 0).window, outside);
    }

    #[test]
    fn a_rule_does_not_disturb_another(
        seed: u64,
        requests in proptest::collection::vec(any_request(), 1..100),
    ) {
        let alone = set(seed, &["delay:1ms when prob=0.5"]);
        let beside = set(seed, &["delay:1ms when prob=0.5", "fail when prob=0.5"]);
        for request in &requests {
            let (one, two) = (alone.decide(request, 0), beside.decide(request, 0));
            prop_assert_eq!(one.submit_delay_ns, two.submit_delay_ns);
        }
    }
}
