//! Actions on the device as a whole.

use api::fault::Op;
use api::{Decision, DeviceState, EventKind, call};

use super::bench::{AT, Bench, LEN, OLD, Row, SIZE};
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::shell;
use crate::deadline::wait_for;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "remove_by_surprise",
        rule: "remove:how=surprise where op=read,lba=8+8",
        result: "ENODEV, and for all that is under way; the block device is gone",
        check: |bench| {
            bench
                .daemon
                .rule(bench.device.id, "hang", "hang where op=read,lba=64+8");
            let hung = read_in_background(&bench.device.path, 64 * 512, LEN);
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
    },
    Row {
        name: "remove_and_return",
        rule: "remove:how=graceful,return=500ms where op=read,lba=8+8 when count=1",
        result: "the data, then no block device, and half a second later the block device again",
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
    },
    Row {
        name: "resize",
        rule: "resize:8M where op=read,lba=8+8 when count=1",
        result: "the device has another size",
        check: |bench| {
            if bench.daemon.lacks_flag("UPDATE_SIZE").is_some() {
                bench.untouched();
                return;
            }
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            wait_for("the other size", || {
                let size = shell(&format!("blockdev --getsize64 {}", bench.device.path));
                (size.trim() == (2 * SIZE).to_string()).then_some(())
            });
            bench.medium(0, 1);
        },
    },
    Row {
        name: "readonly",
        rule: "readonly where op=read,lba=8+8 when count=1",
        result: "the block device is read-only; writes that come all the same fail with EREMOTEIO",
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
    },
    Row {
        name: "states_marks_and_notices",
        rule: "set_state:bad where op=read,lba=8+8 when count=1",
        result: "nothing but an event; a rule that waits for the state fires from then on",
        check: |bench| {
            let id = bench.device.id;
            bench.daemon.rule(
                id,
                "when-bad",
                "fail:MEDIUM where op=write,lba=8+8 when state=bad",
            );
            bench
                .daemon
                .rule(id, "seen", "mark:here where op=read,lba=16+8");
            bench.daemon.rule(
                id,
                "after",
                "notify where op=read,lba=8+8 when after_mark=here",
            );
            bench.disk.read(16 * 512, 512);
            bench.write().unwrap();
            bench.disk.write(AT, &[OLD; LEN]);
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            assert_eq!(errno(bench.write()), libc::ENODATA);
            let told: Vec<Decision> = bench
                .events(EventKind::Fired)
                .iter()
                .filter_map(|event| event.decision)
                .collect();
            for decision in [
                Decision::SetState,
                Decision::Mark,
                Decision::Notify,
                Decision::Fail,
            ] {
                assert!(told.contains(&decision), "{decision:?} is not in {told:?}");
            }
            assert!(bench.ios(id, Op::Read) >= 2);
            bench.untouched();
        },
    },
];

fn in_state(bench: &Bench, state: DeviceState) {
    wait_for("the device's state", || {
        let device = bench.daemon.ask(call::device(bench.device.id));
        (device.state == state).then_some(())
    });
}
