//! The lab's output is what its schema says, and each of its observers and invariants finds the defect that is
//! planted for it.

use api::DataPath;
use serde_json::{Value, json};

use super::schemas::{MATRIX, faults};
use crate::client_io::read_in_background;
use crate::daemon::Daemon;
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};
use crate::programs::{self, Ran};

pub(crate) const CASES: &[Case] = &[
    Case::new("lab::the_output_is_what_the_schema_says", schema).within(120),
    Case::new("lab::a_table_is_what_the_schema_says", table).within(120),
    Case::new("lab::an_order_is_drawn_from_the_seed", order).within(120),
    Case::new("lab::a_leaked_pin_is_found", || {
        finds(
            "planted-leak",
            "violated",
            "more pins were acquired than released",
        )
    }),
    Case::new("lab::a_process_that_is_left_is_found", || {
        finds("planted-leak", "violated", "left behind: process")
    }),
    Case::new("lab::a_warning_in_the_log_is_found", || {
        finds(
            "planted-warning",
            "violated",
            "the kernel logged: WARNING: CPU: 0 planted",
        )
    }),
    Case::new("lab::a_changed_source_is_found", || {
        finds(
            "planted-change",
            "changed",
            "source_changed is true, was false so far",
        )
    }),
    Case::new("lab::a_stale_destination_is_found", || {
        finds(
            "planted-stale",
            "violated",
            "what a read counts is what it filled",
        )
    }),
    Case::new("lab::a_look_before_completion_is_found", || {
        finds(
            "planted-early-look",
            "violated",
            "what the client took is what was read",
        )
    }),
    Case::new("lab::a_forgotten_hold_is_released", forgotten),
    Case::new("lab::an_interrupt_leaves_nothing_held", interrupted).within(240),
    Case::new("lab::a_task_in_state_d_is_found", asleep),
    Case::new("lab::who_is_not_root_is_told", unprivileged),
];

const SCHEMA: &str = include_str!("../../../docs/schemas/lab-run.schema.json");

fn lab(words: &[&str]) -> Ran {
    let none = std::path::Path::new("/nonexistent");
    programs::bvecctl(none, &[&["--json", "lab", "run"], words].concat())
}

