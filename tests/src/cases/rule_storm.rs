//! Rules change thousands of times while fio runs, and nothing fails that no rule asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Stdio};
use std::time::Instant;

use api::fault::Rule;
use api::{
    BlockingEvents, DataPath, Device, DeviceConfig, EventKind, RuleFile, TargetConfig, call,
};
use serde_json::Value;

use crate::cases::conformance::is_full;
use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs;

pub(crate) fn cases() -> [Case; 2] {
    let storm = Case::new("rule_storm::thousands_of_sets_while_fio_runs", storm);
    [
        storm.within(if is_full() { 7200 } else { 1500 }),
        Case::new("rule_storm::half_a_set_is_found", half),
    ]
}

const SIZE: u64 = 64 << 20;

/// The last block of the device, which fio leaves alone.
const BEYOND: u64 = SIZE - 4096;

/// How many events of a look are held against their sets.
const LOOKED_AT: usize = 150;

/// How many sets are put in place of each other; ten thousand in the full suite.
fn swaps() -> u64 {
    if is_full() { 10_000 } else { 500 }
}

/// A set whose rules match what fio does, and fail nothing of it as long as they are all there: the cover
/// fires on everything that the trap would fail, and is final. Each set has names of its own.
fn set(number: u64) -> RuleFile {
    let rule = |name: &str, words: &str| {
        let rule = Rule::parse(&format!("{name}-{number}"), words);
        rule.unwrap_or_else(|error| panic!("{}", error.render()))
    };
    let mut rules = vec![
        rule("cover", "notify where lba=0+4096 with prio=1,final=yes"),
        rule("trap", "fail:MEDIUM where lba=0+4096 with allow_inert=yes"),
        rule(
            "turn",
            &format!("notify when nth={}", u64::MAX - number % 7),
        ),
        // Keeps all of fio's requests in flight and the CPUs free, across the sets: emulated CPUs that are always
        // busy take turns of 100 ms each (QEMU, accel/tcg/tcg-accel-ops-rr.c), and a swap needs them all.
        rule(
            "pace",
            "delay(200ms) where lba=4096..122880 with on_remove=expire",
        ),
    ];
    // Every other set holds what the one before did not, so that removal has something to let go; and fails
    // what lies beyond.
    if number.is_multiple_of(2) {
        rules.push(rule(
            "hold",
            "hold where op=read,lba=8192..122880 when every=5",
        ));
        rules.push(rule(
            "beyond",
            &format!("fail:MEDIUM where lba={}+8", BEYOND / 512),
        ));
    }
    RuleFile::new(rules)
}

/// What is true of a device as soon as a set is in force.
fn in_force(daemon: &Daemon, device: &Device, number: u64, generation: u64) {
    for queue in &daemon.ask(call::stats(device.id)).queues {
        let (index, of) = (queue.queue, queue.generation);
        assert_eq!(of, generation, "queue {index} at swap {number}");
    }
    if number % 50 > 1 {
        return;
    }
    // A request that comes now is judged by this set, and no other.
    let read = Disk::open(&device.path).try_read(BEYOND, 4096);
    match number.is_multiple_of(2) {
        true => assert_eq!(errno(read), libc::ENODATA, "swap {number}"),
        false => assert_eq!(read.unwrap(), [0; 4096], "swap {number}"),
    }
    if !number.is_multiple_of(2) {
        // Nothing of this set holds; what the one before did would be held for a minute.
        daemon.held(device.id, 0);
    }
}

/// Each of these fired by the set whose generation it tells: the names of the rules tell it as well.
fn whole(events: BlockingEvents<'_>, first: u64) -> usize {
    let fired = events
        .map(Result::unwrap)
        .filter(|event| event.kind == EventKind::Fired);
    let judged = fired.take(LOOKED_AT).map(|event| {
        let rule = event.rule.as_deref().unwrap();
        let (name, number) = rule.rsplit_once('-').unwrap();
        let number: u64 = number.parse().unwrap();
        assert_eq!(event.generation, Some(first + number), "{event:?}");
        assert_ne!(name, "trap", "half a set: {event:?}");
    });
    judged.count()
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
            "--runtime=7200",
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
    let first = daemon.ask(call::rules(device.id)).generation + 1;
    let (mut released, mut fired, mut events) = (0, 0, None);
    let begin = Instant::now();
    for number in 0..swaps() {
        let changed = daemon.ask(call::apply_rules(device.id, &set(number)));
        assert_eq!(changed.generation, first + number, "swap {number}");
        released += changed.released;
        in_force(&daemon, &device, number, changed.generation);
        // What fires during a few sets, and not all that does: it takes longer to read than to make.
        match number % 50 {
            0 => events = Some(daemon.client.new_events().unwrap()),
            5 => fired += whole(events.take().unwrap(), first),
            _ => {}
        }
        assert!(
            fio.try_wait().unwrap().is_none(),
            "fio ended at swap {number}"
        );
    }
    let took = begin.elapsed();
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
    // Those that the test asked for, of every other set that it looked at.
    let asked_for = swaps().div_ceil(50);
    assert_eq!(stats.ops.iter().map(|op| op.errors).sum::<u64>(), asked_for);
    assert_eq!((stats.held, stats.inflight), (0, 0));
    assert!(released > 0, "no removal let anything go");
    assert!(
        fired > 100,
        "only {fired} requests were seen under the cover"
    );
    println!(
        "{} sets in {:.0} s, {ios} requests of fio, {released} let go by removal, {fired} events held against their set, \
         {asked_for} errors, all asked for",
        swaps(),
        took.as_secs_f64()
    );
    daemon.stop();
    Outcome::Passed
}

/// What the storm looks for: a set that lacks its cover fails a request, and its event does not pass for one of a
/// whole set.
fn half() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let device = daemon.add(&DeviceConfig::new(target));
    let mut half = set(0);
    half.rule.retain(|rule| !rule.name.starts_with("cover"));
    let events = daemon.client.new_events().unwrap();
    let first = daemon.ask(call::apply_rules(device.id, &half)).generation;
    let read = Disk::open(&device.path).try_read(0, 4096);
    assert_eq!(errno(read), libc::ENODATA);
    let judged = catch_unwind(AssertUnwindSafe(|| whole(events, first)));
    let said = *judged.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("half a set"), "{said}");
    daemon.stop();
    Outcome::Passed
}
