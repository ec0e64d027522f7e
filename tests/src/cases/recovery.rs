//! Devices that outlive their daemon: what becomes of requests, and who takes the devices over.

use std::io;
use std::thread::JoinHandle;

use api::{
    DataPath, Device, DeviceConfig, DeviceState, ProblemCode, QuiesceRequest, Recovery,
    StopRequest, TargetConfig, call,
};

use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, block_devices, char_devices, config, kept_memory};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_data_path, need_flag};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("recovery::fail_in_flight_and_new_requests_fail", || {
        row(Recovery::Fail)
    }),
    Case::new("recovery::queue_in_flight_fails_and_new_waits", || {
        row(Recovery::Queue)
    }),
    Case::new("recovery::reissue_in_flight_and_new_wait", || {
        row(Recovery::Reissue)
    }),
    Case::new(
        "recovery::fail_io_in_flight_and_new_fail_until_adopted",
        || row(Recovery::FailIo),
    ),
    Case::new(
        "recovery::a_kind_that_the_kernel_lacks_is_refused",
        kind_lacking,
    ),
    Case::new(
        "recovery::shared_memory_goes_with_its_daemon",
        shared_memory,
    ),
    Case::new(
        "recovery::adopt_takes_over_every_target_as_it_was",
        adopt_all,
    ),
    Case::new(
        "recovery::recover_takes_one_and_reap_the_other",
        recover_and_reap,
    ),
    Case::new("recovery::a_living_daemons_devices_are_left_alone", living),
    Case::new(
        "recovery::hand_over_is_refused_whole_or_done_whole",
        hand_over_refused,
    ),
    Case::new(
        "recovery::a_resized_device_is_adopted_at_its_size",
        adopt_resized,
    ),
];

const SIZE: u64 = 4 << 20;

const PATHS: [DataPath; 4] = [
    DataPath::Copy,
    DataPath::UserCopy,
    DataPath::ZeroCopy,
    DataPath::AutoZeroCopy,
];

fn with(recovery: Recovery, target: TargetConfig, path: DataPath) -> DeviceConfig {
    DeviceConfig {
        recovery,
        ..config(target, path)
    }
}

fn ram(recovery: Recovery, path: DataPath) -> DeviceConfig {
    with(recovery, TargetConfig::Ram { size_bytes: SIZE }, path)
}

fn adopt(daemon: &Daemon) -> Vec<Device> {
    let adopted = daemon.ask(call::adopt());
    assert_eq!(adopted.left, [], "{}", daemon.log());
    adopted.adopted
}

type Reader = JoinHandle<io::Result<Vec<u8>>>;

/// One row of the table in docs/lifecycle.md, on every data path: a request that the daemon holds when it
/// is killed, one that comes while there is none, and both after the next one has come.
fn row(recovery: Recovery) -> Outcome {
    let daemon = Daemon::start();
    if recovery == Recovery::FailIo {
        need_flag!(daemon, "USER_RECOVERY_FAIL_IO");
    }
    let paths = PATHS
        .into_iter()
        .filter(|path| daemon.lacks(*path).is_none());
    let paths: Vec<_> = paths.collect();
    daemon.stop();
    for path in paths {
        let mut daemon = Daemon::start();
        let device = daemon.add(&ram(recovery, path));
        let disk = Disk::open(&device.path);
        disk.write(0, &[1; 8192]);
        daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
        let in_flight = read_in_background(&device.path, 0, 4096);
        daemon.held(device.id, 1);
        daemon.kill();
        let in_flight = match recovery {
            Recovery::Reissue => Some(in_flight),
            _ => {
                assert_eq!(errno(in_flight.join().unwrap()), libc::EIO, "{path}");
                None
            }
        };
        if recovery == Recovery::Fail {
            gone(&device, &disk, daemon);
            continue;
        }
        let new = new_request(recovery, &device, &disk);
        // A daemon that does not adopt changes nothing.
        let next = daemon.successor(&[]);
        assert!(next.log().contains("bvecctl dev adopt"), "{}", next.log());
        assert_eq!(next.ask(call::devices()).devices, []);
        assert!(
            in_flight
                .iter()
                .chain(&new)
                .all(|reader| !reader.is_finished())
        );
        assert_eq!(adopt(&next)[0].rules, 1);
        if let Some(reader) = new {
            assert_eq!(reader.join().unwrap().unwrap(), [1; 4096]);
        }
        if let Some(reader) = in_flight {
            // It was sent again, and met the rule again.
            next.held(device.id, 1);
            next.ask(call::heal(None));
            assert_eq!(reader.join().unwrap().unwrap(), [1; 4096]);
        }
        assert_eq!(disk.read(4096, 4096), [1; 4096]);
        drop(disk);
        next.stop();
        assert_eq!(kept_memory(), Vec::<String>::new());
    }
    Outcome::Passed
}

