//! `bvecctl bench` as a session: whole results, whatever happens meanwhile, and faults that stay apart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use api::{DataPath, StopRequest, call};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::daemon::{Daemon, block_devices};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs::{self, bvecctl};
use crate::scratch::Mounted;

use super::schemas::faults;

pub(crate) const CASES: &[Case] = &[
    Case::new("bench::a_session_is_whole", whole).within(120),
    Case::new("bench::faulted_requests_are_told_apart", apart).within(120),
    Case::new("bench::an_interrupt_keeps_what_is_finished", interrupted).within(120),
    Case::new("bench::a_device_that_vanishes", vanishes).within(120),
    Case::new("bench::failures_are_clear", failures).within(120),
];

pub(super) const RESULT: &str = include_str!("../../../docs/schemas/bench-result.schema.json");
const COMPARISON: &str = include_str!("../../../docs/schemas/bench-compare.schema.json");

/// A matrix of a few short runs.
pub(super) fn matrix(rounds: u32, runtime_ms: u32, groups: &str) -> String {
    format!(
        "version = 1\nname = \"test\"\nrounds = {rounds}\nruntime_ms = {runtime_ms}\nsize_mib = 4\n{groups}"
    )
}

pub(super) fn record(directory: &Path) -> Option<Value> {
    let text = fs::read(directory.join("result.json")).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

pub(super) fn runs(record: &Value) -> usize {
    let cells = record["cells"].as_array().unwrap();
    let runs = |cell: &Value| cell["runs"].as_array().unwrap().len();
    cells.iter().map(runs).sum()
}

/// Processes of this name.
pub(super) fn processes(name: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let named = all.filter(|entry| {
        fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    });
    named.count()
}

fn whole() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("small.toml");
    let groups = "[[group]]\ntarget = ['ram', 'loop']\n[[group]]\njob = ['log-flush-8k-qd1', 'jobs4-source-4k-qd8']\n";
    fs::write(&file, matrix(2, 200, groups)).unwrap();
    let out = directory.path().join("out");
    let (file, out_word) = (file.to_str().unwrap(), out.to_str().unwrap());
    bvecctl(&daemon.socket(), &["bench", "run", file, "--out", out_word]).good();
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    assert_eq!((runs(&found), found["complete"].as_bool()), (8, Some(true)));
    for cell in found["cells"].as_array().unwrap() {
        assert_eq!(cell["runs"][0]["round"], 1);
        assert!(out.join(cell["runs"][1]["raw"].as_str().unwrap()).is_file());
        assert!(
            cell["runs"][0]["series"]["iops"].as_array().unwrap().len() > 2,
            "{cell}"
        );
    }
    assert_eq!(block_devices(), Vec::<String>::new());
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.matches("<svg").count() >= 3,
        "fewer than three figures"
    );
    let result = out.join("result.json");
    let result = result.to_str().unwrap();
    let words = ["--json", "bench", "compare", result, result];
    let said: Value = serde_json::from_str(&bvecctl(&daemon.socket(), &words).good()).unwrap();
    assert_eq!(faults(COMPARISON, &said), Vec::<String>::new(), "{said}");
    assert_eq!(said["verdict"], "cannot_tell");
    daemon.stop();
    Outcome::Passed
}

