//! Rules that are switched while they are in force, what they say of a request, marks and states.

use api::{DataPath, call};
use serde_json::Value;

use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::bvecctl;

pub(crate) const CASES: &[Case] = &[
    Case::new("fault_switches::a_rule_is_armed_by_hand", armed),
    Case::new("fault_switches::a_disabled_rule_keeps_its_counts", disabled),
    Case::new("fault_switches::each_rule_says_why", explained),
    Case::new(
        "fault_switches::marks_and_states_are_waited_for",
        remembered,
    ),
];

const SIZE: u64 = 1 << 20;

fn armed() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(
        device.id,
        "once",
        "fail:MEDIUM where op=read when count=1 with arm=manual",
    );
    let disk = Disk::open(&device.path);
    for _ in 0..5 {
        disk.read(0, 512);
    }
    let before = daemon.ask(call::rule(device.id, "once"));
    assert!(!before.armed && before.counters.fired == 0, "{before:?}");
    let said = bvecctl(&daemon.socket(), &["fault", "list"]).good();
    assert!(said.contains("not armed"), "{said}");
    let said = bvecctl(&daemon.socket(), &["fault", "arm", "once"]).good();
    assert!(said.contains("armed and enabled"), "{said}");
    assert_eq!(errno(disk.try_read(0, 512)), libc::ENODATA);
    disk.read(0, 512);
    let after = daemon.ask(call::rules(device.id));
    assert_eq!(after.generation, 2, "arming is no new generation");
    assert_eq!(after.rules[0].counters.fired, 1);
    let said = bvecctl(&daemon.socket(), &["fault", "arm", "none"]).ended_with(2);
    assert!(said.contains("one of once"), "{said}");
    daemon.stop();
    Outcome::Passed
}

fn disabled() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=read");
    let disk = Disk::open(&device.path);
    assert!(disk.try_read(0, 512).is_err());
    bvecctl(&daemon.socket(), &["fault", "disable", "bad"]).good();
    disk.read(0, 512);
    let rule = daemon.ask(call::rule(device.id, "bad"));
    assert_eq!((rule.enabled, rule.counters.fired), (false, 1));
    bvecctl(&daemon.socket(), &["fault", "enable", "bad"]).good();
    assert!(disk.try_read(0, 512).is_err());
    daemon.stop();
    Outcome::Passed
}

fn explained() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    for (name, words) in [
        ("other", "delay:1ms where op=write"),
        ("later", "delay:1ms where op=read when skip=1"),
        ("bad", "fail:MEDIUM where op=read,lba=16+8"),
        ("shadow", "fail where op=read,lba=0+64"),
    ] {
        daemon.rule(device.id, name, words);
    }
    let explain = |words: &[&str]| -> Vec<(String, String)> {
        let words = [&["--json", "fault", "explain"], words].concat();
        let said = bvecctl(&daemon.socket(), &words).good();
        let answer: Value = serde_json::from_str(&said).unwrap();
        let rules = answer["rules"].as_array().unwrap().iter();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        rules
            .map(|rule| (word(&rule["rule"]), word(&rule["outcome"])))
            .collect()
    };
    let outcomes = |words: &[&str]| -> Vec<String> {
        explain(words)
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect()
    };
    let expected = ["not_selected", "skipped", "fires", "shadowed"];
    assert_eq!(outcomes(&["read", "16+8"]), expected);
    let expected = ["fires", "not_selected", "not_selected", "not_selected"];
    assert_eq!(outcomes(&["write", "16+8"]), expected);
    // Nothing was counted, so the answer is the same again, and the request meets what was said.
    assert_eq!(outcomes(&["read", "16+8"])[1], "skipped");
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(16 * 512, 4096)), libc::ENODATA);
    for (words, must_say) in [
        (&["read"][..], "no sectors"),
        (&["flush", "8"], "a flush has no sectors"),
        (&["reed", "8"], "expected read, write"),
    ] {
        let words = [&["fault", "explain"], words].concat();
        let said = bvecctl(&daemon.socket(), &words).ended_with(2);
        assert!(said.contains(must_say), "{said}");
    }
    daemon.stop();
    Outcome::Passed
}

fn remembered() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(
        device.id,
        "marked",
        "fail:NOSPC where op=read,lba=0+8 when after_mark=go",
    );
    daemon.rule(
        device.id,
        "in-state",
        "fail:TIMEOUT where op=read,lba=8+8 when state=broken",
    );
    let disk = Disk::open(&device.path);
    let fates = || {
        [
            disk.try_read(0, 512).is_ok(),
            disk.try_read(4096, 512).is_ok(),
        ]
    };
    assert_eq!(fates(), [true, true]);
    bvecctl(&daemon.socket(), &["mark", "go"]).good();
    assert_eq!(fates(), [false, true]);
    let said = bvecctl(&daemon.socket(), &["state", "broken"]).good();
    assert!(said.contains("broken") && said.contains("go"), "{said}");
    assert_eq!(fates(), [false, false]);
    bvecctl(&daemon.socket(), &["mark", "--forget"]).good();
    assert_eq!(fates(), [true, true]);
    let memory = daemon.ask(call::memory(device.id));
    assert_eq!((memory.state, memory.marks.len()), (None, 0));
    assert!(memory.requests >= 8, "{}", memory.requests);
    bvecctl(&daemon.socket(), &["mark", "no good"]).ended_with(2);
    daemon.stop();
    Outcome::Passed
}
