//! Precedence: priority, terminals against modifiers, shadowing, final.

use fault::{Status, Terminal, Then};

use super::support::{counters, failed, read, set, write};

#[test]
fn delays_add_up_and_the_first_terminal_decides() {
    let words = [
        "delay:1ms",
        "fail:MEDIUM",
        "delay:2ms",
        "hold:5s,then=fail:TIMEOUT with allow_inert=yes",
        "delay(4ms,at=complete)",
    ];
    let set = set(0, &words);
    let verdict = set.decide(&read(0), 100);
    assert_eq!(verdict.submit_delay_ns, 3_000_000);
    assert_eq!(verdict.complete_delay_ns, 4_000_000);
    assert_eq!(verdict.due_ns, 3_000_100);
    assert_eq!(verdict.terminal, failed(Status::Medium));
    assert_eq!(set.rule(verdict.rule.unwrap()).unwrap().name, "r1");
    let held = counters(&set, 3);
    assert_eq!((held.shadowed, held.fired), (1, 0));
}

#[test]
fn a_higher_priority_decides() {
    let set = set(
        0,
        &[
            "fail:MEDIUM when count=9",
            "fail:NOSPC when count=1 with prio=1",
        ],
    );
    assert_eq!(set.decide(&read(0), 0).terminal, failed(Status::Nospc));
    assert_eq!(set.decide(&read(0), 0).terminal, failed(Status::Medium));
    assert_eq!(counters(&set, 1).shadowed, 1);
}

#[test]
fn final_ends_the_asking_only_when_it_fires() {
    let set = set(0, &["delay:1ms when every=2 with final=yes", "delay:2ms"]);
    let waits: Vec<u64> = (0..4)
        .map(|n| set.decide(&read(n), 0).submit_delay_ns)
        .collect();
    assert_eq!(waits, [2_000_000, 1_000_000, 2_000_000, 1_000_000]);
    assert_eq!(counters(&set, 1).matched, 2);
}

#[test]
fn a_hold_carries_its_end() {
    let verdict = set(0, &["hold:5s,then=fail:TIMEOUT"]).decide(&read(0), 0);
    let terminal = Terminal::Hold {
        max_ns: 5_000_000_000,
        then: Then::Fail(Status::Timeout),
    };
    assert_eq!(verdict.terminal, terminal);
    assert!(!verdict.is_pass());
}

#[test]
fn a_shadowed_rule_keeps_its_count() {
    let set = set(0, &["fail:MEDIUM when count=2", "fail:NOSPC when count=1"]);
    let terminals: Vec<Terminal> = (0..4).map(|n| set.decide(&read(n), 0).terminal).collect();
    let (medium, nospc) = (failed(Status::Medium), failed(Status::Nospc));
    assert_eq!(terminals, [medium, medium, nospc, Terminal::Pass]);
    let second = counters(&set, 1);
    assert_eq!((second.shadowed, second.fired, second.exhausted), (2, 1, 1));
}

#[test]
fn damage_piles_up_to_four_and_the_rest_is_shadowed() {
    let words: Vec<String> = (0..6).map(|n| format!("corrupt(bits={})", n + 1)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let set = set(0, &words);
    let verdict = set.decide(&read(0), 0);
    let touched: Vec<usize> = verdict
        .corrupt
        .iter()
        .map(|touch| touch.rule.get())
        .collect();
    assert_eq!(touched, [0, 1, 2, 3]);
    assert_eq!(
        (counters(&set, 3).fired, counters(&set, 4).shadowed),
        (1, 1)
    );
    assert_eq!(verdict.terminal, Terminal::Pass);
    assert_eq!(verdict.rule.map(fault::RuleIndex::get), Some(0));
}

#[test]
fn the_order_holds_whichever_way_rules_are_found() {
    // Rules with sectors come from the index, the others do not.
    let set = set(
        0,
        &[
            "fail:NOSPC where lba=100+100 when count=1",
            "fail:TIMEOUT when count=1",
            "fail:MEDIUM where lba=0+200 when count=1",
            "fail:TARGET where op=write when count=1",
        ],
    );
    let terminals: Vec<Terminal> = (0..5)
        .map(|_| set.decide(&write(100), 0).terminal)
        .collect();
    let expected = [
        Status::Nospc,
        Status::Timeout,
        Status::Medium,
        Status::Target,
    ]
    .map(failed);
    assert_eq!(terminals[..4], expected);
    assert_eq!(terminals[4], Terminal::Pass);
}
