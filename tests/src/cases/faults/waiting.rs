//! Actions that take time, or another order.

use std::time::Duration;

use api::{EventKind, Which, call};

use super::bench::{AT, Bench, LEN, NEW, OLD};
use super::row::Row;
use crate::client_io::errno;
use crate::deadline::wait_for;

const DELAY: Duration = Duration::from_millis(300);

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "delay_before_the_medium",
        rule: "delay:300ms where op=write,lba=8+8",
        direct: "success after 300 ms",
        cached: "fsync takes 300 ms",
        medium: "written after the delay",
        check: |bench| {
            let writing = bench.client.writing(&bench.disk, AT, NEW);
            wait_for("the write to be delayed", || delayed(bench));
            assert_eq!(bench.medium(AT, LEN), [OLD; LEN]);
            let (result, _) = bench.time(|| writing.wait());
            assert_eq!(usize::try_from(result), Ok(LEN));
            let (_, took) = bench.time(|| bench.write().unwrap());
            assert!(took >= DELAY, "only {took:?}");
            bench.only_new_in(0..LEN);
            let (_, took) = bench.time(|| bench.cached_write(NEW).unwrap());
            assert!(took >= DELAY, "only {took:?} through the page cache");
        },
        ..Row::COMMON
    },
    Row {
        name: "delay_after_the_medium",
        rule: "delay:300ms,at=complete where op=write,lba=8+8",
        direct: "success after 300 ms",
        cached: "fsync takes 300 ms",
        medium: "written before the delay",
        check: |bench| {
            let writing = bench.client.writing(&bench.disk, AT, NEW);
            wait_for("the write to be delayed", || delayed(bench));
            assert_eq!(bench.medium(AT, LEN), [NEW; LEN]);
            assert_eq!(usize::try_from(writing.wait()), Ok(LEN));
            let (_, took) = bench.time(|| bench.write().unwrap());
            assert!(took >= DELAY, "only {took:?}");
            let (_, took) = bench.time(|| bench.cached_write(NEW).unwrap());
            assert!(took >= DELAY, "only {took:?} through the page cache");
        },
        ..Row::COMMON
    },
    Row {
        name: "delay_of_a_read_after_the_medium",
        rule: "delay:300ms,at=complete where op=read,lba=8+8",
        direct: "the data after 300 ms",
        cached: "the data after 300 ms",
        check: |bench| {
            let (read, took) = bench.time(|| bench.read().unwrap());
            assert_eq!(read, [OLD; LEN]);
            assert!(took >= DELAY, "only {took:?}");
            let (read, took) = bench.time(|| bench.cached_read().unwrap());
            assert_eq!(read, [OLD; LEN]);
            assert!(took >= DELAY, "only {took:?} through the page cache");
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "hang_until_healed",
        rule: "hang where op=read,lba=8+8",
        direct: "no answer until healed, then the data",
        check: |bench| {
            let reader = bench.client.reading(&bench.device.path, AT);
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
        ..Row::COMMON
    },
    Row {
        name: "hold_and_release",
        rule: "hold where op=write,lba=8+8 when count=1",
        direct: "no answer until released",
        medium: "written then",
        check: |bench| {
            let writing = bench.client.writing(&bench.disk, AT, NEW);
            bench.daemon.held(bench.device.id, 1);
            bench.untouched();
            bench.daemon.release(bench.device.id, Which::All);
            assert_eq!(usize::try_from(writing.wait()), Ok(LEN));
            bench.only_new_in(0..LEN);
        },
        ..Row::COMMON
    },
    Row {
        name: "hold_expires_with_an_error",
        rule: "hold:max=200ms,then=fail:TIMEOUT where op=read,lba=8+8",
        direct: "ETIMEDOUT after 200 ms",
        cached: "EIO after 200 ms",
        check: |bench| {
            let (read, took) = bench.time(|| bench.read());
            assert_eq!(errno(read), libc::ETIMEDOUT);
            assert!(took >= Duration::from_millis(200), "only {took:?}");
            let (read, took) = bench.time(|| bench.cached_read());
            assert_eq!(errno(read), libc::EIO);
            assert!(took >= Duration::from_millis(200), "only {took:?}");
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "throttle",
        rule: "throttle:iops=20 where op=read",
        direct: "the data, twenty reads a second",
        cached: "the same",
        check: |bench| {
            for read in [Bench::read, Bench::cached_read] {
                // The first may come at once, the six after it at 50 ms each.
                let seven = || (0..7).for_each(|_| assert_eq!(read(bench).unwrap(), [OLD; LEN]));
                let (_, took) = bench.time(seven);
                assert!(took >= Duration::from_millis(250), "only {took:?}");
            }
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "reorder",
        rule: "reorder:window=4,hold=10s where op=write",
        direct: "success, in another order",
        medium: "the data",
        check: reorder,
        ..Row::COMMON
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
                let write = bench.client.writing(&bench.disk, number * 4096, NEW);
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
    assert_eq!(bench.medium(0, 4 * LEN), [NEW; 4 * LEN]);
}
