//! Actions on the device as a whole.

use api::fault::Op;
use api::{Decision, DeviceState, EventKind, call};

use super::bench::{AT, Bench, LEN, OLD, SIZE};
use super::row::Row;
use crate::client_io::{Disk, errno};
use crate::daemon::shell;
use crate::deadline::wait_for;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "remove_by_surprise",
        rule: "remove:how=surprise where op=read,lba=8+8",
        direct: "ENODEV, also what was under way; the block device is gone",
        check: |bench| {
            bench
                .daemon
                .rule(bench.device.id, "hang", "hang where op=read,lba=64+8");
            let hung = bench.client.reading(&bench.device.path, 64 * 512);
            wait_for("a read to hang", || {
                let stats = bench.daemon.ask(call::stats(bench.device.id));
                (stats.delayed == 1).then_some(())
            });
            assert_eq!(errno(bench.read()), libc::ENODEV);
            assert_eq!(errno(hung.join().unwrap()), libc::ENODEV);
            in_state(bench, DeviceState::Stopped);
            assert!(bench.disk.try_read(0, LEN).is_err());
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "remove_and_return",
        rule: "remove:how=graceful,return=500ms where op=read,lba=8+8 when count=1",
        direct: "the data, no block device, half a second later the block device",
        check: |bench| {
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            wait_for("the device to be gone", || {
                (!bench.events(EventKind::DeviceStopped).is_empty()).then_some(())
            });
            // It comes back once nobody has the old one open.
            bench.disk = Disk::open_with("/dev/null", 0);
            in_state(bench, DeviceState::Live);
            let again = wait_for("the block device", || {
                std::fs::metadata(&bench.device.path).ok()?;
                Some(Disk::open(&bench.device.path))
            });
            assert_eq!(again.read(AT, LEN), [OLD; LEN]);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "resize",
        rule: "resize:512K where op=read,lba=8+8 when count=1",
        direct: "the data; the device has another size",
        check: |bench| {
            if bench.daemon.lacks_flag("UPDATE_SIZE").is_some() {
                bench.untouched();
                return;
            }
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            wait_for("the other size", || {
                let size = shell(&format!("blockdev --getsize64 {}", bench.device.path));
                (size.trim() == (SIZE / 2).to_string()).then_some(())
            });
            bench.medium(0, 1);
        },
        ..Row::COMMON
    },
    Row {
        name: "readonly",
        rule: "readonly where op=read,lba=8+8 when count=1",
        direct: "the data; then writes get EPERM or EREMOTEIO",
        check: |bench| {
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            wait_for("the device to be read-only", || {
                let text = shell(&format!("blockdev --getro {}", bench.device.path));
                (text.trim() == "1").then_some(())
            });
            let denied = errno(bench.write());
            assert!([libc::EPERM, libc::EREMOTEIO].contains(&denied), "{denied}");
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "set_state",
        rule: "set_state:bad where op=read,lba=8+8 when count=1",
        direct: "the data; rules that wait for the state fire from then on",
        check: |bench| {
            let words = "fail:MEDIUM where op=write,lba=8+8 when state=bad";
            bench.daemon.rule(bench.device.id, "later", words);
            waited_for(bench, Decision::SetState);
        },
        ..Row::COMMON
    },
    Row {
        name: "mark",
        rule: "mark:here where op=read,lba=8+8 when count=1",
        direct: "the data; rules that wait for the mark fire from then on",
        check: |bench| {
            let words = "fail:MEDIUM where op=write,lba=8+8 when after_mark=here";
            bench.daemon.rule(bench.device.id, "later", words);
            waited_for(bench, Decision::Mark);
        },
        ..Row::COMMON
    },
    Row {
        name: "notify",
        rule: "notify where op=rw,lba=8+8",
        direct: "the data; an event `fired` for each request",
        cached: "the data; an event `fired`",
        check: |bench| {
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            assert_eq!(bench.cached_read().unwrap(), [OLD; LEN]);
            bench.disk.write(AT, &[OLD; LEN]);
            let fired = bench.events(EventKind::Fired);
            let told: Vec<_> = fired
                .iter()
                .map(|event| (event.op, event.decision))
                .collect();
            let notified = |op| (Some(op), Some(Decision::Notify));
            assert_eq!(told, [Op::Read, Op::Read, Op::Write].map(notified));
            bench.untouched();
        },
        ..Row::COMMON
    },
];

/// A write succeeds before a read has made the rule fire, and fails after it.
fn waited_for(bench: &Bench, decision: Decision) {
    bench.disk.write(AT, &[OLD; LEN]);
    assert_eq!(bench.read().unwrap(), [OLD; LEN]);
    assert_eq!(errno(bench.write()), libc::ENODATA);
    let fired = bench.events(EventKind::Fired);
    let told: Vec<_> = fired.iter().map(|event| event.decision).collect();
    assert_eq!(told, [Some(decision), Some(Decision::Fail)]);
    bench.untouched();
}

fn in_state(bench: &Bench, state: DeviceState) {
    wait_for("the device's state", || {
        let device = bench.daemon.ask(call::device(bench.device.id));
        (device.state == state).then_some(())
    });
}
