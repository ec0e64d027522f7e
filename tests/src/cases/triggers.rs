//! Each trigger fires on exactly the requests that it must, on a device; what the kernel reads of a new device uses up no rule.

use std::time::{Duration, Instant};

use api::fault::{Counters, Op, Rule};
use api::{
    DataPath, DeviceConfig, RememberRequest, StopRequest, SwitchRequest, TargetConfig, call,
};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config, shell};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new("triggers::by_requests_and_turns", table),
    Case::new("triggers::moments_count_every_request", moments),
    Case::new("triggers::epochs_since_it_was_armed", epochs),
    Case::new("triggers::turns_of_each_address", addresses),
    Case::new("triggers::times_since_it_was_armed", times),
    Case::new("triggers::rate", rate),
    Case::new("triggers::what_other_rules_set", set_by_rules),
    Case::new("triggers::probing_uses_up_no_rule", || probing(false)),
    Case::new("triggers::probing_of_partitions_uses_up_no_rule", || {
        probing(true)
    }),
    Case::new("triggers::a_scan_meets_no_rule_that_is_disarmed", scan),
];

const SIZE: u64 = 4 << 20;

fn counters(daemon: &Daemon, device: u32, rule: &str) -> Counters {
    daemon.ask(call::rule(device, rule)).counters
}

/// Which of so many reads fail, counted from 1.
fn failing(disk: &Disk, reads: u64) -> Vec<u64> {
    let fails = |_: &u64| disk.try_read(0, 512).is_err();
    (1..=reads).filter(fails).collect()
}

fn table() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    // What it fires on, and how many of twelve its window, its turns and its count let pass.
    for (when, fires, passed) in [
        ("from=op:9", &[10, 11, 12][..], [9, 0, 0]),
        (
            "from=op:0",
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            [0, 0, 0],
        ),
        ("until=op:3", &[1, 2, 3], [9, 0, 0]),
        ("from=op:2,until=op:5", &[3, 4, 5], [9, 0, 0]),
        ("during=op:3/op:2", &[4, 5, 9, 10], [8, 0, 0]),
        ("during=op:3/op:2/op:4", &[1, 5, 6, 10, 11], [7, 0, 0]),
        ("during=op:0/op:5,until=op:2", &[1, 2], [10, 0, 0]),
        ("from=op:2,count=2", &[3, 4], [2, 0, 8]),
        ("from=op:2,skip=1,every=3", &[6, 9, 12], [2, 7, 0]),
        ("during=op:4/op:4,nth=3", &[7], [8, 3, 0]),
        ("skip=2,seq=xwxW", &[3, 5], [0, 10, 0]),
        ("seq=wwX", &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [0, 2, 0]),
        ("skip=3,count=1", &[4], [0, 3, 8]),
    ] {
        daemon.rule(device.id, "t", &format!("fail where op=read when {when}"));
        assert_eq!(failing(&disk, 12), fires, "{when}");
        let counters = counters(&daemon, device.id, "t");
        let [window, skipped, exhausted] = passed;
        let expected = (12, fires.len() as u64, window, skipped, exhausted);
        let found = (
            counters.matched,
            counters.fired,
            counters.window,
            counters.skipped,
            counters.exhausted,
        );
        assert_eq!(found, expected, "{when}");
        daemon.ask(call::remove_rule(device.id, "t"));
    }
    daemon.stop();
    Outcome::Passed
}

/// Moments are of the device: also requests that no rule selects count, and none from before the rule was armed.
fn moments() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let words = "fail where op=read,lba=0 when from=op:4,until=op:8 with arm=manual";
    daemon.rule(device.id, "t", words);
    assert!(failing(&disk, 6).is_empty());
    let on = |armed| SwitchRequest {
        armed: Some(armed),
        enabled: None,
    };
    for round in 1..=2 {
        daemon.ask(call::switch_rule(device.id, "t", &on(true)));
        let fates = (0..5).filter(|_| {
            disk.write(1 << 20, &[1; 512]);
            disk.try_read(0, 512).is_err()
        });
        // The reads are requests 1, 3, 5, 7 and 9 since it was armed.
        assert_eq!(fates.count(), 2);
        assert_eq!(counters(&daemon, device.id, "t").fired, 2 * round);
        daemon.ask(call::switch_rule(device.id, "t", &on(false)));
    }
    assert_eq!(counters(&daemon, device.id, "t").not_armed, 6);
    daemon.stop();
    Outcome::Passed
}

