//! Rules outlive the server: it dies by a rule, and the next one goes on where it was.

use api::{DataPath, DeviceConfig, Recovery, TargetConfig, call};

use super::SIZE;
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome, need_flag};
use crate::sys::WriteInFlight;

pub(super) const CASES: &[Case] = &[
    Case::new("crash::before_submit", || {
        dies_at("before_submit", false, false)
    }),
    Case::new("crash::after_media", || dies_at("after_media", true, false)),
    Case::new("crash::before_complete", || {
        dies_at("before_complete", true, false)
    }),
    Case::new("crash::during_fetch", || {
        dies_at("during_fetch", true, true)
    }),
    Case::new("crash::counts_and_history_are_taken_over", counts),
    Case::new("crash::held_requests_by_recovery_kind", held),
];

const LEN: usize = 4096;

fn device(file: &std::path::Path, recovery: Recovery, path: DataPath) -> DeviceConfig {
    let target = TargetConfig::Loop {
        file: file.to_owned(),
        direct: false,
    };
    DeviceConfig {
        recovery,
        ..config(target, path)
    }
}

/// The server dies at this point of a write, which is then on the medium or not, and answered or not. The
/// rule has fired: the next server does not die of it.
fn dies_at(point: &str, on_medium: bool, answered: bool) -> Outcome {
    for path in super::PATHS {
        let mut daemon = Daemon::start();
        let cannot = path == DataPath::SharedMemory || daemon.lacks(path).is_some();
        if cannot {
            daemon.stop();
            continue;
        }
        let file = daemon.file(SIZE);
        let device = daemon.add(&device(&file, Recovery::Queue, path));
        let rule = format!("crash_server:{point} where op=write when count=1");
        daemon.rule(device.id, "die", &rule);
        let disk = Disk::open(&device.path);
        let writing = WriteInFlight::start(&disk.file, 0, 7, LEN);
        daemon.wait();
        let medium = std::fs::read(&file).unwrap();
        assert_eq!(medium[0] == 7, on_medium, "{path}");
        let expected = if answered { 4096 } else { -libc::EIO };
        assert_eq!(writing.wait(), expected, "{path}");
        let next = daemon.successor(&["--adopt"]);
        let rules = next.ask(call::rules(device.id)).rules;
        assert_eq!(rules[0].counters.fired, 1, "{path}: {}", next.log());
        disk.write(0, &[8; LEN]);
        assert_eq!(disk.read(0, LEN), [8; LEN]);
        drop(disk);
        next.stop();
    }
    Outcome::Passed
}

/// A rule that is used up stays so, a device stays in its state, generations go on.
fn counts() -> Outcome {
    let mut daemon = Daemon::start();
    let file = daemon.file(SIZE);
    let device = daemon.add(&device(&file, Recovery::Queue, DataPath::Copy));
    let id = device.id;
    daemon.rule(id, "two", "fail:MEDIUM where op=read,lba=0+8 when count=2");
    daemon.rule(id, "state", "set_state:worn where op=read,lba=8+8");
    daemon.rule(
        id,
        "worn",
        "fail:NOSPC where op=read,lba=16+8 when state=worn",
    );
    daemon.rule(id, "bad", "badmap where lba=24+8");
    let disk = Disk::open(&device.path);
    assert_eq!(errno(disk.try_read(0, LEN)), libc::ENODATA);
    disk.write(24 * 512, &[1; LEN]);
    disk.read(8 * 512, LEN);
    let before = daemon.ask(call::rules(id));
    // A change puts all on file; without one it is there within a second.
    daemon.rule(id, "last", "notify where op=discard");
    daemon.kill();
    let next = daemon.successor(&["--adopt"]);
    let after = next.ask(call::rules(id));
    assert_eq!(after.generation, before.generation + 1);
    for (was, is) in before.rules.iter().zip(&after.rules) {
        assert_eq!((&was.rule, &was.counters), (&is.rule, &is.counters));
    }
    assert_eq!(errno(disk.try_read(0, LEN)), libc::ENODATA);
    assert_eq!(disk.read(0, LEN), [0; LEN], "the rule was used up");
    assert_eq!(errno(disk.try_read(16 * 512, LEN)), libc::ENOSPC);
    assert_eq!(disk.read(24 * 512, LEN), [1; LEN], "the sector was healed");
    drop(disk);
    next.stop();
    Outcome::Passed
}

/// What becomes of a request that is held when the server dies: it fails, or comes again and is held again. A
/// hold that was counted is not taken back.
fn held() -> Outcome {
    for recovery in [Recovery::Queue, Recovery::Reissue, Recovery::FailIo] {
        let mut daemon = Daemon::start();
        if recovery == Recovery::FailIo {
            need_flag!(daemon, "USER_RECOVERY_FAIL_IO");
        }
        let file = daemon.file(SIZE);
        let device = daemon.add(&device(&file, recovery, DataPath::Copy));
        daemon.rule(device.id, "h", "hold where op=read when count=2");
        let reader = read_in_background(&device.path, 0, LEN);
        daemon.held(device.id, 1);
        daemon.rule(device.id, "other", "notify where op=discard");
        daemon.kill();
        let next = daemon.successor(&["--adopt"]);
        if recovery == Recovery::Reissue {
            // The same request, for the rule the second one.
            next.held(device.id, 1);
            let fired = next.ask(call::rules(device.id)).rules[0].counters.fired;
            assert_eq!(fired, 2);
            next.ask(call::heal(None));
            assert_eq!(reader.join().unwrap().unwrap(), [0; LEN]);
        } else {
            assert_eq!(errno(reader.join().unwrap()), libc::EIO, "{recovery:?}");
            assert_eq!(next.ask(call::holds(device.id)).holds, []);
        }
        next.stop();
    }
    Outcome::Passed
}
