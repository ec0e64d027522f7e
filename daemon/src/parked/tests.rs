use super::*;
use ublk::{Op, RequestFlags};

fn wait(tag: u16, due_ns: u64, hold_id: Option<u64>, rule: &str) -> Wait {
    let request = Request::new(tag, Op::Read, RequestFlags::empty(), 0, 8);
    Wait {
        hold_id,
        ..Wait::of(request, due_ns, Next::Serve, &mark(rule))
    }
}

fn mark(rule: &str) -> Mark {
    Mark {
        rule: Arc::from(rule),
        generation: 1,
        on_remove: OnRemove::Release,
    }
}

fn tags(parked: &mut Parked, which: &Which) -> Vec<u16> {
    std::iter::from_fn(|| parked.take_which(which))
        .map(|wait| {
            let tag = wait.request.tag();
            wait.request.abandon();
            tag
        })
        .collect()
}

#[test]
fn the_earliest_comes_first_and_the_table_knows_when() {
    let mut parked = Parked::new(4);
    assert_eq!(parked.next_due_ns(), None);
    parked.park(wait(2, 300, None, "a"));
    parked.park(wait(0, 100, None, "a"));
    assert_eq!(parked.next_due_ns(), Some(100));
    assert!(parked.take_due(99).is_none());
    let first = parked.take_due(100).unwrap();
    assert_eq!(first.request.tag(), 0);
    first.request.abandon();
    assert_eq!(parked.next_due_ns(), Some(300));
    assert_eq!(tags(&mut parked, &Which::Everything), [2]);
    assert!(parked.is_empty());
    assert_eq!(parked.next_due_ns(), None);
}

#[test]
fn choices_take_what_they_name() {
    let mut parked = Parked::new(8);
    for (tag, hold_id, rule) in [(0, Some(7), "a"), (1, None, "a"), (2, Some(9), "b")] {
        parked.park(wait(tag, 100, hold_id, rule));
    }
    assert_eq!(tags(&mut parked, &Which::Hold(8)), Vec::<u16>::new());
    assert_eq!(tags(&mut parked, &Which::Rule("a".into())), [0]);
    assert_eq!(tags(&mut parked, &Which::Held), [2]);
    assert_eq!(tags(&mut parked, &Which::Everything), [1]);
}

#[test]
fn what_hangs_has_no_time_and_can_be_let_go() {
    let mut parked = Parked::new(4);
    parked.park(wait(1, u64::MAX, None, "a"));
    assert_eq!(parked.next_due_ns(), None);
    assert!(parked.take_due(u64::MAX - 1).is_none());
    parked.park(wait(2, 500, None, "a"));
    assert_eq!(parked.next_due_ns(), Some(500));
    assert_eq!(tags(&mut parked, &Which::Everything), [1, 2]);
}

#[test]
fn a_group_is_taken_as_it_came() {
    let mut parked = Parked::new(8);
    let order = Some(Order { window: 3, draw: 9 });
    for (tag, rule) in [(5, "a"), (2, "a"), (7, "b"), (0, "a")] {
        parked.park(Wait {
            order,
            ..wait(tag, 100, None, rule)
        });
    }
    parked.park(wait(1, 100, None, "a"));
    assert_eq!(parked.group_len(&mark("a")), 3);
    let group = parked.take_group(&mark("a"));
    let came: Vec<u16> = group.iter().map(|wait| wait.request.tag()).collect();
    assert_eq!(came, [5, 2, 0]);
    group.into_iter().for_each(|wait| wait.request.abandon());
    assert_eq!(tags(&mut parked, &Which::Everything), [1, 7]);
}

#[test]
fn what_was_stored_stays_when_the_time_is_over() {
    for (poked, next, then) in [
        (false, Next::Serve, Next::Serve),
        (true, Next::Serve, Next::AsIs),
        (
            true,
            Next::Fail(fault::Status::Ioerr),
            Next::Fail(fault::Status::Ioerr),
        ),
    ] {
        let held = Wait {
            poked,
            next,
            ..wait(0, 100, Some(1), "a")
        };
        assert_eq!(held.expired(), then);
        held.request.abandon();
    }
}

#[test]
fn a_removed_rule_does_with_its_requests_as_it_says() {
    let mut parked = Parked::new(4);
    let fail = OnRemove::Fail(fault::Status::Timeout);
    for (tag, on_remove) in [(0, OnRemove::Expire), (1, fail), (2, OnRemove::Release)] {
        parked.park(Wait {
            on_remove,
            ..wait(tag, 100, None, "a")
        });
    }
    let none = fault::RuleSet::empty();
    let nexts: Vec<Next> = std::iter::from_fn(|| parked.take_orphan(&none))
        .map(|wait| {
            let next = wait.orphaned();
            wait.request.abandon();
            next
        })
        .collect();
    assert_eq!(nexts, [Next::Fail(fault::Status::Timeout), Next::Serve]);
    assert_eq!(tags(&mut parked, &Which::Everything), [0]);
}
