//! Each selector chooses what it names on a device, and nothing that differs in that alone. Requests are direct, so that the
//! kernel sends them as they are asked for.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use api::fault::Counters;
use api::{DataPath, Device, DeviceConfig, EventKind, TargetConfig, call};
use rustix::io::{ReadWriteFlags, pwritev2};

use crate::client_io::{Aligned, Disk, errno, pin_to};
use crate::daemon::{Daemon, config};
use crate::deadline::wait_for;
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};
use crate::scratch::Mounted;

pub(crate) const CASES: &[Case] = &[
    Case::new("selectors::size_and_align", || table(SHAPES)),
    Case::new("selectors::each_overlap", || table(OVERLAPS)),
    Case::new("selectors::fua_and_nounmap", || table(FLAGS)),
    Case::new("selectors::read_ahead_is_failfast", failfast),
    Case::new("selectors::a_file_system_tells_its_metadata", meta),
    Case::new("selectors::data_copy", || data(DataPath::Copy)),
    Case::new("selectors::data_user_copy", || data(DataPath::UserCopy)),
    Case::new("selectors::data_zero_copy", || data(DataPath::ZeroCopy)),
    Case::new("selectors::data_auto_zero_copy", || {
        data(DataPath::AutoZeroCopy)
    }),
    Case::new("selectors::data_shared_memory", || {
        data(DataPath::SharedMemory)
    }),
    Case::new("selectors::queue", queue),
    Case::new("selectors::epoch", epoch),
];

const SIZE: u64 = 4 << 20;

/// A request: its first sector and how many.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Read(u64, u64),
    Write(u64, u64),
    /// A write with `RWF_DSYNC`, which goes out with FUA.
    Durable(u64, u64),
    /// Write zeroes, which may deallocate.
    Zero(u64, u64),
    /// Write zeroes with NOUNMAP.
    ZeroKeeping(u64, u64),
}

use Ask::{Durable, Read, Write, Zero, ZeroKeeping};

impl Ask {
    fn of(self, disk: &Disk) -> io::Result<()> {
        let bytes = |sectors: u64| usize::try_from(sectors * 512).unwrap();
        match self {
            Read(sector, sectors) => disk.try_read(sector * 512, bytes(sectors)).map(drop),
            Write(sector, sectors) => disk.try_write(sector * 512, &vec![7; bytes(sectors)]),
            Durable(sector, sectors) => {
                let memory = Aligned::filled(&vec![9; bytes(sectors)]);
                let parts = [IoSlice::new(memory.bytes())];
                let written = pwritev2(&disk.file, &parts, sector * 512, ReadWriteFlags::DSYNC)?;
                assert_eq!(written, bytes(sectors));
                Ok(())
            }
            Zero(sector, sectors) => disk.zero(sector * 512, sectors * 512),
            ZeroKeeping(sector, sectors) => disk.zero_keeping(sector * 512, sectors * 512),
        }
    }
}

