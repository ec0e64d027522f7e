//! Rules change thousands of times while fio runs, and nothing fails that no rule asked for.

use std::process::{Child, Stdio};

use api::fault::Rule;
use api::{DataPath, DeviceConfig, RuleFile, TargetConfig, call};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs;

pub(crate) const CASES: &[Case] =
    &[Case::new("rule_storm::thousands_of_sets_while_fio_runs", storm).within(1500)];

const SIZE: u64 = 64 << 20;

/// How many sets are put in place of each other; ten thousand in the full suite. Under emulation, where fio leaves
/// the server little of the CPUs, about nine a second are.
fn swaps() -> u64 {
    match std::env::var_os("BVECD_FULL") {
        Some(_) => 10_000,
        None => 1_000,
    }
}

/// A set whose rules match everything that fio does, and fail only what lies beyond.
fn set(number: u64) -> RuleFile {
    let rule = |name: &str, words: &str| Rule::parse(name, words).unwrap();
    let beyond = SIZE / 512;
    let mut rules = vec![
        rule("beyond", &format!("fail:MEDIUM where lba={}+8", beyond - 8)),
        rule(
            "turn",
            &format!("notify when nth={}", u64::MAX - number % 7),
        ),
    ];
    // Every other set holds what the one before did not, so that removal has something to let go.
    if number.is_multiple_of(2) {
        rules.push(rule("hold", "hold(max=5s) where op=read when every=500"));
    }
    RuleFile::new(rules)
}

fn start_fio(path: &str) -> Child {
    programs::command("fio")
        .args([
            "--name=storm",
            "--direct=1",
            "--rw=randrw",
            "--bs=4k",
            "--iodepth=32",
        ])
        .args([
            "--ioengine=libaio",
            "--numjobs=4",
            "--group_reporting",
            "--time_based",
        ])
        .args([
            "--runtime=600",
            "--size=60M",
            "--output-format=json",
            "--randrepeat=1",
        ])
        .arg(format!("--filename={path}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn storm() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let device = daemon.add(&DeviceConfig {
        queues: 4,
        depth: 32,
        data_path: DataPath::Copy,
        ..DeviceConfig::new(TargetConfig::Ram { size_bytes: SIZE })
    });
    let mut fio = start_fio(&device.path);
    let mut generation = daemon.ask(call::rules(device.id)).generation;
    let mut released = 0;
    for number in 0..swaps() {
        let changed = daemon.ask(call::apply_rules(device.id, &set(number)));
        assert_eq!(changed.generation, generation + 1, "swap {number}");
        generation = changed.generation;
        released += changed.released;
        let stats = daemon.ask(call::stats(device.id));
        for queue in &stats.queues {
            assert_eq!(
                queue.generation, generation,
                "queue {} at swap {number}",
                queue.queue
            );
        }
        assert!(
            fio.try_wait().unwrap().is_none(),
            "fio ended at swap {number}"
        );
    }
    daemon.ask(call::heal(None));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(fio.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = fio.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let job = &report["jobs"][0];
    assert_eq!(job["error"], 0, "{job}");
    assert_eq!(job["total_err"].as_u64().unwrap_or(0), 0);
    let ios =
        job["read"]["total_ios"].as_u64().unwrap() + job["write"]["total_ios"].as_u64().unwrap();
    assert!(ios > 1000, "only {ios} requests");
    let stats = daemon.ask(call::stats(device.id));
    assert_eq!(stats.ops.iter().map(|op| op.errors).sum::<u64>(), 0);
    assert_eq!((stats.held, stats.inflight), (0, 0));
    println!(
        "{} sets, {ios} requests, {released} let go by removal",
        swaps()
    );
    daemon.stop();
    Outcome::Passed
}
