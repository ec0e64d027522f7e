//! Flush and FUA reach what backs the device. The backing is a second device of ours, whose counters
//! say what arrived there.

use api::fault::Op;
use api::{DataPath, Device, DeviceConfig, TargetConfig, Transport, call};

use crate::cases::answers::combinations;
use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome};
use crate::scratch::Mounted;
use crate::tracing::Tracing;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "durability::flush_reaches_the_backing_on_every_path_and_transport",
        flush,
    )
    .within(120),
    Case::new(
        "durability::fua_reaches_the_backing_on_every_path_and_transport",
        fua,
    )
    .within(120),
    Case::new(
        "durability::a_plain_file_is_synced_for_flush_and_fua_only",
        plain_file,
    )
    .within(120),
    Case::new(
        "durability::a_failed_flush_below_fails_fsync_above",
        failed_flush,
    ),
    Case::new("durability::ram_and_null_advertise_no_cache", no_cache),
];

const SIZE: u64 = 4 << 20;

/// Two devices: the lower one on a file, the upper one on the lower one.
fn tower(daemon: &Daemon, path: DataPath, transport: Transport, direct: bool) -> (Device, Device) {
    let (lower, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct,
    };
    let upper = daemon.add(&DeviceConfig {
        transport,
        ..config(target, path)
    });
    (lower, upper)
}

fn remove(daemon: &Daemon, (lower, upper): (Device, Device)) {
    daemon.ask(call::delete_device(upper.id));
    daemon.ask(call::delete_device(lower.id));
}

fn count(daemon: &Daemon, device: &Device, op: Op) -> u64 {
    let stats = daemon.ask(call::stats(device.id));
    stats.ops.iter().find(|stats| stats.op == op).unwrap().ios
}

fn flush() -> Outcome {
    let daemon = Daemon::start();
    for (path, transport) in combinations(&daemon) {
        let tower = tower(&daemon, path, transport, false);
        let (lower, upper) = &tower;
        let what = format!("on {path} by {transport}");
        let disk = Disk::open(&upper.path);
        disk.write(0, &[7; 4096]);
        // The upper device's backing is buffered: the data is in the page cache of the lower one.
        assert_eq!(count(&daemon, lower, Op::Flush), 0, "{what}");
        disk.file.sync_all().unwrap();
        for (device, op) in [(upper, Op::Flush), (lower, Op::Flush), (lower, Op::Write)] {
            let came = count(&daemon, device, op);
            assert!(came >= 1, "no {op} reached {} {what}", device.path);
        }
        drop(disk);
        remove(&daemon, tower);
    }
    daemon.stop();
    Outcome::Passed
}

fn fua() -> Outcome {
    let daemon = Daemon::start();
    for (path, transport) in combinations(&daemon) {
        for direct in [false, true] {
            let tower = tower(&daemon, path, transport, direct);
            let (lower, upper) = &tower;
            let what = format!("on {path} by {transport}, direct {direct}");
            // O_DSYNC with O_DIRECT on a device with FUA becomes a FUA write (`dio_bio_write_op`).
            let disk = Disk::open_with(&upper.path, libc::O_DIRECT | libc::O_DSYNC);
            let before = count(&daemon, lower, Op::Write);
            disk.write(8192, &[9; 4096]);
            let written = count(&daemon, lower, Op::Write) - before;
            assert!(written >= 1, "the data stayed in the cache {what}");
            let flushed = count(&daemon, lower, Op::Flush);
            assert!(flushed >= 1, "nothing made it durable below {what}");
            drop(disk);
            remove(&daemon, tower);
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// What the file system of a plain file is asked. A flush arrives as one fdatasync, a FUA write as its own
/// (O_DSYNC ends in the same function), an ordinary write as none.
fn plain_file() -> Outcome {
    use std::os::unix::fs::MetadataExt;
    let Some(place) = Mounted::ext4() else {
        return Outcome::Skipped("the kernel's brd is missing".to_owned());
    };
    let Some(tracing) = Tracing::of("ext4/ext4_sync_file_enter") else {
        return Outcome::Skipped("the kernel's ext4 cannot be traced".to_owned());
    };
    let daemon = Daemon::start();
    let file = place.file("backing", SIZE);
    let inode = format!("ino {} ", std::fs::metadata(&file).unwrap().ino());
    let syncs = || {
        let mut lines = tracing.take();
        lines.retain(|line| line.contains(&inode));
        lines
    };
    for (path, transport) in combinations(&daemon) {
        for direct in [false, true] {
            let target = TargetConfig::Loop {
                file: file.clone(),
                direct,
            };
            let device = daemon.add(&DeviceConfig {
                transport,
                ..config(target, path)
            });
            let what = format!("on {path} by {transport}, direct {direct}");
            let disk = Disk::open(&device.path);
            let durable = Disk::open_with(&device.path, libc::O_DIRECT | libc::O_DSYNC);
            syncs();
            disk.write(0, &[7; 4096]);
            let unasked = syncs();
            assert!(
                unasked.is_empty(),
                "a write was made durable {what}: {unasked:?}"
            );
            let flushes = || {
                let came = count(&daemon, &device, Op::Flush);
                usize::try_from(came).unwrap()
            };
            let before = flushes();
            disk.file.sync_all().unwrap();
            let (came, found) = (flushes() - before, syncs());
            assert!(came > 0, "no flush came {what}");
            assert_eq!(found.len(), came, "flushes {what}: {found:?}");
            let before = flushes();
            durable.write(8192, &[9; 4096]);
            // `blkdev_write_iter` sends a flush behind the FUA write; the write has one of its own. O_DIRECT on
            // a disk without a volatile cache is durable as it is (`iomap_dio_bio_opflags`).
            let (came, found) = (flushes() - before, syncs());
            let own = usize::from(!direct);
            assert_eq!(found.len(), came + own, "a FUA write {what}: {found:?}");
            drop((disk, durable));
            daemon.ask(call::delete_device(device.id));
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// The other direction: an error of the backing's flush is not swallowed on its way up.
fn failed_flush() -> Outcome {
    let daemon = Daemon::start();
    let (lower, upper) = tower(&daemon, DataPath::Copy, Transport::PerIo, false);
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
