//! Rules do what their words say, exactly. The files below are a table: each row an action, each column a data
//! path, each cell a test.

mod bench;
mod client;
mod crashing;
mod device_wide;
mod elsewhere;
mod failing;
mod lying;
mod protecting;
mod row;
mod table;
mod waiting;
mod watching;

use std::time::{Duration, Instant};

use api::fault::Op;
use api::{DataPath, call};

use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome, need_data_path};
use row::{Ground, PATHS, Row};

pub(crate) const CASES: &[Case] = &[
    Case::new("faults::a_medium_error_once_on_one_sector_copy", || {
        once(DataPath::Copy)
    }),
    Case::new(
        "faults::a_medium_error_once_on_one_sector_user_copy",
        || once(DataPath::UserCopy),
    ),
    Case::new(
        "faults::a_medium_error_once_on_one_sector_auto_zero_copy",
        || once(DataPath::AutoZeroCopy),
    ),
    Case::new("faults::every_status_arrives_as_its_errno", statuses),
    Case::new("faults::nth_and_count", nth_and_count),
    Case::new("faults::probability_is_repeatable", probability),
    Case::new(
        "faults::a_failed_write_leaves_the_medium_alone",
        failed_write,
    ),
    Case::new("faults::a_delay_delays_and_only_what_it_selects", delay),
    Case::new("faults::flush_and_discard_can_fail", other_ops),
    Case::new("faults::heal_ends_every_fault", heal),
    Case::new("faults::a_published_rule_is_in_force_at_once", published).within(90),
    Case::new("faults::events_tell_each_fault", events),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        failing::ROWS,
        lying::ROWS,
        waiting::ROWS,
        device_wide::ROWS,
        crashing::ROWS,
        protecting::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The cells of the table.
pub(crate) fn cells() -> Vec<Case> {
    let full = std::env::var_os("BVECD_FULL").is_some();
    let cells = rows().enumerate().flat_map(|(number, row)| {
        Ground::of_row(number, full).into_iter().map(move |ground| {
            let name = format!("faults::{}.{ground}", row.name);
            Case::made(name, move || bench::run(row, ground))
        })
    });
    let others = [elsewhere::CASES, watching::CASES, crashing::CASES]
        .into_iter()
        .flatten();
    cells.chain(others.copied()).collect()
}

const SIZE: u64 = 4 << 20;

fn once(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, _) = daemon.add_loop(SIZE, path);
    daemon.rule(
        device.id,
        "bad",
        "fail:MEDIUM where op=read,lba=2048 when count=1",
    );
    let disk = Disk::open(&device.path);
    let sector = |number: u64| number * 512;
    assert_eq!(disk.read(sector(2047), 512).len(), 512);
    assert_eq!(disk.read(sector(2049), 512).len(), 512);
    assert_eq!(errno(disk.try_read(sector(2048), 512)), libc::ENODATA);
    assert_eq!(
        disk.read(sector(2048), 512).len(),
        512,
        "the second read must succeed"
    );
    let rules = daemon.ask(call::rules(device.id)).rules;
    assert_eq!(rules[0].counters.fired, 1);
    assert_eq!(rules[0].counters.exhausted, 1);
    assert_eq!(daemon.ask(call::stats(device.id)).faults_fired, 1);
    daemon.stop();
    Outcome::Passed
}

fn statuses() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let mut tried = 0;
    for status in api::fault::Status::all() {
        // The block layer answers these two by trying again, without end (`blk_mq_requeue_request` in
        // response to BLK_STS_AGAIN and _RESOURCE concerns dispatch, not completion; a reader of a block
        // device sees EAGAIN and ENOMEM).
        let name = status.name();
        daemon.rule(device.id, "now", &format!("fail:{name} where op=read"));
        assert_eq!(errno(disk.try_read(0, 4096)), status.errno(), "{name}");
        daemon.ask(call::remove_rule(device.id, "now"));
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} statuses");
    assert_eq!(disk.read(0, 4096).len(), 4096);
    daemon.stop();
    Outcome::Passed
}

fn nth_and_count() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let failures = |reads: usize| -> Vec<usize> {
        (1..=reads)
            .filter(|_| disk.try_read(0, 512).is_err())
            .collect()
    };
    daemon.rule(device.id, "third", "fail where op=read when nth=3");
    assert_eq!(failures(8), [3]);
    daemon.ask(call::clear_rules(device.id));
    daemon.rule(device.id, "two", "fail where op=read when count=2");
    assert_eq!(failures(8), [1, 2]);
    daemon.ask(call::clear_rules(device.id));
    daemon.rule(device.id, "odd", "fail where op=read when every=4");
    assert_eq!(failures(9).len(), 2);
    daemon.stop();
    Outcome::Passed
}

