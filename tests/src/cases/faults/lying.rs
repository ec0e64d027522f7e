//! Actions after which a client gets success and not what it asked for.

use api::fault::Op;
use api::{DataPath, EventKind};

use super::bench::{AT, Bench, LEN, NEW, OLD, SIZE};
use super::row::Row;
use crate::client_io::Disk;
use crate::daemon::config;
use crate::server;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "drop_write",
        rule: "drop where op=write,lba=8+8",
        direct: "success; reads give what was there before",
        cached: "success; the cache has the data",
        check: |bench| {
            bench.write().unwrap();
            bench.untouched();
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            bench.cached_write(NEW).unwrap();
            bench.untouched();
            let cached = Disk::open_with(&bench.device.path, 0);
            assert_eq!(cached.read(AT, LEN), [NEW; LEN]);
        },
        ..Row::COMMON
    },
    Row {
        name: "drop_read",
        rule: "drop where op=read,lba=8+8",
        direct: "zeroes",
        cached: "zeroes",
        check: |bench| {
            let read = bench.client.read(&bench.disk, AT, 0x77);
            assert_eq!(read.unwrap(), [0; LEN]);
            assert_eq!(bench.cached_read().unwrap(), [0; LEN]);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "drop_write_zeroes",
        rule: "drop where op=write_zeroes,lba=8+8",
        direct: "success",
        check: |bench| {
            bench.disk.zero(AT, LEN as u64).unwrap();
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "corrupt_read",
        rule: "corrupt:on=destination,kind=xor:80,at=10+16 where op=read,lba=8+8",
        direct: "16 wrong bytes, event `damaged`",
        cached: "16 wrong bytes",
        check: |bench| {
            let mut expected = vec![OLD; LEN];
            expected[10..26].fill(OLD ^ 0x80);
            assert_eq!(bench.read().unwrap(), expected);
            assert_eq!(bench.cached_read().unwrap(), expected);
            bench.untouched();
            let damaged = bench.events(EventKind::Damaged);
            let changed = damaged[0].changed.as_ref().unwrap();
            assert_eq!((changed[0].offset_bytes, changed[0].len_bytes), (10, 16));
        },
        ..Row::COMMON
    },
    Row {
        name: "corrupt_write",
        rule: "corrupt:on=source,kind=set:ee,at=10+16 where op=write,lba=8+8",
        direct: "success; its own memory is as it was",
        cached: "success; the cache is as it was",
        medium: "16 wrong bytes",
        check: |bench| {
            bench.client.write(&bench.disk, AT, OLD).unwrap();
            bench.only_new_in(10..26);
            bench.disk.write(0, &[OLD; LEN]);
            bench.cached_write(OLD).unwrap();
            bench.only_new_in(10..26);
            let cached = Disk::open_with(&bench.device.path, 0);
            assert_eq!(cached.read(AT, LEN), [OLD; LEN]);
        },
        ..Row::COMMON
    },
    Row {
        name: "corrupt_drawn_bits",
        rule: "corrupt:kind=flip,places=3 where op=read,lba=8+8 with seed=7",
        direct: "up to three wrong bits, others each time",
        cached: "the same",
        check: |bench| {
            let wrong =
                |bytes: &[u8]| -> u32 { bytes.iter().map(|byte| (byte ^ OLD).count_ones()).sum() };
            let (one, two) = (bench.read().unwrap(), bench.cached_read().unwrap());
            for bytes in [&one, &two] {
                assert!((1..=3).contains(&wrong(bytes)), "{}", wrong(bytes));
            }
            assert_ne!(one, two);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "misdirect_read",
        rule: "misdirect:to=+8 where op=read,lba=8+8",
        direct: "what the next eight sectors hold",
        cached: "the same",
        check: |bench| {
            bench.disk.write(AT + 4096, &[NEW; LEN]);
            assert_eq!(bench.read().unwrap(), [NEW; LEN]);
            assert_eq!(bench.cached_read().unwrap(), [NEW; LEN]);
            assert_eq!(bench.medium(AT, LEN), [OLD; LEN]);
        },
        ..Row::COMMON
    },
    Row {
        name: "misdirect_write",
        rule: "misdirect:to=+8 where op=write,lba=8+8",
        direct: "success",
        cached: "success",
        medium: "the data in the next eight sectors",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_in(4096..8192);
            bench.cached_write(NEW).unwrap();
            bench.only_new_in(4096..8192);
        },
        ..Row::COMMON
    },
    Row {
        name: "misdirect_write_not_lost",
        rule: "misdirect:to=+8,lost=no where op=write,lba=8+8",
        direct: "success",
        cached: "success",
        medium: "the data in both places",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_in(0..8192);
            bench.cached_write(NEW).unwrap();
            bench.only_new_in(0..8192);
        },
        ..Row::COMMON
    },
    Row {
        name: "short_write",
        rule: "short:sectors=3 where op=write,lba=8+8 when count=1",
        direct: "success",
        medium: "Linux 7.3: three sectors, the rest is lost; before: all, the rest is sent again",
        unlike: &[(DataPath::SharedMemory, "three sectors, on each kernel")],
        check: |bench| {
            bench.write().unwrap();
            // What is shared is never unmapped by the driver, whatever the kernel.
            let shared = bench.ground.path == DataPath::SharedMemory;
            let lost = server::kernel() >= (7, 3) || shared;
            bench.only_new_in(0..if lost { 3 * 512 } else { LEN });
        },
        ..Row::COMMON
    },
    Row {
        name: "short_read",
        rule: "short:sectors=3 where op=read,lba=8+8 when count=1",
        direct: "Linux 7.3: success, three sectors and its memory as it was; before: all, the rest is sent again",
        unlike: &[
            (DataPath::Copy, "all, the rest is sent again"),
            (DataPath::SharedMemory, "three sectors, on each kernel"),
        ],
        check: short_read,
        ..Row::COMMON
    },
    Row {
        name: "ignore_flush",
        rule: "ignore_flush where op=flush",
        direct: "fsync succeeds",
        medium: "no flush reached the backing",
        check: |bench| ignored(bench, "ignore_flush where op=flush", Op::Flush),
        ..Row::COMMON
    },
    Row {
        name: "ignore_fua",
        rule: "ignore_fua where op=write",
        direct: "success",
        medium: "no FUA reached the backing",
        check: |bench| ignored(bench, "ignore_fua where op=write", Op::Write),
        ..Row::COMMON
    },
];