fn lines(ran: &Ran) -> Vec<Value> {
    let lines = ran.out.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn schema() -> Outcome {
    let ran = lab(&["pin-destination", "read-only-destination", "--repeat", "2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut lines = lines(&ran);
    assert_eq!(lines.len(), 5, "{ran:?}");
    for line in &lines {
        assert_eq!(faults(SCHEMA, line), Vec::<String>::new(), "{line}");
    }
    assert_eq!(lines[4]["holds"], 4);
    // A defect in the output would be found.
    lines[0]["verdict"] = "maybe".into();
    lines[4]["holds"] = (-1).into();
    for wrong in [&lines[0], &lines[4]] {
        assert_ne!(faults(SCHEMA, wrong), Vec::<String>::new(), "{wrong}");
    }
    Outcome::Passed
}

/// A table of a real run, as `lab matrix` makes it in the host of a guest, put together from two shards.
fn table() -> Outcome {
    let names = ["pin-destination", "read-only-destination"];
    let ran = lab(&names);
    let outcomes = lines(&ran);
    let directory = tempfile::tempdir().unwrap();
    let shard = |part: usize| {
        let outcome = &outcomes[part - 1];
        let mut cell = outcome.clone();
        let fields = cell.as_object_mut().unwrap();
        fields.retain(|key, _| !["schema", "kernel", "seed"].contains(&key.as_str()));
        fields.extend([
            ("flaky".to_owned(), false.into()),
            ("verdicts".to_owned(), json!([outcome["verdict"]])),
            ("varied".to_owned(), json!([])),
        ]);
        let plan = json!({"revision": "x", "experiments": names, "repeat": 1, "seed": 0, "driver": null,
                          "judged_as": null});
        let column = json!({"asked": "newest", "kernel": outcome["kernel"], "accelerator": "tcg", "failed": null,
                            "duration_ns": 1, "cells": [cell]});
        let table = json!({"schema": 1, "kind": "lab-matrix", "plan": plan, "shards": [format!("{part}/2")],
                           "complete": false, "kernels": [column]});
        assert_eq!(faults(MATRIX, &table), Vec::<String>::new(), "{table}");
        let path = directory.path().join(format!("{part}.json"));
        std::fs::write(&path, table.to_string()).unwrap();
        path.display().to_string()
    };
    let [one, two] = [shard(1), shard(2)];
    let merge = |files: &[&str]| {
        let none = std::path::Path::new("/nonexistent");
        programs::bvecctl(none, &[&["--json", "lab", "merge"], files].concat())
    };
    let whole = merge(&[&one, &two]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let mut table = lines(&whole).remove(0);
    assert_eq!(faults(MATRIX, &table), Vec::<String>::new(), "{table}");
    assert_eq!(table["complete"], true, "{table}");
    table["kernels"][0]["cells"][0]["verdict"] = "maybe".into();
    assert_ne!(faults(MATRIX, &table), Vec::<String>::new());
    let lacking = merge(&[&one]);
    assert_eq!(lacking.code, Some(3), "{lacking:?}");
    assert!(
        lacking.err.contains("shard 2/2 is not there"),
        "{lacking:?}"
    );
    let twice = merge(&[&one, &one]);
    assert_eq!(twice.code, Some(2), "{twice:?}");
    assert!(twice.err.contains("answers pin-destination"), "{twice:?}");
    Outcome::Passed
}

/// The same seed gives the same order, another one another.
fn order() -> Outcome {
    let names = [
        "pin-source",
        "read-only-source",
        "no-access-source",
        "read-only-destination",
    ];
    let run = |seed: &str| {
        let ran = lab(&[&names[..], &["--seed", seed, "--repeat", "2"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let lines = lines(&ran).into_iter();
        let names = lines.filter_map(|line| Some(line["experiment"].as_str()?.to_owned()));
        names.collect::<Vec<_>>()
    };
    let [one, again, other] = ["5", "5", "6"].map(run);
    assert_eq!(one, again);
    assert_ne!(one, other);
    for round in one.chunks(names.len()) {
        for name in names {
            assert!(
                round.iter().any(|it| it == name),
                "{name} is not in {round:?}"
            );
        }
    }
    Outcome::Passed
}

fn finds(name: &str, verdict: &str, reason: &str) -> Outcome {
    let ran = lab(&[name]);
    let line = &lines(&ran)[0];
    if line["not_applicable"] == true {
        return Outcome::NotApplicable(line["reason"].as_str().unwrap_or("").to_owned());
    }
    let code = if verdict == "violated" { 1 } else { 3 };
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(line["verdict"], verdict, "{line}");
    let said = line["reason"].as_str().unwrap_or("");
    assert!(said.contains(reason), "{line}");
    assert_eq!(faults(SCHEMA, line), Vec::<String>::new(), "{line}");
    Outcome::Passed
}

fn forgotten() -> Outcome {
    let ran = lab(&["planted-forgotten-hold", "pin-source"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    Outcome::Passed
}

/// Ctrl-C at different moments: nothing is held, no process and no device is left.
fn interrupted() -> Outcome {
    use nix::sys::signal::{Signal, kill};
    for milliseconds in [0, 150, 400, 900] {
        let before = devices();
        let mut child = programs::command("bvecctl")
            .args([
                "lab",
                "run",
                "kill-sync",
                "kill-aio",
                "buffered-lock",
                "--repeat",
                "20",
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_for("a device of the lab's", || {
            (devices() > before).then_some(())
        });
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "after {milliseconds} ms");
        assert_eq!(devices(), before, "after {milliseconds} ms");
        let left = processes();
        assert!(left.is_empty(), "after {milliseconds} ms: {left:?}");
        // A killed process that waits for a request has no command line any more.
        wait_for("no task to be in state D", || {
            in_state_d().is_empty().then_some(())
        });
    }
    Outcome::Passed
}

/// What the test above relies on: a reader of a held request is found, and is none when it was released.
fn asleep() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    daemon.rule(device.id, "h", "hold:max=30s where op=read when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    wait_for("a task in state D", || {
        (!in_state_d().is_empty()).then_some(())
    });
    daemon.ask(api::call::heal(None));
    reader.join().unwrap().unwrap();
    wait_for("no task to be in state D", || {
        in_state_d().is_empty().then_some(())
    });
    daemon.ask(api::call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}

/// Tasks that wait uninterruptibly, but those of the kernel itself.
fn in_state_d() -> Vec<String> {
    /// include/linux/sched.h
    const PF_KTHREAD: u32 = 0x0020_0000;
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // A process may end while it is looked at.
        let Ok(tasks) = std::fs::read_dir(process.path().join("task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let Some((name, rest)) = stat.rsplit_once(") ") else {
                continue;
            };
            // State, parent, group, session, terminal, its group, flags.
            let mut fields = rest.split(' ');
            let waits = fields.next() == Some("D");
            let flags = fields.nth(5).and_then(|flags| flags.parse::<u32>().ok());
            if waits && flags.is_some_and(|flags| flags & PF_KTHREAD == 0) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

fn devices() -> usize {
    std::fs::read_dir("/sys/block").unwrap().count()
}

/// Puppets and daemons that live.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.starts_with("bvecctl-puppet") || line.contains("bvecd-lab-") {
            found.push(line);
        }
    }
    found
}

fn unprivileged() -> Outcome {
    use std::os::unix::process::CommandExt;
    let output = programs::command("bvecctl")
        .args(["lab", "run", "pin-source"])
        .uid(1000)
        .gid(1000)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("they need root"), "{said}");
    Outcome::Passed
}