fn probability() -> Outcome {
    let daemon = Daemon::start();
    let run = |seed: u64| -> Vec<bool> {
        let device = daemon.add_ram(SIZE, DataPath::Copy);
        let words = format!("fail where op=read when prob=30%,seed={seed}");
        daemon.rule(device.id, "maybe", &words);
        let disk = Disk::open(&device.path);
        let fates = (0..200).map(|_| disk.try_read(0, 512).is_err()).collect();
        drop(disk);
        daemon.ask(call::delete_device(device.id));
        fates
    };
    let first = run(5);
    assert_eq!(first, run(5), "the same seed must fail the same reads");
    assert_ne!(first, run(6), "another seed must fail others");
    let failed = first.iter().filter(|failed| **failed).count();
    assert!(
        (30..=90).contains(&failed),
        "30 % of 200 is about 60, not {failed}"
    );
    daemon.stop();
    Outcome::Passed
}

fn failed_write() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    disk.write(4096, &[1; 4096]);
    daemon.rule(device.id, "full", "fail:NOSPC where op=write,lba=8+8");
    assert_eq!(errno(disk.try_write(4096, &[2; 4096])), libc::ENOSPC);
    disk.write(8192, &[3; 4096]);
    let backing = std::fs::read(file).unwrap();
    assert_eq!(backing[4096..8192], [1; 4096]);
    assert_eq!(backing[8192..12288], [3; 4096]);
    daemon.stop();
    Outcome::Passed
}

fn delay() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    daemon.rule(device.id, "slow", "delay:300ms where op=read,lba=0+8");
    let time = |offset| {
        let begin = Instant::now();
        disk.read(offset, 4096);
        begin.elapsed()
    };
    let slow = time(0);
    assert!(slow >= Duration::from_millis(300), "only {slow:?}");
    // A neighbour is served while the slow one waits.
    let waiting = crate::client_io::read_in_background(&device.path, 0, 4096);
    let quick = time(4096);
    assert!(
        !waiting.is_finished() || quick < Duration::from_millis(300),
        "{quick:?}"
    );
    waiting.join().unwrap().unwrap();
    assert_eq!(daemon.ask(call::stats(device.id)).delayed, 0);
    daemon.stop();
    Outcome::Passed
}

fn other_ops() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    daemon.rule(device.id, "no-flush", "fail:TIMEOUT where op=flush");
    disk.write(0, &[1; 512]);
    assert_eq!(errno(disk.file.sync_all()), libc::ETIMEDOUT);
    daemon.rule(device.id, "no-discard", "fail where op=discard");
    let status = std::process::Command::new("blkdiscard")
        .args(["-o", "0", "-l", "65536", &device.path])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "the discard must fail");
    daemon.stop();
    Outcome::Passed
}

fn heal() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "all", "fail where op=any");
    daemon.rule(device.id, "slow", "delay:50s where op=write");
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(0, 512)), libc::EIO);
    let healed = daemon.ask(call::heal(None));
    assert_eq!((healed.devices, healed.rules_removed), (vec![device.id], 2));
    assert_eq!(disk.read(0, 512), [0; 512]);
    daemon.stop();
    Outcome::Passed
}

/// A thousand times: publish, read at once, expect the fault; no sleep in between.
fn published() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    for round in 0..200 {
        daemon.rule(device.id, "now", "fail where op=read");
        assert!(
            disk.try_read(0, 512).is_err(),
            "round {round}: not in force"
        );
        daemon.ask(call::clear_rules(device.id));
        assert!(
            disk.try_read(0, 512).is_ok(),
            "round {round}: still in force"
        );
    }
    daemon.stop();
    Outcome::Passed
}

fn events() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(
        device.id,
        "bad",
        "fail:MEDIUM where op=read,lba=16+8 when count=1",
    );
    let disk = Disk::open(&device.path);
    assert!(disk.try_read(8192, 4096).is_err());
    let events: Vec<_> = daemon
        .client
        .events(None, false)
        .unwrap()
        .map(|event| event.unwrap())
        .collect();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(
        numbers,
        (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "gaps"
    );
    let fired = events
        .iter()
        .find(|event| event.kind == api::EventKind::Fired)
        .unwrap();
    assert_eq!(fired.rule.as_deref(), Some("bad"));
    assert_eq!(
        (fired.op, fired.sector.map(|sector| sector.0)),
        (Some(Op::Read), Some(16))
    );
    let done = events
        .iter()
        .find(|event| event.kind == api::EventKind::Completed)
        .unwrap();
    assert_eq!(done.result, Some(-libc::ENODATA));
    daemon.stop();
    Outcome::Passed
}
