//! Rules outlive the server: it dies by a rule, and the next one goes on where it was.

use api::{DataPath, DeviceConfig, Recovery, TargetConfig, call};

use super::SIZE;
use super::bench::{AT, Bench, NEW, OLD};
use super::row::{Made, Row};
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome, need_flag};

/// What comes of the device where the next daemon cannot take it over.
const REAPED: &[(DataPath, &str)] = &[(
    DataPath::SharedMemory,
    "so; such a device has no recovery, and is to be reaped",
)];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "crash_before_submit",
        rule: "crash_server:before_submit where op=write,lba=8+8 when count=1",
        direct: "EIO; the next daemon does not die of it",
        unlike: REAPED,
        made: Made::ToOutlive,
        check: |bench| dies(bench, false, false),
        ..Row::COMMON
    },
    Row {
        name: "crash_after_media",
        rule: "crash_server:after_media where op=write,lba=8+8 when count=1",
        direct: "EIO",
        medium: "the data",
        unlike: REAPED,
        made: Made::ToOutlive,
        check: |bench| dies(bench, true, false),
        ..Row::COMMON
    },
    Row {
        name: "crash_before_complete",
        rule: "crash_server:before_complete where op=write,lba=8+8 when count=1",
        direct: "EIO",
        medium: "the data",
        unlike: REAPED,
        made: Made::ToOutlive,
        check: |bench| dies(bench, true, false),
        ..Row::COMMON
    },
    Row {
        name: "crash_during_fetch",
        rule: "crash_server:during_fetch where op=write,lba=8+8 when count=1",
        direct: "success",
        medium: "the data",
        unlike: REAPED,
        made: Made::ToOutlive,
        check: |bench| dies(bench, true, true),
        ..Row::COMMON
    },
];

pub(super) const CASES: &[Case] = &[
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

/// The server dies at some point of a write, which is then on the medium or not, and answered or not. The
/// rule has fired: the next server does not die of it.
fn dies(bench: &mut Bench, on_medium: bool, answered: bool) {
    let id = bench.device.id;
    let writing = bench.client.writing(&bench.disk, AT, NEW);
    bench.daemon.wait();
    let then = |bench: &Bench| match on_medium {
        true => bench.only_new_in(0..LEN),
        false => bench.untouched(),
    };
    then(bench);
    let expected = if answered { 4096 } else { -libc::EIO };
    if bench.ground.path == DataPath::SharedMemory {
        assert_eq!(writing.wait(), expected);
        bench.disk = Disk::open_with("/dev/null", 0);
        bench.daemon.succeed(&[]);
        assert_eq!(bench.daemon.ask(call::reap()).reaped, [id]);
    } else {
        bench.daemon.succeed(&["--adopt"]);
        assert_eq!(writing.wait(), expected);
        let rules = bench.daemon.ask(call::rules(id)).rules;
        assert_eq!(rules[0].counters.fired, 1, "{}", bench.daemon.log());
        assert_eq!(bench.read().unwrap(), bench.medium(AT, LEN));
        bench.disk.write(AT, &[OLD; LEN]);
        bench.untouched();
        return;
    }
    then(bench);
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