/// Without recovery the block device has gone, and the next daemon clears the rest away.
fn gone(device: &Device, disk: &Disk, daemon: Daemon) {
    wait_for("the block device to go", || {
        block_devices().is_empty().then_some(())
    });
    assert!(disk.try_read(4096, 4096).is_err());
    assert_eq!(char_devices(), [format!("ublkc{}", device.id)]);
    let next = daemon.successor(&[]);
    let left = next.ask(call::adopt()).left;
    assert!(left[0].problem.detail.contains("dev reap"), "{left:?}");
    assert_eq!(next.ask(call::reap()).reaped, [device.id]);
    assert_eq!(char_devices(), Vec::<String>::new());
    next.stop();
}

/// A request that comes while there is no daemon: a reader that waits, or, with `fail-io`, an error.
fn new_request(recovery: Recovery, device: &Device, disk: &Disk) -> Option<Reader> {
    if recovery == Recovery::FailIo {
        // EIO until the kernel is done with the old daemon (`__ublk_abort_rq`), from then on EREMOTEIO.
        wait_for("new requests to fail with EREMOTEIO", || {
            let errno = errno(disk.try_read(4096, 4096));
            assert!([libc::EIO, libc::EREMOTEIO].contains(&errno), "{errno}");
            (errno == libc::EREMOTEIO).then_some(())
        });
        return None;
    }
    Some(read_in_background(&device.path, 4096, 4096))
}

fn kind_lacking() -> Outcome {
    let daemon = Daemon::start();
    if daemon.lacks_flag("USER_RECOVERY_FAIL_IO").is_none() {
        return Outcome::NotApplicable("every kind is there (kernel >= 6.13)".into());
    }
    let problem = daemon.refused(call::add_device(&ram(Recovery::FailIo, DataPath::Copy)));
    assert_eq!(problem.code, ProblemCode::Unsupported, "{problem}");
    assert!(problem.detail.contains("since Linux 6.13"), "{problem}");
    assert_eq!(kept_memory(), Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

/// Buffers that clients share are the daemon's: the next one would not have them.
fn shared_memory() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    for recovery in [Recovery::Queue, Recovery::Reissue, Recovery::FailIo] {
        let config = ram(recovery, DataPath::SharedMemory);
        let problem = daemon.refused(call::add_device(&config));
        assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
        assert_eq!(problem.pointer.as_deref(), Some("/recovery"), "{problem}");
        assert!(problem.detail.contains("goes with the daemon"), "{problem}");
        assert_eq!(kept_memory(), Vec::<String>::new(), "{recovery:?}");
    }
    assert_eq!(daemon.ask(call::devices()).devices, []);
    daemon.add(&ram(Recovery::Fail, DataPath::SharedMemory));
    daemon.stop();
    Outcome::Passed
}

fn adopt_all() -> Outcome {
    let mut daemon = Daemon::start();
    let file = daemon.file(SIZE);
    let loops = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let rule = api::fault::Rule::parse("bad", "fail:MEDIUM where op=read,lba=64+8").unwrap();
    let configs = [
        DeviceConfig {
            queues: 2,
            depth: 16,
            logical_block_bytes: Some(4096),
            max_io_bytes: 64 << 10,
            rules: vec![rule],
            seed: 9,
            ..with(Recovery::Reissue, loops, DataPath::Auto)
        },
        ram(Recovery::Queue, DataPath::Copy),
        DeviceConfig {
            read_only: true,
            ..with(
                Recovery::Queue,
                TargetConfig::Null { size_bytes: SIZE },
                DataPath::UserCopy,
            )
        },
    ];
    let before: Vec<_> = configs.iter().map(|config| daemon.add(config)).collect();
    for device in &before[..2] {
        Disk::open(&device.path).write(8192, &[3; 4096]);
    }
    daemon.kill();
    let next = daemon.successor(&["--adopt"]);
    let pid = next.pid();
    let after = next.ask(call::devices()).devices;
    let expected: Vec<_> = before
        .iter()
        .map(|device| Device {
            daemon_pid: pid,
            ..device.clone()
        })
        .collect();
    assert_eq!(after, expected, "{}", next.log());
    for device in &after[..2] {
        assert_eq!(Disk::open(&device.path).read(8192, 4096), [3; 4096]);
    }
    assert_eq!(
        errno(Disk::open(&after[0].path).try_read(64 * 512, 4096)),
        libc::ENODATA
    );
    // Adopting again finds nothing, and they can be adopted a second time.
    assert_eq!(adopt(&next), []);
    let mut next = next;
    next.kill();
    let last = next.successor(&["--adopt"]);
    assert_eq!(last.ask(call::devices()).devices.len(), 3);
    assert_eq!(Disk::open(&after[1].path).read(8192, 4096), [3; 4096]);
    last.stop();
    assert_eq!(kept_memory(), Vec::<String>::new());
    Outcome::Passed
}

fn recover_and_reap() -> Outcome {
    let mut daemon = Daemon::start();
    let one = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    let other = daemon.add(&ram(Recovery::Reissue, DataPath::Copy));
    let plain = daemon.add_ram(SIZE, DataPath::Copy);
    Disk::open(&one.path).write(0, &[4; 4096]);
    assert_eq!(kept_memory().len(), 2);
    daemon.kill();
    let next = daemon.successor(&[]);
    let changed = next.ask(call::recover(one.id));
    assert_eq!(changed.device.state, DeviceState::Live);
    let problem = next.refused(call::recover(one.id));
    assert!(problem.detail.contains("of this daemon"), "{problem}");
    let problem = next.refused(call::recover(77));
    assert!(problem.detail.contains("not on file"), "{problem}");
    let waiting = read_in_background(&other.path, 0, 4096);
    assert_eq!(next.ask(call::reap()).reaped, [other.id, plain.id]);
    assert!(waiting.join().unwrap().is_err(), "nobody will answer it");
    assert_eq!(char_devices(), [format!("ublkc{}", one.id)]);
    assert_eq!(kept_memory().len(), 1);
    assert_eq!(Disk::open(&one.path).read(0, 4096), [4; 4096]);
    assert_eq!(next.ask(call::reap()).reaped, [0; 0]);
    next.stop();
    assert_eq!(kept_memory(), Vec::<String>::new());
    Outcome::Passed
}

fn living() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    let state = daemon.directory.path().to_str().unwrap().to_owned();
    let other = Daemon::start_with(&["--state", &state]);
    for left in [other.ask(call::adopt()).left, other.ask(call::reap()).left] {
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].problem.code, ProblemCode::Conflict);
        let pid = format!("process {}", daemon.pid());
        assert!(left[0].problem.detail.contains(&pid), "{left:?}");
    }
    assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
    other.stop_leaving_others();
    daemon.stop();
    Outcome::Passed
}

