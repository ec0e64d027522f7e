//! Stop, quiesce and resume, on a device that is in use.

use api::{
    DataPath, DeviceConfig, DeviceState, ProblemCode, QuiesceRequest, Recovery, StopRequest,
    TargetConfig, Transport, call,
};

use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, block_devices, char_devices, config};
use crate::deadline::wait_for;
use crate::load::Load;
use crate::outcome::{Case, Outcome, need_flag, need_transport};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "life::a_stopped_device_starts_again_with_its_content",
        stop_and_resume,
    ),
    Case::new("life::stop_releases_what_is_held", stop_with_held),
    Case::new(
        "life::safe_stop_is_refused_while_open_and_names_who",
        safe_stop,
    ),
    Case::new("life::quiesce_under_load_loses_nothing", quiesce_under_load),
    Case::new("life::quiesce_of_a_batch_device_is_refused", quiesce_batch),
    Case::new(
        "life::quiesce_releases_what_is_held_and_keeps_the_rules",
        quiesce_with_held,
    ),
    Case::new("life::quiesce_with_every_tag_in_flight", quiesce_full),
    Case::new(
        "life::a_quiesce_that_is_too_late_is_taken_back",
        quiesce_too_late,
    ),
    Case::new(
        "life::quiesce_of_a_device_that_goes_with_its_daemon_is_refused",
        quiesce_refused,
    ),
    Case::new(
        "life::a_quiesced_device_can_be_stopped_and_deleted",
        quiesced_goes,
    ),
    Case::new("life::sigterm_tells_what_a_device_waits_for", slow_end),
];

const SIZE: u64 = 4 << 20;

fn recoverable(size_bytes: u64, data_path: DataPath, recovery: Recovery) -> DeviceConfig {
    DeviceConfig {
        recovery,
        ..config(TargetConfig::Ram { size_bytes }, data_path)
    }
}

fn state(daemon: &Daemon, id: u32) -> DeviceState {
    daemon.ask(call::device(id)).state
}

fn stop(daemon: &Daemon, id: u32) -> api::DeviceChanged {
    daemon.ask(call::stop(id, &StopRequest { safe: false }))
}

fn quiesce(daemon: &Daemon, id: u32) -> api::DeviceChanged {
    daemon.ask(call::quiesce(id, &QuiesceRequest::default()))
}

fn stop_and_resume() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "IO_DESC_SIZE");
    for recovery in [Recovery::Fail, Recovery::Reissue] {
        let device = daemon.add(&recoverable(SIZE, DataPath::Copy, recovery));
        Disk::open(&device.path).write(4096, &[7; 4096]);
        for _ in 0..3 {
            let changed = stop(&daemon, device.id);
            assert_eq!(changed.device.state, DeviceState::Stopped);
            wait_for("the block device to go", || {
                block_devices().is_empty().then_some(())
            });
            assert_eq!(state(&daemon, device.id), DeviceState::Stopped);
            let changed = daemon.ask(call::resume(device.id));
            assert_eq!(changed.device.state, DeviceState::Live);
            wait_for("the block device's node", || {
                std::fs::metadata(&device.path).ok().map(drop)
            });
            assert_eq!(Disk::open(&device.path).read(4096, 4096), [7; 4096]);
        }
        // A client that still has the old block device open keeps the number from a new one.
        let open = Disk::open(&device.path);
        stop(&daemon, device.id);
        assert!(open.try_read(0, 4096).is_err());
        let problem = daemon.refused(call::resume(device.id));
        assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
        drop(open);
        daemon.ask(call::resume(device.id));
        stop(&daemon, device.id);
        daemon.ask(call::delete_device(device.id));
        assert_eq!(char_devices(), Vec::<String>::new());
    }
    daemon.stop();
    Outcome::Passed
}