fn epochs() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    disk.file.sync_all().unwrap();
    let words = "fail where op=read when from=epoch:1,until=epoch:2";
    daemon.rule(device.id, "e", words);
    for fails in [false, true, false, false] {
        let expected = if fails { vec![1, 2] } else { vec![] };
        assert_eq!(failing(&disk, 2), expected);
        disk.file.sync_all().unwrap();
    }
    assert_eq!(counters(&daemon, device.id, "e").fired, 2);
    daemon.stop();
    Outcome::Passed
}

fn addresses() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    daemon.rule(
        device.id,
        "a",
        "fail where op=read when nth=2 with draw=address",
    );
    let fates = [0, 1, 0, 2, 0, 2, 1].map(|block| disk.try_read(block * 4096, 4096).is_err());
    assert_eq!(fates, [false, false, true, false, false, true, true]);
    assert_eq!(counters(&daemon, device.id, "a").fired, 3);
    daemon.stop();
    Outcome::Passed
}

/// Nothing here can be too late, only too early: a busy machine makes nothing fail.
fn times() -> Outcome {
    const TIME: Duration = Duration::from_secs(2);
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let begin = Instant::now();
    for (name, words) in [
        ("from", "fail where op=read,lba=0 when from=2s"),
        ("until", "fail where op=read,lba=1 when until=2s"),
        ("during", "fail where op=read,lba=2 when during=2s/1h"),
        ("ttl", "fail where op=read,lba=3 with ttl=2s"),
    ] {
        daemon.rule(device.id, name, words);
    }
    let fails = |sector: u64| disk.try_read(sector * 512, 512).is_err();
    let fates = [0, 1, 2, 3].map(fails);
    if begin.elapsed() < TIME {
        assert_eq!(fates, [false, true, false, true]);
    }
    // Each until it has changed.
    for sector in 0..4 {
        let at_first = [1, 3].contains(&sector);
        while fails(sector) == at_first {
            assert!(begin.elapsed() < 10 * TIME, "sector {sector}: no change");
        }
        assert!(begin.elapsed() >= TIME, "sector {sector}: too early");
    }
    let fates = [0, 1, 2, 3].map(fails);
    assert_eq!(fates, [true, false, true, false]);
    daemon.stop();
    Outcome::Passed
}

fn rate() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    // Three at once, and the next one after 20 minutes.
    daemon.rule(device.id, "few", "fail where op=read when rate=3/1h");
    assert_eq!(failing(&disk, 40), [1, 2, 3]);
    let few = counters(&daemon, device.id, "few");
    assert_eq!((few.fired, few.exhausted, few.matched), (3, 37, 40));
    daemon.ask(call::clear_rules(device.id));
    // One in each second, however many come.
    daemon.rule(device.id, "one", "fail where op=read when rate=1/s");
    let (begin, mut passed) = (Instant::now(), 0);
    for _ in 0..3 {
        while disk.try_read(0, 512).is_ok() {
            passed += 1;
        }
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2), "three in {took:?}");
    let one = counters(&daemon, device.id, "one");
    assert_eq!((one.fired, one.exhausted), (3, passed));
    daemon.stop();
    Outcome::Passed
}

fn set_by_rules() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    for (name, words) in [
        (
            "enter",
            "set_state(state=bad) where op=write,lba=8 when state=start",
        ),
        (
            "leave",
            "set_state(state=start) where op=write,lba=9 when state=bad",
        ),
        ("say", "mark(label=go) where op=write,lba=10 when count=1"),
        ("in-state", "fail where op=read,lba=0 when state=bad"),
        (
            "marked",
            "fail where op=read,lba=1 when after_mark=go,count=2",
        ),
        (
            "armed",
            "fail where op=read,lba=2 when from=op:4 with arm=mark:go",
        ),
    ] {
        daemon.rule(device.id, name, words);
    }
    let fates = || [0, 1, 2].map(|sector| disk.try_read(sector * 512, 512).is_err());
    let write = |sector: u64| disk.write(sector * 512, &[1; 512]);
    assert_eq!(fates(), [false; 3]);
    write(8);
    assert_eq!(fates(), [true, false, false]);
    write(8);
    write(9);
    assert_eq!(fates(), [false; 3]);
    write(10);
    // The mark arms the rule when a request first comes to it, which is the third.
    assert_eq!(fates(), [false, true, false]);
    assert_eq!(fates(), [false, true, false]);
    assert_eq!(fates(), [false, false, true]);
    let fired = |name| counters(&daemon, device.id, name).fired;
    let names = ["enter", "leave", "say", "in-state", "marked", "armed"];
    assert_eq!(names.map(fired), [1, 1, 1, 1, 2, 1]);
    assert_eq!(counters(&daemon, device.id, "in-state").window, 5);
    assert_eq!(counters(&daemon, device.id, "enter").window, 1);
    assert_eq!(counters(&daemon, device.id, "armed").not_armed, 3);
    let forget = RememberRequest {
        forget: true,
        ..RememberRequest::default()
    };
    daemon.ask(call::remember(device.id, &forget));
    assert_eq!(fates(), [false, false, true], "what is armed stays armed");
    daemon.stop();
    Outcome::Passed
}

