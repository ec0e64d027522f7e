//! Actions after which a client gets success and not what it asked for.

use std::os::unix::fs::FileExt;

use api::EventKind;
use api::fault::Op;

use super::bench::{AT, Bench, LEN, NEW, OLD, Row, SIZE};
use crate::client_io::{Aligned, Disk};
use crate::daemon::config;
use crate::server;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "drop_write",
        rule: "drop where op=write,lba=8+8",
        result: "success; the medium is not touched",
        check: |bench| {
            bench.write().unwrap();
            bench.untouched();
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
        },
    },
    Row {
        name: "drop_read",
        rule: "drop where op=read,lba=8+8",
        result: "success with zeroes",
        check: |bench| {
            let mut memory = Aligned::filled(&[0x77; LEN]);
            bench
                .disk
                .file
                .read_exact_at(memory.bytes_mut(), AT)
                .unwrap();
            assert_eq!(memory.bytes(), [0; LEN]);
            bench.untouched();
        },
    },
    Row {
        name: "drop_write_zeroes",
        rule: "drop where op=write_zeroes,lba=8+8",
        result: "success; the medium is not touched",
        check: |bench| {
            bench.disk.zero(AT, LEN as u64).unwrap();
            bench.untouched();
        },
    },
    Row {
        name: "corrupt_read",
        rule: "corrupt:on=destination,kind=xor:80,at=10+16 where op=read,lba=8+8",
        result: "success; those 16 bytes are wrong, the medium is not touched",
        check: |bench| {
            let mut expected = vec![OLD; LEN];
            expected[10..26].fill(OLD ^ 0x80);
            assert_eq!(bench.read().unwrap(), expected);
            bench.untouched();
            let damaged = bench.events(EventKind::Damaged);
            let changed = damaged[0].changed.as_ref().unwrap();
            assert_eq!((changed[0].offset_bytes, changed[0].len_bytes), (10, 16));
        },
    },
    Row {
        name: "corrupt_write",
        rule: "corrupt:on=source,kind=set:ee,at=10+16 where op=write,lba=8+8",
        result: "success; those 16 bytes are wrong on the medium, the client's memory is not touched",
        check: |bench| {
            let memory = Aligned::filled(&[OLD; LEN]);
            bench.disk.file.write_all_at(memory.bytes(), AT).unwrap();
            bench.only_new_in(10..26);
            assert_eq!(memory.bytes(), [OLD; LEN]);
        },
    },
    Row {
        name: "corrupt_drawn_bits",
        rule: "corrupt:kind=flip,places=3 where op=read,lba=8+8 with seed=7",
        result: "success; up to three bits are turned, others at each read",
        check: |bench| {
            let wrong =
                |bytes: &[u8]| -> u32 { bytes.iter().map(|byte| (byte ^ OLD).count_ones()).sum() };
            let (one, two) = (bench.read().unwrap(), bench.read().unwrap());
            for bytes in [&one, &two] {
                assert!((1..=3).contains(&wrong(bytes)), "{}", wrong(bytes));
            }
            assert_ne!(one, two);
            bench.untouched();
        },
    },
    Row {
        name: "misdirect_read",
        rule: "misdirect:to=+8 where op=read,lba=8+8",
        result: "success with what the next eight sectors hold",
        check: |bench| {
            bench.disk.write(AT + 4096, &[NEW; LEN]);
            assert_eq!(bench.read().unwrap(), [NEW; LEN]);
            assert_eq!(bench.medium(AT, LEN), [OLD; LEN]);
        },
    },
    Row {
        name: "misdirect_write",
        rule: "misdirect:to=+8 where op=write,lba=8+8",
        result: "success; the data is in the next eight sectors",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_in(4096..8192);
        },
    },
    Row {
        name: "misdirect_write_not_lost",
        rule: "misdirect:to=+8,lost=no where op=write,lba=8+8",
        result: "success; the data is in both places",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_in(0..8192);
        },
    },
    Row {
        name: "short_write",
        rule: "short:sectors=3 where op=write,lba=8+8 when count=1",
        result: "until Linux 7.2 the rest is sent again; from 7.3 on success, and the rest is lost",
        check: |bench| {
            bench.write().unwrap();
            let lost = server::kernel() >= (7, 3);
            bench.only_new_in(0..if lost { 3 * 512 } else { LEN });
        },
    },
    Row {
        name: "short_read",
        rule: "short:sectors=3 where op=read,lba=8+8 when count=1",
        result: "until Linux 7.2, and under copy, the rest is sent again; else from 7.3 on success, and the rest of the memory is as it was",
        check: short_read,
    },
    Row {
        name: "ignore_flush",
        rule: "ignore_flush where op=flush",
        result: "fsync succeeds and nothing reaches the backing",
        check: |bench| ignored(bench, "ignore_flush where op=flush", Op::Flush),
    },
    Row {
        name: "ignore_fua",
        rule: "ignore_fua where op=write",
        result: "a durable write succeeds and is not made durable",
        check: |bench| ignored(bench, "ignore_fua where op=write", Op::Write),
    },
];

fn short_read(bench: &mut Bench) {
    let mut memory = Aligned::filled(&[0x77; LEN]);
    bench
        .disk
        .file
        .read_exact_at(memory.bytes_mut(), AT)
        .unwrap();
    let again = server::kernel() < (7, 3) || bench.path == api::DataPath::Copy;
    let mut expected = vec![OLD; LEN];
    if !again {
        expected[3 * 512..].fill(0x77);
    }
    assert_eq!(memory.bytes(), expected);
    bench.untouched();
}

/// A second device on top of the first one, whose rule leaves out what makes data durable: the lower one's
/// counters say what came.
fn ignored(bench: &Bench, rule: &str, op: Op) {
    bench.heal();
    let lower = bench.daemon.add_loop(SIZE, api::DataPath::Copy).0;
    let target = api::TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct: true,
    };
    let upper = bench.daemon.add(&config(target, bench.path));
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
