//! How a device of the NBD client's ends: as asked, with its daemon, and when its daemon is killed.

use api::{DeviceState, ResizeRequest, StopRequest, call};

use super::{SIZE, need_nbd, on_file, ram, sysfs};
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::Daemon;
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};

pub(super) const CASES: &[Case] = &[
    Case::new("nbd::stopped_resumed_resized_deleted", verbs),
    Case::new("nbd::what_is_held_and_hangs_ends_with_sigterm", terminated),
    Case::new("nbd::a_killed_daemon_leaves_errors_and_no_waiters", killed),
    Case::new("nbd::a_deleted_device_has_written_its_cache", written_back),
    Case::new("nbd::two_daemons_share_the_numbers", two_daemons),
];

/// No `/dev/nbdN` is served any more.
pub(super) fn nothing_is_left() {
    let served = || {
        let entries = std::fs::read_dir("/sys/block").unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("nbd"))
            .filter(|entry| entry.path().join("pid").exists())
            .map(|entry| entry.file_name())
            .collect::<Vec<_>>()
    };
    wait_for("every /dev/nbdN to be free", || {
        served().is_empty().then_some(())
    });
}

fn verbs() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let (device, _) = on_file(&daemon);
    Disk::open(&device.path).write(0, &[7; 4096]);
    let request = ResizeRequest {
        size_bytes: 2 * SIZE,
    };
    daemon.ask(call::resize(device.id, &request));
    assert_eq!(sysfs(&device, "size") * 512, 2 * SIZE);
    let problem = daemon.refused(call::stop(device.id, &StopRequest { safe: true }));
    assert!(problem.detail.contains("without --safe"), "{problem}");
    // The first who opens it after a change of size looks for partitions, which a rule would see.
    drop(Disk::open(&device.path));
    // Stopping lets go what is held.
    daemon.rule(device.id, "h", "hold where op=read when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    daemon.ask(call::stop(device.id, &StopRequest { safe: false }));
    assert_eq!(reader.join().unwrap().unwrap(), [7; 4096]);
    assert_eq!(
        daemon.ask(call::device(device.id)).state,
        DeviceState::Stopped
    );
    nothing_is_left();
    daemon.ask(call::resume(device.id));
    assert_eq!(sysfs(&device, "size") * 512, 2 * SIZE);
    assert_eq!(Disk::open(&device.path).read(0, 4096), [7; 4096]);
    daemon.ask(call::delete_device(device.id));
    nothing_is_left();
    // Its number is free again.
    let again = ram(&daemon);
    assert_eq!(again.id, device.id);
    daemon.stop();
    nothing_is_left();
    Outcome::Passed
}

fn terminated() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let device = ram(&daemon);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
    daemon.rule(device.id, "x", "hang where op=read,lba=8+8");
    let held = read_in_background(&device.path, 0, 4096);
    let hangs = read_in_background(&device.path, 4096, 4096);
    daemon.held(device.id, 1);
    wait_for("a request that hangs", || {
        (daemon.ask(call::stats(device.id)).delayed == 1).then_some(())
    });
    // Open all the time, which must not keep the daemon.
    let open = Disk::open(&device.path);
    daemon.stop();
    held.join().unwrap().unwrap();
    hangs.join().unwrap().unwrap();
    assert!(open.try_read(0, 4096).is_err());
    drop(open);
    nothing_is_left();
    Outcome::Passed
}

fn killed() -> Outcome {
    let mut daemon = Daemon::start();
    need_nbd!(daemon);
    let device = ram(&daemon);
    daemon.rule(device.id, "h", "hold where op=read");
    let readers: Vec<_> = (0..8)
        .map(|number| read_in_background(&device.path, number * 4096, 4096))
        .collect();
    daemon.held(device.id, 8);
    let open = Disk::open(&device.path);
    // What is in the page cache only, too: nobody will take it.
    let cached = Disk::open_with(&device.path, 0);
    cached.write(64 << 10, &[1; 4096]);
    daemon.kill();
    for reader in readers {
        assert_eq!(errno(reader.join().unwrap()), libc::EIO);
    }
    assert!(open.try_read(0, 4096).is_err());
    drop((open, cached));
    nothing_is_left();
    // The next daemon takes the same number.
    let next = daemon.successor(&[]);
    let again = ram(&next);
    assert_eq!(again.id, device.id);
    assert_eq!(Disk::open(&again.path).read(0, 4096), [0; 4096]);
    next.stop();
    nothing_is_left();
    Outcome::Passed
}

fn written_back() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let (device, file) = on_file(&daemon);
    let cached = Disk::open_with(&device.path, 0);
    cached.write(4096, &[9; 4096]);
    assert_eq!(std::fs::read(&file).unwrap()[4096..8192], [0; 4096]);
    daemon.ask(call::delete_device(device.id));
    assert_eq!(std::fs::read(&file).unwrap()[4096..8192], [9; 4096]);
    drop(cached);
    daemon.stop();
    nothing_is_left();
    Outcome::Passed
}

fn two_daemons() -> Outcome {
    let one = Daemon::start();
    need_nbd!(one);
    let other = Daemon::start();
    let (first, second) = (ram(&one), ram(&other));
    assert_ne!(first.path, second.path);
    Disk::open(&first.path).write(0, &[1; 4096]);
    assert_eq!(Disk::open(&second.path).read(0, 4096), [0; 4096]);
    one.stop_leaving_others();
    assert_eq!(Disk::open(&second.path).read(0, 4096), [0; 4096]);
    other.stop();
    nothing_is_left();
    Outcome::Passed
}