fn stop_with_held() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "IO_DESC_SIZE");
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let changed = stop(&daemon, device.id);
    assert_eq!((changed.released, changed.device.rules), (1, 1));
    assert_eq!(reader.join().unwrap().unwrap(), [0; 4096]);
    // The rule is in force again once the device is: the reader above was the only one to get by.
    daemon.ask(call::resume(device.id));
    wait_for("the block device's node", || {
        std::fs::metadata(&device.path).ok().map(drop)
    });
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    daemon.ask(call::heal(None));
    reader.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

fn safe_stop() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "SAFE_STOP_DEV");
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let safe = StopRequest { safe: true };
    let disk = Disk::open(&device.path);
    let problem = daemon.refused(call::stop(device.id, &safe));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    let own = format!("(process {})", std::process::id());
    assert!(
        problem.detail.contains("is open by") && problem.detail.contains(&own),
        "{problem}"
    );
    assert_eq!(state(&daemon, device.id), DeviceState::Live);
    disk.write(0, &[1; 4096]);
    drop(disk);
    let changed = daemon.ask(call::stop(device.id, &safe));
    assert_eq!(changed.device.state, DeviceState::Stopped);
    daemon.stop();
    Outcome::Passed
}

fn quiesce_under_load() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    for path in [
        DataPath::Copy,
        DataPath::UserCopy,
        DataPath::ZeroCopy,
        DataPath::AutoZeroCopy,
    ] {
        if daemon.lacks(path).is_some() {
            continue;
        }
        // Not `reissue`: a request that the daemon had taken and lost would fail.
        let device = daemon.add(&DeviceConfig {
            queues: 2,
            ..recoverable(SIZE, path, Recovery::Queue)
        });
        let load = Load::on(&device.path, 4, SIZE);
        for _ in 0..3 {
            load.runs_on();
            let changed = quiesce(&daemon, device.id);
            assert_eq!(changed.device.state, DeviceState::Quiesced, "{path}");
            assert!(block_devices().contains(&format!("ublkb{}", device.id)));
            load.stands_still();
            let changed = daemon.ask(call::resume(device.id));
            assert_eq!(changed.device.state, DeviceState::Live, "{path}");
        }
        load.runs_on();
        load.ends_well(&device.path);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// The kernel would fail what waits.
fn quiesce_batch() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    need_transport!(daemon, Transport::Batch);
    let device = daemon.add(&DeviceConfig {
        transport: Transport::Batch,
        ..recoverable(SIZE, DataPath::Copy, Recovery::Queue)
    });
    let problem = daemon.refused(call::quiesce(device.id, &QuiesceRequest::default()));
    assert_eq!(problem.code, ProblemCode::Unsupported, "{problem}");
    let problem = daemon.refused(call::hand_over(&QuiesceRequest::default()));
    assert!(problem.detail.contains("batch"), "{problem}");
    assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
    daemon.stop();
    Outcome::Passed
}

fn quiesce_with_held() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    let device = daemon.add(&recoverable(SIZE, DataPath::Copy, Recovery::Queue));
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
    let held = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    assert_eq!(quiesce(&daemon, device.id).released, 1);
    assert_eq!(held.join().unwrap().unwrap(), [0; 4096]);
    assert_eq!(daemon.ask(call::rules(device.id)).rules.len(), 1);
    // Rules can be changed while nobody serves.
    daemon.rule(device.id, "i", "fail where op=write");
    let waiting = read_in_background(&device.path, 0, 4096);
    daemon.ask(call::resume(device.id));
    daemon.held(device.id, 1);
    assert_eq!(
        errno(Disk::open(&device.path).try_write(0, &[1; 4096])),
        libc::EIO
    );
    daemon.ask(call::heal(None));
    waiting.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

/// The driver looks for an idle tag to tell the server by; here there is none.
fn quiesce_full() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    let device = daemon.add(&DeviceConfig {
        depth: 2,
        ..recoverable(SIZE, DataPath::Copy, Recovery::Queue)
    });
    daemon.rule(device.id, "h", "hold where op=read");
    let readers: Vec<_> = (0..6)
        .map(|number| read_in_background(&device.path, number * 4096, 4096))
        .collect();
    daemon.held(device.id, 2);
    assert_eq!(
        quiesce(&daemon, device.id).device.state,
        DeviceState::Quiesced
    );
    daemon.ask(call::heal(None));
    daemon.ask(call::resume(device.id));
    for reader in readers {
        assert_eq!(reader.join().unwrap().unwrap(), [0; 4096]);
    }
    daemon.stop();
    Outcome::Passed
}

