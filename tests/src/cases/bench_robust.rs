//! `bvecctl bench` when something goes wrong: results that were finished are kept whole, and nothing is left.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use api::call;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::daemon::{Daemon, block_devices};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs::bvecctl;
use crate::scratch::Mounted;

use super::bench_sessions::{RESULT, begun, matrix, processes, record, runs, started};
use super::schemas::faults;

pub(crate) const CASES: &[Case] = &[
    Case::new("bench::an_interrupt_at_any_moment", any_moment).within(180),
    Case::new("bench::a_disk_that_fills_up", fills_up).within(120),
    Case::new("bench::a_daemon_that_dies", dies).within(120),
    Case::new("bench::peers_are_compared_or_named", peers).within(180),
    Case::new("bench::late_requests_do_not_hold_up_others", others_go_on).within(240),
    Case::new("bench::shared_memory_is_shared", shared).within(120),
];

const STANDING: &str = include_str!("../../../docs/schemas/bench-peers.schema.json");

/// Loop devices that have a file.
fn loops() -> usize {
    let all = fs::read_dir("/sys/block").unwrap().flatten();
    all.filter(|entry| entry.path().join("loop/backing_file").exists())
        .count()
}

/// What a session that was ended says; nothing of it may be left.
fn ended(child: Child, out: &Path) -> (Option<i32>, String) {
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(processes("fio"), 0, "{said}");
    assert_eq!(loops(), 0, "{said}");
    if let Some(found) = record(out) {
        assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
        assert_eq!(found["complete"], false);
    }
    let names = fs::read_dir(out).into_iter().flatten().flatten();
    let left: Vec<_> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "{said}");
    (ended.status.code(), said)
}

/// Before a device, while one is made, in a warm-up, in a run, under rules, on a peer.
fn any_moment() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("long.toml");
    let groups = "[[group]]\ntarget = ['ram', 'loop']\n\
                  [[group]]\npeer = ['loop', 'null_blk']\n\
                  [[group]]\n[[group.mark]]\nat_ms = 0\n\
                  add = { late = 'delay:5ms where op=read' }\n";
    let text = matrix(50, 300, groups).replace("size_mib", "warm_up_ms = 100\nsize_mib");
    fs::write(&file, text).unwrap();
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    for (number, ms) in [0_u64, 120, 400, 900, 1700, 2600, 4200, 6000]
        .into_iter()
        .enumerate()
    {
        let out = directory.path().join(format!("out-{number}"));
        let child = started(&daemon, &[file.to_str().unwrap()], &out);
        // It heeds signals from its first output on; before that a signal ends it, as any program.
        thread::sleep(Duration::from_millis(ms));
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        kill(pid, signals[number % signals.len()]).unwrap();
        let (code, said) = ended(child, &out);
        assert!(
            code == Some(130) || (ms < 500 && code.is_none()),
            "{ms}: {code:?} {said}"
        );
        assert_eq!(block_devices(), Vec::<String>::new(), "{ms}: {said}");
    }
    daemon.stop();
    Outcome::Passed
}

fn fills_up() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("long.toml");
    fs::write(&file, matrix(50, 300, "[[group]]\n")).unwrap();
    let disk = Mounted::tmpfs(16 << 20);
    let out = disk.path().join("out");
    let child = begun(&daemon, &[file.to_str().unwrap()], &out);
    // Whatever is free is taken; that this fails at the end is its purpose.
    let _ = fs::write(disk.path().join("filler"), vec![1_u8; 32 << 20]);
    let (code, said) = ended(child, &out);
    assert!(
        code == Some(125) && said.contains("No space left"),
        "{code:?} {said}"
    );
    assert!(
        said.contains("result.json") || said.contains("raw/"),
        "{said}"
    );
    assert!(runs(&record(&out).unwrap()) > 0);
    assert_eq!(block_devices(), Vec::<String>::new(), "{said}");
    daemon.stop();
    Outcome::Passed
}

fn dies() -> Outcome {
    need_program!("fio");
    let mut daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("long.toml");
    fs::write(&file, matrix(50, 1000, "[[group]]\n")).unwrap();
    let out = directory.path().join("out");
    let child = begun(&daemon, &[file.to_str().unwrap()], &out);
    wait_for("fio to run again", || (processes("fio") > 0).then_some(()));
    daemon.kill();
    let (code, said) = ended(child, &out);
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("ublkb") || said.contains("bvecd"), "{said}");
    assert!(runs(&record(&out).unwrap()) > 0);
    // What the daemon has left is the next one's.
    let daemon = daemon.successor(&[]);
    daemon.ask(call::reap());
    wait_for("the device to go", || {
        block_devices().is_empty().then_some(())
    });
    daemon.stop();
    Outcome::Passed
}