/// A selector, requests that it chooses, and requests that it does not.
type Row = (&'static str, &'static [Ask], &'static [Ask]);

const SHAPES: &[Row] = &[
    ("op=read,size=4K", &[Read(0, 8)], &[Read(0, 7), Read(0, 9)]),
    (
        "op=read,size>=64K",
        &[Read(0, 128), Read(0, 129)],
        &[Read(0, 127)],
    ),
    ("op=read,size<8", &[Read(0, 7)], &[Read(0, 8)]),
    ("op=read,size!=8", &[Read(0, 7), Read(0, 9)], &[Read(0, 8)]),
    (
        "op=write,size=1",
        &[Write(0, 1)],
        &[Write(0, 2), Read(0, 1)],
    ),
    (
        "align=4K",
        &[Read(8, 1), Write(0, 1)],
        &[Read(9, 1), Write(4, 8)],
    ),
    ("op=read,align=1M", &[Read(2048, 8)], &[Read(1024, 8)]),
    ("op=read,align=3", &[Read(9, 1)], &[Read(8, 1)]),
    (
        "op=read,size<=8,align=4K",
        &[Read(8, 8)],
        &[Read(8, 9), Read(9, 8)],
    ),
];

const OVERLAPS: &[Row] = &[
    (
        "op=read,lba=8+8|32+8",
        &[Read(15, 2), Read(0, 64), Read(39, 1)],
        &[Read(16, 2), Read(0, 8), Read(16, 16)],
    ),
    (
        "op=read,lba=8+8|32+8,overlap=within",
        &[Read(10, 2), Read(8, 8), Read(36, 4)],
        &[Read(15, 2), Read(8, 9), Read(7, 9), Read(8, 32)],
    ),
    (
        "op=read,lba=8+8|32+8,overlap=covers",
        &[Read(6, 12), Read(32, 8), Read(0, 16)],
        &[Read(9, 12), Read(33, 8), Read(9, 30)],
    ),
    (
        "op=read,lba=8+8|32+8,overlap=exact",
        &[Read(8, 8), Read(32, 8)],
        &[Read(8, 7), Read(8, 9), Read(9, 8), Read(8, 32)],
    ),
];

const FLAGS: &[Row] = &[
    ("op=write,flags=fua", &[Durable(0, 8)], &[Write(0, 8)]),
    ("op=write,flags=!fua", &[Write(0, 8)], &[Durable(0, 8)]),
    (
        "op=write_zeroes,flags=nounmap",
        &[ZeroKeeping(0, 8)],
        &[Zero(0, 8)],
    ),
    (
        "op=write_zeroes,flags=!nounmap",
        &[Zero(0, 8)],
        &[ZeroKeeping(0, 8)],
    ),
    (
        "flags=fua+!meta",
        &[Durable(0, 8)],
        &[Write(0, 8), ZeroKeeping(0, 8)],
    ),
];

fn counters(daemon: &Daemon, device: &Device, rule: &str) -> Counters {
    daemon.ask(call::rule(device.id, rule)).counters
}

/// The rule has chosen so many requests, and fired on each.
fn fired(daemon: &Daemon, device: &Device, rule: &str, times: u64) {
    let counters = counters(daemon, device, rule);
    assert_eq!((counters.matched, counters.fired), (times, times), "{rule}");
}

fn table(rows: &[Row]) -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    for (selector, selected, others) in rows {
        for ask in *selected {
            let pass = || {
                for other in *others {
                    let got = other.of(&disk);
                    got.unwrap_or_else(|error| panic!("{selector}: {other:?}: {error}"));
                }
            };
            daemon.rule(device.id, "r", &format!("fail:MEDIUM where {selector}"));
            pass();
            fired(&daemon, &device, "r", 0);
            match (ask, ask.of(&disk)) {
                // Until 6.10 the block layer writes the zeroes after any failure (`__blkdev_issue_zeroout`).
                (ZeroKeeping(..), Ok(())) => {}
                (_, got) => assert_eq!(errno(got), libc::ENODATA, "{selector}: {ask:?}"),
            }
            pass();
            fired(&daemon, &device, "r", 1);
            daemon.ask(call::remove_rule(device.id, "r"));
            ask.of(&disk).unwrap();
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// The block layer takes what reads ahead for something that may fail (`blk_mq_bio_to_request`).
fn failfast() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "r", "fail:MEDIUM where op=read,flags=failfast");
    let cached = Disk::open_with(&device.path, 0);
    let advice = rustix::fs::Advice::WillNeed;
    let len = std::num::NonZeroU64::new(4096);
    rustix::fs::fadvise(&cached.file, 1 << 20, len, advice).unwrap();
    wait_for("the read ahead", || {
        (counters(&daemon, &device, "r").fired == 1).then_some(())
    });
    Disk::open(&device.path).read(1 << 20, 4096);
    fired(&daemon, &device, "r", 1);
    daemon.stop();
    Outcome::Passed
}

/// ext4 reads inodes as metadata, and what a program reads of a file as data.
fn meta() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(32 << 20, DataPath::Copy);
    let place = Mounted::ext4_on(&device.path);
    std::fs::write(place.path().join("file"), [5; 4096]).unwrap();
    place.unmount();
    daemon.rule(device.id, "meta", "notify where op=read,flags=meta");
    daemon.rule(device.id, "data", "notify where op=read,flags=!meta");
    let place = Mounted::new(&format!("mount -t ext4 {}", device.path));
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(place.path().join("file"))
        .unwrap();
    let mut memory = Aligned::new(4096);
    let mut read = || {
        file.read_exact_at(memory.bytes_mut(), 0).unwrap();
        assert_eq!(memory.bytes(), [5; 4096]);
        ["meta", "data"].map(|rule| counters(&daemon, &device, rule).fired)
    };
    let [meta, data] = read();
    assert!(meta > 0, "no inode was read");
    // Where the file lies is known now.
    assert_eq!(read(), [meta, data + 1]);
    drop(file);
    place.unmount();
    daemon.stop();
    Outcome::Passed
}

