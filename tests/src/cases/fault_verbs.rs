//! The verbs of `bvecctl fault`: whole sets from files, conditions, changes in place.

use std::path::PathBuf;

use api::{ChangeOptions, DataPath, ProblemCode, RuleFile, call};

use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::bvecctl;

pub(crate) const CASES: &[Case] = &[
    Case::new("fault_verbs::apply_puts_a_whole_set_in_place", apply),
    Case::new(
        "fault_verbs::a_bad_file_is_located_and_changes_nothing",
        bad_files,
    ),
    Case::new("fault_verbs::another_generation_is_a_conflict", generations),
    Case::new("fault_verbs::a_rule_is_changed_in_its_place", edit),
    Case::new(
        "fault_verbs::a_rule_that_never_fired_ends_with_3",
        require_fired,
    ),
    Case::new("fault_verbs::a_dry_run_changes_nothing", dry_run),
];

const SIZE: u64 = 1 << 20;

const RULES: &str = "\
version = 1
seed = 42

[[rule]]
name = \"once\"
where = { op = [\"read\"], lba = \"16+8\" }
when = { count = 1 }
action = { fail = { status = \"MEDIUM\" } }

[[rule]]
name = \"full\"
where = { op = [\"write\"] }
action = { fail = { status = \"NOSPC\" } }
";

/// A file in the daemon's directory.
fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path: PathBuf = daemon.directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn apply() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "old", "fail where op=any");
    let path = file(&daemon, "rules.toml", RULES);
    let said = bvecctl(&daemon.socket(), &["fault", "apply", &path]).good();
    assert!(said.contains("2 rules now"), "{said}");
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(16 * 512, 4096)), libc::ENODATA);
    assert_eq!(errno(disk.try_write(0, &[1; 512])), libc::ENOSPC);
    assert_eq!(disk.read(16 * 512, 4096).len(), 4096);
    // What stays as it is keeps its counts; JSON is the same file in another form.
    let rules = daemon.ask(call::rules(device.id));
    let set = RuleFile::new(
        rules
            .rules
            .iter()
            .map(|status| status.rule.clone())
            .collect(),
    );
    let path = file(&daemon, "rules.json", &serde_json::to_string(&set).unwrap());
    bvecctl(&daemon.socket(), &["fault", "apply", &path]).good();
    let after = daemon.ask(call::rules(device.id));
    assert_eq!(after.generation, rules.generation + 1);
    assert_eq!(after.rules[0].counters, rules.rules[0].counters);
    assert_eq!(after.rules[0].counters.fired, 1);
    daemon.stop();
    Outcome::Passed
}

fn bad_files() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "old", "fail where op=write");
    let before = daemon.ask(call::rules(device.id));
    let beyond = RULES.replace("16+8", "9999+8");
    let twice = RULES.replace("\"full\"", "\"once\"");
    for (text, place, must_say) in [
        (RULES.replace("MEDIUM", "MEDUIM"), ":8:30:", "MEDUIM"),
        (RULES.replace("seed", "sede"), ":2:1:", "sede"),
        (RULES.replace("[\"write\"]", "[\"write\""), ":12:", ""),
        // These two are found by the daemon, which knows the device and the other rules.
        (beyond, ":6:32:", "below 2048"),
        (twice, ":11:8:", "once"),
    ] {
        let path = file(&daemon, "bad.toml", &text);
        let said = bvecctl(&daemon.socket(), &["fault", "apply", &path]).ended_with(2);
        assert!(
            said.contains(&format!("bad.toml{place}")),
            "{place}: {said}"
        );
        assert!(said.contains(must_say) && said.contains('^'), "{said}");
        let checked = bvecctl(&daemon.socket(), &["fault", "check", &path, "--dev", "0"]);
        assert_eq!(checked.ended_with(2), said);
        assert_eq!(daemon.ask(call::rules(device.id)), before);
    }
    let path = file(&daemon, "good.toml", RULES);
    let nowhere = "/none.sock".as_ref();
    let said = bvecctl(nowhere, &["fault", "check", &path]).good();
    assert!(said.contains("once: fail(status=MEDIUM)"), "{said}");
    bvecctl(nowhere, &["fault", "check", "/none.toml"]).ended_with(2);
    daemon.stop();
    Outcome::Passed
}

fn generations() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "a", "fail where op=write");
    let path = file(&daemon, "rules.toml", RULES);
    for words in [
        &["fault", "add", "b", "fail"][..],
        &["fault", "apply", &path],
        &["fault", "edit", "a", "fail"],
        &["fault", "rm", "a"],
        &["fault", "clear"],
    ] {
        let words = [words, &["--expect-gen", "77"]].concat();
        let said = bvecctl(&daemon.socket(), &words).ended_with(2);
        assert!(said.contains("generation 2 is in force, not 77"), "{said}");
    }
    let words = ["fault", "clear", "--expect-gen", "2"];
    let said = bvecctl(&daemon.socket(), &words).good();
    assert!(said.contains("generation 3, 0 rules now"), "{said}");
    daemon.stop();
    Outcome::Passed
}

fn edit() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    for (name, sector) in [("a", 0), ("b", 8), ("c", 16)] {
        let words = format!("fail:NOSPC where op=write,lba={sector}+8");
        daemon.rule(device.id, name, &words);
    }
    let words = ["fault", "edit", "b", "fail:TIMEOUT where op=read"];
    bvecctl(&daemon.socket(), &words).good();
    let rules = daemon.ask(call::rules(device.id)).rules;
    let names: Vec<&str> = rules
        .iter()
        .map(|status| status.rule.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(0, 512)), libc::ETIMEDOUT);
    let said = bvecctl(&daemon.socket(), &["fault", "edit", "d", "fail"]).ended_with(2);
    assert!(said.contains("one of a, b, c"), "{said}");
    daemon.stop();
    Outcome::Passed
}

fn require_fired() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=read");
    daemon.rule(device.id, "silent", "fail where op=write");
    assert!(Disk::open(&device.path).try_read(0, 512).is_err());
    let list = |more: &[&str]| {
        let words = [&["fault", "list"], more].concat();
        bvecctl(&daemon.socket(), &words)
    };
    list(&["--require-fired", "bad"]).good();
    let all = list(&["--require-fired"]);
    assert!(all.out.contains("silent"), "the list comes first: {all:?}");
    let said = all.ended_with(3);
    assert!(
        said.contains("`silent`") && !said.contains("`bad`"),
        "{said}"
    );
    list(&["--require-fired", "none"]).ended_with(2);
    daemon.stop();
    Outcome::Passed
}

fn dry_run() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let set: RuleFile = serde_json::from_str(
        r#"{"version":1,"rule":[{"name":"a","action":{"fail":{}}},
            {"name":"b","where":{"lba":"0+4096"},"action":{"fail":{}}}]}"#,
    )
    .unwrap();
    let options = ChangeOptions {
        dry_run: true,
        ..ChangeOptions::default()
    };
    let problem = daemon.refused(call::apply_rules(device.id, &set).under(&options));
    assert_eq!(problem.code, ProblemCode::InvalidField);
    assert_eq!(problem.pointer.as_deref(), Some("/rule/1/where/lba"));
    let good = RuleFile::new(vec![set.rule[0].clone()]);
    let changed = daemon.ask(call::apply_rules(device.id, &good).under(&options));
    assert_eq!((changed.generation, changed.rules), (2, 1));
    assert_eq!(daemon.ask(call::rules(device.id)).generation, 1);
    assert_eq!(Disk::open(&device.path).read(0, 512), [0; 512]);
    daemon.stop();
    Outcome::Passed
}