/// A device whose backing holds a request: a device of another daemon.
fn on_slow_backing(below: &Daemon, above: &Daemon, recovery: Recovery) -> (u32, api::Device) {
    let lower = below.add_ram(SIZE, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct: true,
    };
    let upper = above.add(&DeviceConfig {
        recovery,
        ..config(target, DataPath::Copy)
    });
    below.rule(lower.id, "h", "hold where op=read");
    (lower.id, upper)
}

fn quiesce_too_late() -> Outcome {
    let below = Daemon::start();
    let above = Daemon::start();
    need_flag!(above, "QUIESCE");
    let (lower, upper) = on_slow_backing(&below, &above, Recovery::Queue);
    let reader = read_in_background(&upper.path, 0, 4096);
    below.held(lower, 1);
    let request = QuiesceRequest {
        wait_ns: 50_000_000,
    };
    let problem = above.refused(call::quiesce(upper.id, &request));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    assert!(problem.detail.contains("1 requests"), "{problem}");
    assert_eq!(state(&above, upper.id), DeviceState::Quiescing);
    let second = read_in_background(&upper.path, 4096, 4096);
    below.ask(call::heal(None));
    assert!(reader.join().unwrap().is_ok());
    wait_for("the device to be served again", || {
        (state(&above, upper.id) == DeviceState::Live).then_some(())
    });
    assert!(second.join().unwrap().is_ok());
    above.stop_leaving_others();
    below.stop();
    Outcome::Passed
}

fn quiesce_refused() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let problem = daemon.refused(call::quiesce(device.id, &QuiesceRequest::default()));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    assert!(problem.detail.contains("--recovery"), "{problem}");
    assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
    daemon.stop();
    Outcome::Passed
}

/// What waits on a quiesced device fails when that is stopped or deleted.
fn quiesced_goes() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    need_flag!(daemon, "IO_DESC_SIZE");
    for delete in [false, true] {
        let device = daemon.add(&recoverable(SIZE, DataPath::Copy, Recovery::Queue));
        quiesce(&daemon, device.id);
        let waiting = read_in_background(&device.path, 0, 4096);
        if delete {
            daemon.ask(call::delete_device(device.id));
        } else {
            stop(&daemon, device.id);
        }
        assert!(waiting.join().unwrap().is_err());
        if !delete {
            daemon.ask(call::resume(device.id));
            wait_for("the block device's node", || {
                std::fs::metadata(&device.path).ok().map(drop)
            });
            assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
            daemon.ask(call::delete_device(device.id));
        }
    }
    // At the end of the daemon as well.
    let device = daemon.add(&recoverable(SIZE, DataPath::Copy, Recovery::Queue));
    quiesce(&daemon, device.id);
    daemon.stop();
    Outcome::Passed
}

fn slow_end() -> Outcome {
    use nix::sys::signal::Signal;
    let below = Daemon::start();
    let mut above = Daemon::start();
    let (lower, upper) = on_slow_backing(&below, &above, Recovery::Fail);
    let reader = read_in_background(&upper.path, 0, 4096);
    below.held(lower, 1);
    above.signal(Signal::SIGTERM);
    let lower_path = format!("1 requests that /dev/ublkb{lower} has not answered");
    wait_for("the daemon to say what it waits for", || {
        let log = above.log();
        (log.contains(&lower_path) && log.contains("open by bvecd-suite")).then_some(())
    });
    below.ask(call::heal(None));
    assert_eq!(above.wait().code(), Some(0), "{}", above.log());
    assert!(reader.join().unwrap().is_ok());
    below.stop();
    Outcome::Passed
}
