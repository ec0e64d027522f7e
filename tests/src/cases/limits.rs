//! The largest and the smallest request, and those that the kernel must refuse before the daemon hears of
//! them: on every data path and transport.

use std::io;
use std::os::unix::fs::FileExt;

use api::fault::Op;
use api::{DataPath, Device, DeviceConfig, TargetConfig, Transport, call};

use crate::cases::answers::combinations;
use crate::cases::conformance::zero;
use crate::client_io::{Aligned, Disk, errno};
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::sys;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "limits::the_largest_and_the_smallest_are_one_request",
        sizes,
    )
    .within(120),
    Case::new("limits::misaligned_ones_never_reach_the_daemon", misaligned).within(120),
    Case::new("limits::the_largest_that_the_driver_has", thirty_two).within(120),
];

const SIZE: u64 = 4 << 20;
/// One bio of 256 pages (`BIO_MAX_VECS`), below the block layer's own default limit.
const LARGEST: u32 = 1 << 20;
/// A physical block in: a request that begins inside of one is cut at the end of one
/// (`get_max_io_size`, block/blk-merge.c).
const OFFSET: u64 = 4096;

fn add(daemon: &Daemon, path: DataPath, transport: Transport, block: u32) -> Device {
    let target = TargetConfig::Ram { size_bytes: SIZE };
    daemon.add(&DeviceConfig {
        transport,
        logical_block_bytes: Some(block),
        max_io_bytes: LARGEST,
        ..config(target, path)
    })
}

/// How many requests of an operation were committed, and their bytes.
fn committed(daemon: &Daemon, device: &Device, op: Op) -> (u64, u64) {
    let stats = daemon.ask(call::stats(device.id));
    let found = stats.ops.iter().find(|stats| stats.op == op).unwrap();
    (found.ios, found.bytes)
}

/// A request is a request: none is cut or put together on the way.
fn sizes() -> Outcome {
    let daemon = Daemon::start();
    let data = pattern(5, LARGEST as usize + 4096);
    for (path, transport) in combinations(&daemon) {
        for block in [512, 4096_u32] {
            let device = add(&daemon, path, transport, block);
            let disk = Disk::open(&device.path);
            let largest = LARGEST as usize;
            // A block more than the largest makes two of it.
            let lengths = [
                (block as usize, 1),
                (largest, 1),
                (largest + block as usize, 2),
            ];
            for (len, requests) in lengths {
                for op in [Op::Write, Op::Read] {
                    let before = committed(&daemon, &device, op);
                    match op {
                        Op::Write => disk.write(OFFSET, &data[..len]),
                        _ => assert!(disk.read(OFFSET, len) == data[..len]),
                    }
                    let after = committed(&daemon, &device, op);
                    let found = (after.0 - before.0, after.1 - before.1);
                    let what = format!("{op} of {len} on {path} by {transport}, block {block}");
                    assert_eq!(found, (requests, len as u64), "{what}");
                }
            }
            drop(disk);
            daemon.ask(call::delete_device(device.id));
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// What must be refused at submission, each with what it is.
fn attempts(disk: &Disk, block: u32, alignment: usize) -> Vec<(String, io::Result<()>)> {
    let block = u64::from(block);
    let half = usize::try_from(block / 2).unwrap();
    let whole = half * 2;
    let mut memory = Aligned::new(whole * 2 + alignment);
    let mut tried = Vec::new();
    // Offset, length, and where in a page the memory begins.
    for (offset, len, skew) in [
        (block / 2, whole, 0),
        (block, half, 0),
        (block, whole + half, 0),
        (block, whole, alignment / 2),
    ] {
        let what = format!("{len} bytes at {offset}, memory {skew} off");
        let part = &mut memory.bytes_mut()[skew..skew + len];
        tried.push((
            format!("read of {what}"),
            disk.file.read_exact_at(part, offset),
        ));
        tried.push((
            format!("write of {what}"),
            disk.file.write_all_at(part, offset),
        ));
    }
    for (offset, len) in [(block / 2, block), (block, block / 2)] {
        let what = format!("of {len} at {offset}");
        tried.push((
            format!("discard {what}"),
            sys::discard(&disk.file, offset, len),
        ));
        for keep in [false, true] {
            let done = zero(&disk.file, offset, len, keep);
            tried.push((format!("zeroes {what}, keep {keep}"), done));
        }
    }
    tried
}

fn misaligned() -> Outcome {
    let daemon = Daemon::start();
    for (path, transport) in combinations(&daemon) {
        for block in [512, 4096] {
            let device = add(&daemon, path, transport, block);
            let disk = Disk::open(&device.path);
            let alignment = usize::try_from(sys::memory_alignment(&device.path)).unwrap();
            let before = daemon.ask(call::stats(device.id)).ops;
            for (what, done) in attempts(&disk, block, alignment) {
                let what = format!("{what} on {path} by {transport}, block {block}");
                assert!(done.is_err(), "{what} was taken");
                assert_eq!(errno(done), libc::EINVAL, "{what}");
            }
            // Beyond the end there is nothing to read, and no space.
            let block = usize::try_from(block).unwrap();
            let mut memory = Aligned::new(block);
            assert_eq!(disk.file.read_at(memory.bytes_mut(), SIZE).unwrap(), 0);
            assert_eq!(errno(disk.try_write(SIZE, &vec![1; block])), libc::ENOSPC);
            let after = daemon.ask(call::stats(device.id));
            assert_eq!(after.ops, before, "the daemon heard of one, {path}");
            assert_eq!(after.inflight, 0);
            // The device is none the worse: an aligned one is served.
            disk.write(0, &vec![1; block]);
            drop(disk);
            daemon.ask(call::delete_device(device.id));
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// 32 MiB in one go, which is what `UBLK_IO_BUF_BITS` leaves.
fn thirty_two() -> Outcome {
    const LEN: usize = 32 << 20;
    let daemon = Daemon::start();
    let data = pattern(6, LEN);
    for (path, transport) in combinations(&daemon) {
        let target = TargetConfig::Ram {
            size_bytes: LEN as u64,
        };
        let device = daemon.add(&DeviceConfig {
            transport,
            max_io_bytes: 32 << 20,
            depth: 4,
            ..config(target, path)
        });
        let queue = format!("/sys/block/ublkb{}/queue", device.id);
        let most = std::fs::read_to_string(format!("{queue}/max_hw_sectors_kb")).unwrap();
        assert_eq!(most.trim(), "32768");
        // The block layer's own default is less.
        std::fs::write(format!("{queue}/max_sectors_kb"), "32768").unwrap();
        let disk = Disk::open(&device.path);
        disk.write(0, &data);
        assert!(disk.read(0, LEN) == data, "{path} by {transport}");
        let stats = daemon.ask(call::stats(device.id));
        let writes = stats
            .ops
            .iter()
            .find(|stats| stats.op == Op::Write)
            .unwrap();
        assert_eq!((writes.bytes, writes.errors), (LEN as u64, 0));
        drop(disk);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}
