//! Counts that go on when a rule changes, rules that can do nothing, and what is waited for when one is removed.

use std::sync::mpsc;
use std::time::Duration;

use api::{ChangeOptions, DataPath, Decision, EventKind, Which, call};

use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::bvecctl;

pub(crate) const CASES: &[Case] = &[
    Case::new("fault_counts::an_edited_rule_keeps_its_counts", edit),
    Case::new("fault_counts::an_inert_rule_is_refused_unless_told", inert),
    Case::new("fault_counts::drain_waits_for_what_the_rule_touched", drain),
    Case::new("fault_counts::the_event_of_a_hold_names_it", named),
];

const SIZE: u64 = 1 << 20;

fn edit() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(
        device.id,
        "once",
        "fail:MEDIUM where op=read,lba=0+8 when count=1",
    );
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(0, 512)), libc::ENODATA);
    let words = "fail:MEDIUM where op=read,lba=8+8 when count=1";
    bvecctl(&daemon.socket(), &["fault", "edit", "once", words]).good();
    let rule = daemon.ask(call::rule(device.id, "once"));
    assert_eq!(
        (rule.counters.fired, rule.since),
        (1, 2),
        "its counts go on"
    );
    disk.read(8 * 512, 512);
    bvecctl(
        &daemon.socket(),
        &["fault", "edit", "once", words, "--reset"],
    )
    .good();
    let rule = daemon.ask(call::rule(device.id, "once"));
    assert_eq!(
        (rule.counters.matched, rule.since),
        (0, 4),
        "it starts again"
    );
    assert_eq!(errno(disk.try_read(8 * 512, 512)), libc::ENODATA);
    daemon.stop();
    Outcome::Passed
}

fn inert() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let words = ["fault", "add", "never", "fail where op=read when prob=0"];
    let said = bvecctl(&daemon.socket(), &words).ended_with(2);
    assert!(said.contains("expected"), "{said}");
    let words = [&words[..], &["--allow-inert"]].concat();
    bvecctl(&daemon.socket(), &words).good();
    Disk::open(&device.path).read(0, 512);
    let rule = daemon.ask(call::rule(device.id, "never"));
    assert!(rule.counters.fired == 0 && rule.rule.options.allow_inert);
    daemon.stop();
    Outcome::Passed
}

fn drain() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    // It stays held when its rule goes.
    let words = "hold where op=read,lba=0+8 with on_remove=expire";
    daemon.rule(device.id, "keeps", words);
    daemon.rule(device.id, "other", "hold where op=read,lba=8+8");
    let reader = read_in_background(&device.path, 0, 512);
    let another = read_in_background(&device.path, 8 * 512, 512);
    let holds = daemon.held(device.id, 2);
    let kept = holds
        .iter()
        .find(|hold| hold.rule == "keeps")
        .unwrap()
        .hold_id;
    let (sender, ended) = mpsc::channel();
    let socket = daemon.socket();
    let remover = std::thread::spawn(move || {
        let options = ChangeOptions {
            drain: true,
            ..ChangeOptions::default()
        };
        let client = api::BlockingClient::new(socket).unwrap();
        let changed = client.send(call::remove_rule(device.id, "keeps").under(&options));
        sender.send(()).unwrap();
        changed.unwrap()
    });
    crate::deadline::wait_for("the rule to be gone", || {
        (daemon.ask(call::rules(device.id)).rules.len() == 1).then_some(())
    });
    // It is gone, and what it holds is not: a grace that can only make the test miss a defect.
    assert!(ended.recv_timeout(Duration::from_millis(300)).is_err());
    daemon.release(device.id, Which::HoldId(kept));
    // That of the other rule is still held: it is in force, and is not waited for.
    ended.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(remover.join().unwrap().rules, 1);
    assert_eq!(reader.join().unwrap().unwrap().len(), 512);
    assert_eq!(daemon.held(device.id, 1)[0].rule, "other");
    bvecctl(&daemon.socket(), &["fault", "clear", "--drain"]).good();
    another.join().unwrap().unwrap();
    assert_eq!(daemon.ask(call::stats(device.id)).inflight, 0);
    daemon.stop();
    Outcome::Passed
}

/// The number is known only once the hold is listed, so an event that has it came after that.
fn named() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
    daemon.rule(device.id, "d", "delay:20ms where op=read,lba=8+8");
    daemon.rule(device.id, "late", "hold where op=read,lba=8+8");
    for (sector, kind) in [(0, EventKind::Fired), (8, EventKind::Released)] {
        let mut events = daemon.client.events(None, true).unwrap();
        let reader = read_in_background(&device.path, sector * 512, 512);
        let begun = loop {
            let event = events.next().unwrap().unwrap();
            let holds = event.decision == Some(Decision::Hold);
            if event.kind == kind && holds && event.hold_id.is_some() {
                break event;
            }
        };
        let hold_id = begun.hold_id.unwrap();
        let listed = daemon.ask(call::holds(device.id)).holds;
        assert!(
            listed.iter().any(|hold| hold.hold_id == hold_id),
            "{begun:?}: {listed:?}"
        );
        assert_eq!(daemon.release(device.id, Which::HoldId(hold_id)), [hold_id]);
        reader.join().unwrap().unwrap();
        let released = daemon.events(EventKind::Released);
        assert_eq!(released.last().unwrap().hold_id, Some(hold_id));
    }
    daemon.stop();
    Outcome::Passed
}
