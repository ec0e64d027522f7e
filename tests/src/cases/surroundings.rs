//! What goes wrong around a device: its backing is full, shortened, made read-only, removed, or asks to
//! be asked again for ever. Requests get the error, an event tells it, and the daemon goes on.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use api::fault::Op;
use api::{DataPath, Device, DeviceConfig, Event, EventKind, TargetConfig, call};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config, shell};
use crate::deadline::wait_for;
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};
use crate::scratch::Mounted;

pub(crate) const CASES: &[Case] = &[
    Case::new("surroundings::a_full_tmpfs_is_told_as_enospc_copy", || {
        full(DataPath::Copy)
    }),
    Case::new(
        "surroundings::a_full_tmpfs_is_told_as_enospc_user_copy",
        || full(DataPath::UserCopy),
    ),
    Case::new(
        "surroundings::a_full_tmpfs_is_told_as_enospc_auto_zero_copy",
        || full(DataPath::AutoZeroCopy),
    ),
    Case::new("surroundings::a_full_ext4_is_told_as_enospc", full_ext4),
    Case::new("surroundings::truncated_under_load_copy", || {
        truncated(DataPath::Copy)
    }),
    Case::new("surroundings::truncated_under_load_auto_zero_copy", || {
        truncated(DataPath::AutoZeroCopy)
    }),
    Case::new("surroundings::a_file_system_made_read_only", made_read_only),
    Case::new("surroundings::a_removed_backing_goes_on", removed),
    Case::new(
        "surroundings::a_backing_that_asks_again_for_ever",
        asks_again,
    ),
    Case::new("surroundings::sixty_four_devices_in_one_daemon", many).within(240),
    Case::new("surroundings::the_drivers_limit_is_named_to_root", limit),
    Case::new("surroundings::a_storm_of_errors_is_counted_whole", storm),
];

const MIB: u64 = 1 << 20;

fn on(file: PathBuf, path: DataPath) -> DeviceConfig {
    let direct = false;
    config(TargetConfig::Loop { file, direct }, path)
}

/// The events of a device's backing.
fn told(daemon: &Daemon, device: &Device) -> Vec<Event> {
    let events = daemon.events(EventKind::BackingError).into_iter();
    events
        .filter(|event| event.device == Some(device.id))
        .collect()
}

fn counted(daemon: &Daemon, device: &Device) -> u64 {
    daemon.ask(call::stats(device.id)).backing_errors
}

/// Writes until there is no space; the error and its event are `ENOSPC`, and what was written stays.
fn fill(daemon: &Daemon, device: &Device, size: u64) {
    let disk = Disk::open(&device.path);
    let piece = pattern(3, 64 << 10);
    let mut written = 0;
    let error = loop {
        assert!(written < size, "it never was full");
        match disk
            .try_write(written, &piece)
            .and_then(|()| disk.file.sync_all())
        {
            Ok(()) => written += piece.len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC), "{error}");
    assert!(written > 0, "it was full at once");
    let events = told(daemon, device);
    let first = events.first().expect("an event of the full backing");
    assert_eq!(first.result, Some(-libc::ENOSPC), "{first:?}");
    assert_eq!(first.op, Some(Op::Write), "{first:?}");
    assert_eq!(first.sector.map(|sector| sector.0), Some(written >> 9));
    assert!(counted(daemon, device) >= 1);
    for offset in (0..written).step_by(piece.len()) {
        assert_eq!(disk.read(offset, piece.len()), piece, "at {offset}");
    }
}

fn full(path: DataPath) -> Outcome {
    let place = Mounted::tmpfs(MIB);
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let file = place.file("backing", 4 * MIB);
    let device = daemon.add(&on(file, path));
    fill(&daemon, &device, 4 * MIB);
    // Zeroes that are to be kept allocated need space too.
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.zero_keeping(2 * MIB, MIB)), libc::ENOSPC);
    // Space that is given back can be used again.
    disk.zero(0, 512 << 10).unwrap();
    disk.write(3 * MIB, &pattern(4, 4096));
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn full_ext4() -> Outcome {
    let Some(place) = Mounted::ext4() else {
        return Outcome::Skipped("the kernel's brd is missing".to_owned());
    };
    let daemon = Daemon::start();
    let file = place.file("backing", 64 * MIB);
    let device = daemon.add(&on(file, DataPath::Copy));
    fill(&daemon, &device, 64 * MIB);
    daemon.stop();
    Outcome::Passed
}