fn short_read(bench: &mut Bench) {
    let read = bench.client.read(&bench.disk, AT, 0x77);
    let again = match bench.ground.path {
        DataPath::Copy => true,
        DataPath::SharedMemory => false,
        _ => server::kernel() < (7, 3),
    };
    let mut expected = vec![OLD; LEN];
    if !again {
        expected[3 * 512..].fill(0x77);
    }
    assert_eq!(read.unwrap(), expected);
    bench.untouched();
}

/// A second device on top of the first one, whose rule leaves out what makes data durable: the lower one's
/// counters say what came.
fn ignored(bench: &Bench, rule: &str, op: Op) {
    bench.heal();
    let lower = bench.daemon.add_loop(SIZE, DataPath::Copy).0;
    let target = api::TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct: true,
    };
    let upper = bench.daemon.add(&api::DeviceConfig {
        transport: bench.ground.transport,
        ..config(target, bench.ground.path)
    });
    let durable = Disk::open_with(&upper.path, libc::O_DIRECT | libc::O_DSYNC);
    // Both come to the lower device as what they are.
    bench
        .daemon
        .rule(lower.id, "fua", "notify where op=write,flags=fua");
    let told = || match op {
        Op::Flush => bench.ios(lower.id, Op::Flush),
        _ => fired(bench, lower.id),
    };
    let make = || match op {
        Op::Flush => durable.file.sync_all().unwrap(),
        _ => durable.write(0, &[NEW; LEN]),
    };
    make();
    let honest = told();
    assert!(honest > 0, "nothing reached the backing without the rule");
    bench.daemon.rule(upper.id, "lie", rule);
    make();
    assert_eq!(told(), honest, "it reached the backing");
    assert_eq!(fired(bench, upper.id), 1);
    drop(durable);
    bench.daemon.ask(api::call::delete_device(upper.id));
    bench.daemon.ask(api::call::delete_device(lower.id));
    bench.untouched();
}

fn fired(bench: &Bench, id: u32) -> u64 {
    let rules = bench.daemon.ask(api::call::rules(id)).rules;
    rules.iter().map(|rule| rule.counters.fired).sum()
}
