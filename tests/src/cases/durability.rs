//! Flush and FUA reach what backs the device. The backing is a second device of ours, whose counters
//! say what arrived there.

use api::fault::Op;
use api::{DataPath, Device, TargetConfig, call};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new("durability::flush_reaches_the_backing_copy", || {
        flush(DataPath::Copy)
    }),
    Case::new("durability::flush_reaches_the_backing_user_copy", || {
        flush(DataPath::UserCopy)
    }),
    Case::new(
        "durability::flush_reaches_the_backing_auto_zero_copy",
        || flush(DataPath::AutoZeroCopy),
    ),
    Case::new("durability::fua_reaches_the_backing_copy", || {
        fua(DataPath::Copy)
    }),
    Case::new("durability::fua_reaches_the_backing_user_copy", || {
        fua(DataPath::UserCopy)
    }),
    Case::new("durability::fua_reaches_the_backing_auto_zero_copy", || {
        fua(DataPath::AutoZeroCopy)
    }),
    Case::new(
        "durability::a_failed_flush_below_fails_fsync_above",
        failed_flush,
    ),
    Case::new("durability::ram_and_null_advertise_no_cache", no_cache),
];

const SIZE: u64 = 4 << 20;

/// Two devices: the lower one on a file, the upper one on the lower one, buffered.
fn tower(daemon: &Daemon, path: DataPath, direct: bool) -> (Device, Device) {
    let (lower, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct,
    };
    let upper = daemon.add(&config(target, path));
    (lower, upper)
}

fn count(daemon: &Daemon, device: &Device, op: Op) -> u64 {
    let stats = daemon.ask(call::stats(device.id));
    stats.ops.iter().find(|stats| stats.op == op).unwrap().ios
}

fn flush(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (lower, upper) = tower(&daemon, path, false);
    let disk = Disk::open(&upper.path);
    disk.write(0, &[7; 4096]);
    // The upper device's backing is buffered: the data is in the page cache of the lower one.
    assert_eq!(count(&daemon, &lower, Op::Flush), 0);
    disk.file.sync_all().unwrap();
    assert!(
        count(&daemon, &upper, Op::Flush) >= 1,
        "no flush reached the upper device"
    );
    assert!(
        count(&daemon, &lower, Op::Flush) >= 1,
        "no flush reached the lower device"
    );
    assert!(
        count(&daemon, &lower, Op::Write) >= 1,
        "the data did not reach the lower device"
    );
    daemon.stop();
    Outcome::Passed
}

fn fua(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    for direct in [false, true] {
        let (lower, upper) = tower(&daemon, path, direct);
        // O_DSYNC with O_DIRECT on a device with FUA becomes a FUA write (`dio_bio_write_op`).
        let disk = Disk::open_with(&upper.path, libc::O_DIRECT | libc::O_DSYNC);
        let before = count(&daemon, &lower, Op::Write);
        disk.write(8192, &[9; 4096]);
        assert!(
            count(&daemon, &lower, Op::Write) > before,
            "the data stayed in the cache"
        );
        assert!(
            count(&daemon, &lower, Op::Flush) >= 1,
            "nothing made it durable below"
        );
        drop(disk);
        daemon.ask(call::delete_device(upper.id));
        daemon.ask(call::delete_device(lower.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// The other direction: an error of the backing's flush is not swallowed on its way up.
fn failed_flush() -> Outcome {
    let daemon = Daemon::start();
    let (lower, upper) = tower(&daemon, DataPath::Copy, false);
    daemon.rule(lower.id, "no-flush", "fail where op=flush");
    let disk = Disk::open(&upper.path);
    disk.write(0, &[7; 4096]);
    assert_eq!(errno(disk.file.sync_all()), libc::EIO);
    daemon.ask(call::heal(None));
    disk.write(0, &[8; 4096]);
    disk.file.sync_all().unwrap();
    daemon.stop();
    Outcome::Passed
}

fn no_cache() -> Outcome {
    let daemon = Daemon::start();
    let cache = |device: &Device| {
        let path = format!("/sys/block/ublkb{}/queue/write_cache", device.id);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let ram = daemon.add_ram(SIZE, DataPath::Copy);
    let null = daemon.add(&config(
        TargetConfig::Null { size_bytes: SIZE },
        DataPath::Copy,
    ));
    let (file, _) = daemon.add_loop(SIZE, DataPath::Copy);
    assert_eq!(cache(&ram), "write through");
    assert_eq!(cache(&null), "write through");
    assert_eq!(cache(&file), "write back");
    daemon.stop();
    Outcome::Passed
}
