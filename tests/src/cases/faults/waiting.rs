//! Actions that take time, or another order.

use std::time::Duration;

use api::{EventKind, Which, call};

use super::bench::{AT, Bench, LEN, NEW, OLD, Row};
use crate::client_io::{errno, read_in_background};
use crate::deadline::wait_for;
use crate::sys::WriteInFlight;

const DELAY: Duration = Duration::from_millis(300);

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "delay_before_the_medium",
        rule: "delay:300ms where op=write,lba=8+8",
        result: "success 300 ms later; the medium is written after them",
        check: |bench| {
            let writing = WriteInFlight::start(&bench.disk.file, AT, NEW, LEN);
            wait_for("the write to be delayed", || delayed(bench));
            assert_eq!(bench.medium(AT, LEN), [OLD; LEN]);
            let (result, _) = bench.time(|| writing.wait());
            assert_eq!(usize::try_from(result), Ok(LEN));
            let (_, took) = bench.time(|| bench.write().unwrap());
            assert!(took >= DELAY, "only {took:?}");
            bench.only_new_in(0..LEN);
        },
    },
    Row {
        name: "delay_after_the_medium",
        rule: "delay:300ms,at=complete where op=write,lba=8+8",
        result: "success 300 ms later; the medium is written before them",
        check: |bench| {
            let writing = WriteInFlight::start(&bench.disk.file, AT, NEW, LEN);
            wait_for("the write to be delayed", || delayed(bench));
            assert_eq!(bench.medium(AT, LEN), [NEW; LEN]);
            assert_eq!(usize::try_from(writing.wait()), Ok(LEN));
            let (_, took) = bench.time(|| bench.write().unwrap());
            assert!(took >= DELAY, "only {took:?}");
        },
    },
    Row {
        name: "delay_of_a_read_after_the_medium",
        rule: "delay:300ms,at=complete where op=read,lba=8+8",
        result: "the data, 300 ms later",
        check: |bench| {
            let (read, took) = bench.time(|| bench.read().unwrap());
            assert_eq!(read, [OLD; LEN]);
            assert!(took >= DELAY, "only {took:?}");
            bench.untouched();
        },
    },
    Row {
        name: "hang_until_healed",
        rule: "hang where op=read,lba=8+8",
        result: "no answer while the rule is there; the data once it is removed",
        check: |bench| {
            let reader = read_in_background(&bench.device.path, AT, LEN);
            wait_for("the read to hang", || delayed(bench));
            // Its neighbours are served meanwhile, and a release is not for it.
            assert_eq!(bench.disk.read(0, LEN), [OLD; LEN]);
            assert_eq!(
                bench.daemon.release(bench.device.id, Which::All),
                [0_u64; 0]
            );
            assert!(!reader.is_finished());
            bench.heal();
            assert_eq!(reader.join().unwrap().unwrap(), [OLD; LEN]);
            bench.untouched();
        },
    },
    Row {
        name: "hold_and_release",
        rule: "hold where op=write,lba=8+8 when count=1",
        result: "no answer until it is released; the medium is written then",
        check: |bench| {
            let writing = WriteInFlight::start(&bench.disk.file, AT, NEW, LEN);
            bench.daemon.held(bench.device.id, 1);
            bench.untouched();
            bench.daemon.release(bench.device.id, Which::All);
            assert_eq!(usize::try_from(writing.wait()), Ok(LEN));
            bench.only_new_in(0..LEN);
        },
    },
    Row {
        name: "hold_expires_with_an_error",
        rule: "hold:max=200ms,then=fail:TIMEOUT where op=read,lba=8+8",
        result: "ETIMEDOUT after 200 ms",
        check: |bench| {
            let (read, took) = bench.time(|| bench.read());
            assert_eq!(errno(read), libc::ETIMEDOUT);
            assert!(took >= Duration::from_millis(200), "only {took:?}");
        },
    },
    Row {
        name: "throttle",
        rule: "throttle:iops=20 where op=read",
        result: "reads, twenty in a second",
        check: |bench| {
            let (_, took) = bench.time(|| (0..7).for_each(|_| drop(bench.read().unwrap())));
            assert!(took >= Duration::from_millis(250), "only {took:?}");
        },
    },
    Row {
        name: "reorder",
        rule: "reorder:window=4,hold=10s where op=write",
        result: "four writes are answered in another order than they came, all with success",
        check: reorder,
    },
];

fn delayed(bench: &Bench) -> Option<()> {
    let stats = bench.daemon.ask(call::stats(bench.device.id));
    (stats.delayed == 1).then_some(())
}

fn reorder(bench: &mut Bench) {
    let mut another = false;
    for _ in 0..6 {
        let before = bench.events(EventKind::Completed).len();
        let writes: Vec<_> = (0..4_u64)
            .map(|number| {
                let write = WriteInFlight::start(&bench.disk.file, number * 4096, NEW, LEN);
                if number < 3 {
                    wait_for("the write to wait for others", || {
                        let stats = bench.daemon.ask(call::stats(bench.device.id));
                        (stats.delayed == number + 1).then_some(())
                    });
                }
                write
            })
            .collect();
        for write in writes {
            assert_eq!(usize::try_from(write.wait()), Ok(LEN));
        }
        let ended = bench.events(EventKind::Completed);
        let sectors = ended[before..].iter().map(|event| event.sector.unwrap().0);
        let order: Vec<u64> = sectors.collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 8, 16, 24]);
        another |= order != sorted;
    }
    assert!(another, "six times four writes came in their own order");
}