fn hand_over_refused() -> Outcome {
    let mut daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    let first = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    let plain = daemon.add_ram(SIZE, DataPath::Copy);
    let stopped = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    daemon.ask(call::stop(stopped.id, &StopRequest::default()));
    let request = QuiesceRequest::default();
    for bad in [plain.id, stopped.id] {
        let problem = daemon.refused(call::hand_over(&request));
        assert!(
            problem.detail.contains(&format!("device {bad} ")),
            "{problem}"
        );
        assert_eq!(daemon.ask(call::device(first.id)).state, DeviceState::Live);
        assert_eq!(Disk::open(&first.path).read(0, 4096), [0; 4096]);
        daemon.ask(call::delete_device(bad));
    }
    daemon.rule(first.id, "h", "hold where op=read");
    let held = read_in_background(&first.path, 0, 4096);
    daemon.held(first.id, 1);
    let output = programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["--json", "dev", "hand-over"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let handed: api::HandedOver = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((handed.devices, handed.released), (vec![first.id], 1));
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(held.join().unwrap().is_ok());
    assert_eq!(block_devices(), [format!("ublkb{}", first.id)]);
    let next = daemon.successor(&["--adopt"]);
    next.ask(call::heal(None));
    assert_eq!(Disk::open(&first.path).read(0, 4096), [0; 4096]);
    next.stop();
    Outcome::Passed
}

fn adopt_resized() -> Outcome {
    let mut daemon = Daemon::start();
    need_flag!(daemon, "UPDATE_SIZE");
    let device = daemon.add(&ram(Recovery::Reissue, DataPath::Copy));
    let size_bytes = 3 * SIZE;
    daemon.ask(call::resize(device.id, &api::ResizeRequest { size_bytes }));
    Disk::open(&device.path).write(size_bytes - 4096, &[8; 4096]);
    daemon.rule(device.id, "far", "fail where op=write,lba=20000+8");
    daemon.kill();
    let next = daemon.successor(&["--adopt"]);
    let adopted = next.ask(call::device(device.id));
    assert_eq!(
        (adopted.size_bytes, adopted.rules),
        (size_bytes, 1),
        "{}",
        next.log()
    );
    assert_eq!(
        Disk::open(&device.path).read(size_bytes - 4096, 4096),
        [8; 4096]
    );
    next.stop();
    Outcome::Passed
}