/// CRC-32C, bit by bit: another way than the daemon's.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

/// Data that patterns are found in, across pages and at both ends, and the same but for a byte of each.
fn data(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, file) = daemon.add_loop(SIZE, path);
    let disk = Disk::open(&device.path);
    let mut base = pattern(9, 16_384);
    base[..4].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    base[8190..8194].copy_from_slice(&[0xfe, 0xed, 0xfa, 0xce]);
    let zeroes = vec![0; base.len()];
    let sum = format!("crc32c:{:08x}", crc32c(&base));
    for (test, selected, differs_at) in [
        ("hex:deadbeef@0", &base, 3),
        ("hex:edface@8191", &base, 8191),
        ("contains:feedface", &base, 8193),
        (&*sum, &base, base.len() - 1),
        ("zero", &zeroes, base.len() - 1),
    ] {
        let before = std::fs::read(&file).unwrap();
        daemon.rule(device.id, "d", &format!("fail:NOSPC where data={test}"));
        let got = errno(disk.try_write(4096, selected));
        assert_eq!(got, libc::ENOSPC, "{test}");
        assert!(std::fs::read(&file).unwrap() == before, "{test}: written");
        let mut other = selected.clone();
        other[differs_at] ^= 1;
        disk.write(4096, &other);
        let medium = std::fs::read(&file).unwrap();
        assert!(
            medium[4096..][..other.len()] == other,
            "{test}: not written"
        );
        fired(&daemon, &device, "d", 1);
        daemon.ask(call::remove_rule(device.id, "d"));
        disk.write(4096, selected);
        assert!(disk.read(4096, base.len()) == *selected, "{test}");
    }
    daemon.stop();
    Outcome::Passed
}

/// The same read, by clients on all CPUs: it fails by the one queue, and comes through by the other.
fn queue() -> Outcome {
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    if cpus < 2 {
        return Outcome::Skipped("2 CPUs are needed".to_owned());
    }
    let daemon = Daemon::start();
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let device = daemon.add(&DeviceConfig {
        queues: 2,
        ..config(target, DataPath::Copy)
    });
    let read_on = |cpu: u64| {
        let disk = Disk::open(&device.path);
        let reader = std::thread::spawn(move || {
            pin_to(cpu);
            disk.try_read(4096, 4096)
        });
        reader.join().unwrap()
    };
    daemon.rule(device.id, "see", "notify where op=read,lba=8+8");
    (0..cpus).for_each(|cpu| drop(read_on(cpu).unwrap()));
    let events = daemon.events(EventKind::Fired);
    let queues: Vec<u16> = events.iter().map(|event| event.queue.unwrap()).collect();
    assert_eq!(queues.len() as u64, cpus);
    for number in [0, 1] {
        assert!(queues.contains(&number), "no CPU uses queue {number}");
        let words = format!("fail:MEDIUM where op=read,lba=8+8,queue={number}");
        daemon.rule(device.id, "q", &words);
        for (cpu, queue) in (0..cpus).zip(&queues) {
            match *queue == number {
                true => assert_eq!(errno(read_on(cpu)), libc::ENODATA, "queue {queue}"),
                false => assert_eq!(read_on(cpu).unwrap().len(), 4096),
            }
        }
        let times = queues.iter().filter(|queue| **queue == number).count() as u64;
        fired(&daemon, &device, "q", times);
        daemon.ask(call::remove_rule(device.id, "q"));
    }
    daemon.stop();
    Outcome::Passed
}

/// An epoch begins with each flush that has completed, and with none that failed.
fn epoch() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let now = daemon.ask(call::memory(device.id)).epoch;
    daemon.rule(device.id, "no", "fail where op=flush when count=1");
    let words = format!("fail:MEDIUM where op=read,epoch={}", now + 1);
    daemon.rule(device.id, "e", &words);
    disk.read(0, 4096);
    assert_eq!(errno(disk.file.sync_all()), libc::EIO);
    disk.read(0, 4096);
    disk.file.sync_all().unwrap();
    assert_eq!(errno(disk.try_read(0, 4096)), libc::ENODATA);
    disk.file.sync_all().unwrap();
    disk.read(0, 4096);
    fired(&daemon, &device, "e", 1);
    daemon.stop();
    Outcome::Passed
}