/// A table as DOS had it, with one partition from sector 2048 on.
fn partition_table() -> [u8; 512] {
    let mut table = [0; 512];
    table[450] = 0x83;
    table[454..458].copy_from_slice(&2048_u32.to_le_bytes());
    table[458..462].copy_from_slice(&4096_u32.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    table
}

/// A rule that fires once is there from the beginning, and the first read of a client meets it; also after the
/// block device has gone and come back.
fn probing(partitioned: bool) -> Outcome {
    let daemon = Daemon::start();
    // A kernel without the flag scans each device, some of them a while after it has appeared.
    let scans = daemon.lacks_flag("NO_AUTO_PART_SCAN").is_some();
    // And one before 7.3 has no way back for a device that was stopped.
    let resumes = daemon.lacks_flag("IO_DESC_SIZE").is_none();
    for data_path in [DataPath::Copy, DataPath::UserCopy] {
        if daemon.lacks(data_path).is_some() {
            continue;
        }
        let file = daemon.file(SIZE);
        if partitioned {
            let disk = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&disk, &partition_table(), 0).unwrap();
        }
        let target = TargetConfig::Loop {
            file,
            direct: false,
        };
        let words = "fail:MEDIUM where op=read when count=1";
        let device = daemon.add(&DeviceConfig {
            queues: 2,
            rules: vec![Rule::parse("once", words).unwrap()],
            ..config(target, data_path)
        });
        let reads = || {
            let ops = daemon.ask(call::stats(device.id)).ops;
            ops.iter()
                .filter(|op| op.op == Op::Read)
                .map(|op| op.ios)
                .sum::<u64>()
        };
        let untouched = |when: &str| {
            let counters = counters(&daemon, device.id, "once");
            assert_eq!((counters.matched, counters.fired), (0, 0), "{when}");
        };
        if scans {
            wait_for("the kernel's scan", || (reads() > 0).then_some(()));
        }
        untouched("added");
        if resumes {
            daemon.ask(call::stop(device.id, &StopRequest::default()));
            daemon.ask(call::resume(device.id));
            daemon.wait_for_node(&device);
            untouched("stopped and resumed");
        }
        let disk = Disk::open(&device.path);
        untouched("opened");
        assert_eq!(errno(disk.try_read(8192, 4096)), libc::ENODATA);
        disk.read(8192, 4096);
        let after = counters(&daemon, device.id, "once");
        assert_eq!((after.matched, after.fired), (2, 1));
        assert_eq!(after.first_fired.map(|sector| sector.0), Some(16));
    }
    daemon.stop();
    Outcome::Passed
}

/// A scan that a program asks for does meet rules, but not those that are not armed.
fn scan() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    Disk::open(&device.path).write(0, &partition_table());
    daemon.rule(device.id, "see", "notify where op=read,lba=0");
    daemon.rule(device.id, "once", "fail:MEDIUM where op=read when count=1");
    let switch = |armed| {
        let request = SwitchRequest {
            armed: Some(armed),
            enabled: None,
        };
        daemon.ask(call::switch_rule(device.id, "once", &request))
    };
    assert!(!switch(false).armed);
    let seen = counters(&daemon, device.id, "see").fired;
    shell(&format!("blockdev --rereadpt {}", device.path));
    let partition = format!("{}p1", device.path);
    wait_for("the partition", || std::fs::metadata(&partition).ok());
    assert!(counters(&daemon, device.id, "see").fired > seen, "no scan");
    let met = counters(&daemon, device.id, "once");
    assert!(met.fired == 0 && met.not_armed > 0, "{met:?}");
    assert!(switch(true).armed);
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(1 << 20, 4096)), libc::ENODATA);
    disk.read(1 << 20, 4096);
    let after = counters(&daemon, device.id, "once");
    assert_eq!((after.fired, after.not_armed), (1, met.not_armed));
    daemon.stop();
    Outcome::Passed
}