/// A read in fifty is 50 ms late: those are found, and the others are as without the rule.
fn apart() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("late.toml");
    let groups = "[[group]]\n[[group]]\n[[group.mark]]\nat_ms = 0\n\
                  add = { late = 'delay:50ms where op=read when prob=2%' }\n";
    fs::write(&file, matrix(3, 1000, groups)).unwrap();
    let out = directory.path().join("out");
    let words = [
        "bench",
        "run",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    bvecctl(&daemon.socket(), &words).good();
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    let middle = |values: Vec<u64>| {
        let mut values = values;
        values.sort_unstable();
        values[values.len() / 2]
    };
    let p99 = |cell: &Value, pointer: &str| {
        let runs = cell["runs"].as_array().unwrap();
        middle(
            runs.iter()
                .map(|run| run.pointer(pointer).unwrap().as_u64().unwrap())
                .collect(),
        )
    };
    let cells = found["cells"].as_array().unwrap();
    let without = p99(&cells[0], "/percentiles_ns/p99");
    let clean = p99(&cells[1], "/split/clean/percentiles_ns/p99");
    let late = p99(&cells[1], "/split/faulted/percentiles_ns/p50");
    let all = p99(&cells[1], "/percentiles_ns/p99");
    assert!(late >= 49_000_000, "faulted requests took {late} ns");
    assert!(
        all >= 49_000_000,
        "the rule does not show in all requests: {all} ns"
    );
    // Runs of a second differ by half on a quiet host and by more on a busy one; requests that wait for the late
    // ones would take 50 ms beside that.
    let most = 3 * without + 5_000_000;
    assert!(clean < most, "clean {clean} ns, without {without} ns");
    for run in cells[1]["runs"].as_array().unwrap() {
        let split = &run["split"];
        assert!(split["faulted"]["ios"].as_u64().unwrap() > 0, "{split}");
        assert_eq!(split["events_lost"], 0);
        assert!(run["marks"][0]["what"].as_str().unwrap().contains("delay"));
    }
    daemon.stop();
    Outcome::Passed
}

/// A session that is running, once its first run is saved.
pub(super) fn begun(daemon: &Daemon, words: &[&str], out: &Path) -> Child {
    let child = started(daemon, words, out);
    wait_for("the first run", || {
        record(out).filter(|record| runs(record) > 0)
    });
    child
}

/// A session that has just been started.
pub(super) fn started(daemon: &Daemon, words: &[&str], out: &Path) -> Child {
    programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["bench", "run"])
        .args(words)
        .arg("--out")
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupted() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("long.toml");
    fs::write(
        &file,
        matrix(50, 500, "[[group]]\ntarget = ['ram', 'loop']\n"),
    )
    .unwrap();
    let out = directory.path().join("out");
    let child = begun(&daemon, &[file.to_str().unwrap()], &out);
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    assert_eq!(found["complete"], false);
    assert!(
        fs::read_to_string(out.join("report.html"))
            .unwrap()
            .contains("did not come to its end")
    );
    assert_eq!(processes("fio"), 0);
    assert_eq!(block_devices(), Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

fn vanishes() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, DataPath::Copy);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let words = [
        "rand-destination-4k-qd1",
        "--runtime",
        "1",
        "--rounds",
        "50",
    ];
    let child = begun(&daemon, &words, &out);
    daemon.ask(call::stop(device.id, &StopRequest::default()));
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains(&device.path), "{said}");
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    assert!(runs(&found) > 0);
    assert_eq!(processes("fio"), 0);
    daemon.ask(call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}

fn failures() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, DataPath::Copy);
    let directory = tempfile::tempdir().unwrap();
    let run = |path: Option<&str>, words: &[&str]| {
        let mut command = programs::command("bvecctl");
        command
            .arg("--socket")
            .arg(daemon.socket())
            .args(["bench", "run"])
            .args(words);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let ended = command.output().unwrap();
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stderr).into_owned(),
        )
    };
    let job = ["rand-destination-4k-qd1", "--runtime", "1", "--rounds", "1"];
    let (code, said) = run(Some("/nowhere"), &job);
    assert!(code == Some(4) && said.contains("not installed"), "{said}");

    let old = directory.path().join("fio");
    fs::write(&old, "#!/bin/sh\necho fio-3.16\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, said) = run(Some(directory.path().to_str().unwrap()), &job);
    assert!(
        code == Some(4) && said.contains("fio-3.16") && said.contains("3.33"),
        "{said}"
    );

    let wrong = directory.path().join("wrong.fio");
    fs::write(
        &wrong,
        "[wrong]\nrw=randread\nbs=4k\niodepth=1\nioengin=io_uring\n",
    )
    .unwrap();
    let (code, said) = run(None, &[wrong.to_str().unwrap(), "--rounds", "1"]);
    assert!(code == Some(2) && said.contains("ioengin"), "{said}");

    let full = Mounted::tmpfs(16 << 10);
    let out = full.path().join("out");
    let words = [job.as_slice(), &["--out", out.to_str().unwrap()]].concat();
    let (code, said) = run(None, &words);
    assert!(
        code == Some(125) && said.contains("No space left"),
        "{code:?} {said}"
    );
    daemon.ask(call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}