fn truncated(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, file) = daemon.add_loop(4 * MIB, path);
    let backing = OpenOptions::new().write(true).open(file).unwrap();
    let disk = Disk::open(&device.path);
    let readers: Vec<_> = (0..4_u64)
        .map(|number| {
            let disk = Disk::open(&device.path);
            std::thread::spawn(move || {
                for round in 0_u64.. {
                    let offset = 2 * MIB + (number * 128 + round % 128) * 4096;
                    if let Err(error) = disk.try_read(offset, 4096) {
                        return error;
                    }
                }
                unreachable!("the loop ends by an error only");
            })
        })
        .collect();
    wait_for("the load to run", || {
        (daemon.ask(call::stats(device.id)).ops[0].ios > 50).then_some(())
    });
    backing.set_len(2 * MIB).unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap().raw_os_error(), Some(libc::EIO));
    }
    let events = told(&daemon, &device);
    assert!(!events.is_empty(), "nobody told");
    for event in events {
        assert_eq!(event.result, Some(-libc::EIO), "{event:?}");
        assert_eq!(event.op, Some(Op::Read), "{event:?}");
        assert!(event.sector.unwrap().0 >= (2 * MIB) >> 9, "{event:?}");
    }
    // What is left is served, and so is the rest when it is back.
    assert_eq!(disk.read(MIB, 4096), [0; 4096]);
    backing.set_len(4 * MIB).unwrap();
    assert_eq!(disk.read(3 * MIB, 4096), [0; 4096]);
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// A file system with a file open for writing cannot be remounted read-only; the kernel does it all the
/// same in an emergency (sysrq `u`), as file systems do on errors.
fn made_read_only() -> Outcome {
    let Some(place) = Mounted::ext4() else {
        return Outcome::Skipped("the kernel's brd is missing".to_owned());
    };
    let daemon = Daemon::start();
    let file = place.file("backing", 4 * MIB);
    let direct = true;
    let target = TargetConfig::Loop { file, direct };
    let device = daemon.add(&config(target, DataPath::Copy));
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(5, 4096));
    disk.file.sync_all().unwrap();
    let shown = place.path().display().to_string();
    let remount = shell(&format!("mount -o remount,ro {shown} 2>&1 || echo refused"));
    assert!(remount.contains("refused"), "{remount}");
    std::fs::write("/proc/sysrq-trigger", "u").unwrap();
    wait_for("the emergency remount", || {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts
            .lines()
            .find(|line| line.contains(&shown))?
            .to_owned();
        line.split(' ').nth(3)?.starts_with("ro").then_some(())
    });
    let error = disk
        .try_write(MIB, &pattern(6, 4096))
        .and_then(|()| disk.file.sync_all())
        .expect_err("a write reached a file system that is read-only");
    // The block layer has no word for EROFS; the event has.
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
    let events = told(&daemon, &device);
    assert_eq!(
        events.first().unwrap().result,
        Some(-libc::EROFS),
        "{events:?}"
    );
    assert_eq!(disk.read(0, 4096), pattern(5, 4096));
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn removed() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(4 * MIB, DataPath::Auto);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(8, 4096));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(disk.read(0, 4096), pattern(8, 4096));
    disk.write(MIB, &pattern(9, 4096));
    disk.file.sync_all().unwrap();
    assert_eq!(disk.read(MIB, 4096), pattern(9, 4096));
    assert_eq!(counted(&daemon, &device), 0);
    // A new file of that name is another file.
    std::fs::write(&file, "new").unwrap();
    disk.write(0, &pattern(10, 4096));
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// A device of ours on another one of ours, which answers `EAGAIN` forty times. io_uring itself asks a disk
/// again for as long as it answers that (`io_rw_should_reissue`, io_uring/rw.c); where it does not, we
/// do, sixteen times.
fn asks_again() -> Outcome {
    let daemon = Daemon::start();
    if daemon.lacks(DataPath::AutoZeroCopy).is_some() {
        // On Linux 6.12 the request never ended; whose fault that is, was not looked into.
        let why = "a disk that answers EAGAIN is asked again (kernel < 6.16)";
        return Outcome::NotApplicable(why.to_owned());
    }
    let lower = daemon.add_ram(4 * MIB, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct: true,
    };
    let upper = daemon.add(&config(target, DataPath::Copy));
    daemon.rule(lower.id, "again", "fail:AGAIN where op=read when count=40");
    let disk = Disk::open(&upper.path);
    let read = disk.try_read(0, 4096);
    let tries = daemon.ask(call::stats(lower.id)).faults_fired;
    match read {
        Ok(bytes) => assert_eq!((bytes, tries), (vec![0; 4096], 40)),
        Err(error) => {
            assert_eq!((error.raw_os_error(), tries), (Some(libc::EAGAIN), 17));
            assert_eq!(counted(&daemon, &upper), 1);
        }
    }
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn small() -> DeviceConfig {
    let target = TargetConfig::Null { size_bytes: MIB };
    DeviceConfig {
        depth: 4,
        ..config(target, DataPath::Copy)
    }
}

/// As many as the driver allows ordinary users, and on older kernels everybody, unless told.
fn many() -> Outcome {
    let daemon = Daemon::start();
    let devices: Vec<Device> = (0..64).map(|_| daemon.add(&small())).collect();
    for device in devices.iter().rev() {
        Disk::open(&device.path).write(0, &[1; 4096]);
    }
    let listed = daemon.ask(call::devices()).devices;
    assert_eq!(listed.len(), 64);
    // Stopping takes all of them away.
    daemon.stop();
    assert_eq!(crate::daemon::char_devices(), Vec::<String>::new());
    Outcome::Passed
}

/// Until Linux 6.14 `ublks_max` counts the devices of root too.
fn limit() -> Outcome {
    let most = "/sys/module/ublk_drv/parameters/ublks_max";
    let before = std::fs::read_to_string(most).unwrap();
    let daemon = Daemon::start();
    std::fs::write(most, "2").unwrap();
    let added: Vec<_> = (0..3)
        .map(|_| daemon.client.send(call::add_device(&small())))
        .collect();
    std::fs::write(most, before.trim()).unwrap();
    let last = added.into_iter().next_back().unwrap();
    let outcome = match last {
        Ok(_) => Outcome::NotApplicable("a limit for root (kernel < 6.15 only)".to_owned()),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("allows, 2 (ublks_max)"), "{message}");
            Outcome::Passed
        }
    };
    daemon.stop();
    outcome
}

fn storm() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(4 * MIB, DataPath::Copy);
    shorten(&file);
    let disk = Disk::open(&device.path);
    for _ in 0..500 {
        assert_eq!(errno(disk.try_read(2 * MIB, 512)), libc::EIO);
    }
    let (all, told) = (counted(&daemon, &device), told(&daemon, &device).len());
    assert_eq!(all, 500);
    assert!((1..500).contains(&told), "{told} of {all} were told");
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn shorten(file: &Path) {
    let backing = OpenOptions::new().write(true).open(file).unwrap();
    backing.set_len(MIB).unwrap();
}