fn peers() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("peers.toml");
    let groups = "[[group]]\npeer = ['bvecd', 'rublk', 'nbd', 'loop', 'null_blk', 'brd']\n\
                  target = ['null', 'loop']\n";
    fs::write(&file, matrix(3, 200, groups)).unwrap();
    let out = directory.path().join("out");
    let (file, out_word) = (file.to_str().unwrap(), out.to_str().unwrap());
    let words = ["--json", "bench", "peers", file, "--out", out_word];
    let said: Value = serde_json::from_str(&bvecctl(&daemon.socket(), &words).good()).unwrap();
    assert_eq!(faults(STANDING, &said), Vec::<String>::new(), "{said}");
    let named = |peer: &str| {
        let missing = said["missing"].as_array().unwrap().iter();
        missing.filter(|it| it["what"] == peer).count()
    };
    let compared = |peer: &str| {
        let rows = said["rows"].as_array().unwrap().iter();
        let name = format!(" / {peer}");
        rows.filter(|row| row["cell"].as_str().unwrap().contains(&name))
            .count()
    };
    // Whatever is asked for is compared or named, and never both or neither.
    for peer in ["rublk", "nbd", "loop", "null_blk", "brd"] {
        assert_ne!(compared(peer) > 0, named(peer) > 0, "{peer}: {said}");
    }
    assert!(compared("loop") == 1 && compared("null_blk") == 1, "{said}");
    for row in said["rows"].as_array().unwrap() {
        let ratio = &row["interval"];
        let value = |key: &str| ratio[key].as_f64().unwrap();
        assert!(
            value("low") <= value("ratio") && value("ratio") <= value("high"),
            "{row}"
        );
        assert_eq!(row["repeats"], serde_json::json!([3, 3]));
    }
    assert_eq!((block_devices(), loops()), (Vec::new(), 0));
    // A job is no matrix.
    let words = ["bench", "peers", "rand-destination-4k-qd1"];
    let refused = bvecctl(&daemon.socket(), &words).ended_with(2);
    assert!(refused.contains("no matrix"), "{refused}");
    daemon.stop();
    Outcome::Passed
}

/// A run under a scenario tells the requests that a rule fired on from the others, and those do not wait for
/// them. How much slower they are is measured (docs/bench.md) and no matter of a test: two runs on a busy host
/// differ by more than rules cost.
fn others_go_on() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, api::DataPath::Copy);
    let directory = tempfile::tempdir().unwrap();
    let scenario = directory.path().join("late.toml");
    let text = "version = 1\nname = \"late\"\n[[step]]\n\
                add = { late = \"delay:50ms where op=read when prob=1%\" }\n";
    fs::write(&scenario, text).unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let measure = |out: &str, more: &[&str]| {
        let out = at(out);
        let words = [
            "bench",
            "run",
            "rand-destination-4k-qd16",
            "--runtime",
            "2",
            "--rounds",
            "5",
            "--out",
            &out,
        ];
        bvecctl(&daemon.socket(), &[&words[..], more].concat()).good();
        format!("{out}/result.json")
    };
    let without = measure("without", &[]);
    let with = measure("with", &["--scenario", scenario.to_str().unwrap()]);
    let words = [
        "--json",
        "bench",
        "compare",
        &without,
        &with,
        "--metric",
        "clean-p99,p99",
    ];
    let ran = bvecctl(&daemon.socket(), &words);
    let said: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    let rows = said["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{said}");
    assert_eq!(rows[0]["metric"], "clean_p99");
    let with = record(Path::new(&at("with"))).unwrap();
    for run in with["cells"][0]["runs"].as_array().unwrap() {
        let side = |name: &str| &run["split"][name];
        let percentile =
            |name: &str, which: &str| side(name)["percentiles_ns"][which].as_u64().unwrap();
        let ios = |name: &str| side(name)["ios"].as_u64().unwrap();
        assert!(ios("faulted") > 0 && ios("clean") > 0, "{run}");
        let late = percentile("faulted", "p50");
        assert!(late > 49_000_000, "{run}");
        // Of a hundred one is late, and 15 are in flight beside it: if they waited, 15 of a hundred would be late.
        assert!(percentile("clean", "p90") < late, "{run}");
    }
    let page = fs::read_to_string(format!("{}/report.html", at("with"))).unwrap();
    assert!(page.contains("class=\"mark\"") && page.contains("late: delay:50ms"));
    daemon.ask(call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}

fn shared() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    if let Some(why) = daemon.lacks(api::DataPath::SharedMemory) {
        return Outcome::NotApplicable(why);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shared.toml");
    let groups = "[[group]]\ntarget = ['ram', 'loop']\ndata_path = ['shared-memory']\n\
                  job = ['rand-destination-4k-qd32', 'verify-4k-qd32', 'jobs4-source-4k-qd8']\n";
    fs::write(&file, matrix(1, 300, groups)).unwrap();
    let out = directory.path().join("out");
    let (file, out_word) = (file.to_str().unwrap(), out.to_str().unwrap());
    bvecctl(&daemon.socket(), &["bench", "run", file, "--out", out_word]).good();
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    assert_eq!(runs(&found), 4, "{found}");
    for cell in found["cells"].as_array().unwrap() {
        let run = &cell["runs"][0];
        let counts = &run["shared_memory"];
        assert_eq!(counts["copied"], 0, "{run}");
        assert!(counts["shared"].as_u64() >= run["ios"].as_u64(), "{run}");
        assert_eq!(run["verify_errors"], 0);
    }
    assert!(
        found["missing"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("same buffers")
    );
    daemon.stop();
    Outcome::Passed
}
