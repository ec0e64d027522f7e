//! Nothing in the path of a request allocates after start-up. A counting allocator for the whole
//! process watches while requests pass through the real loop on a real device.
//!
//! Runs as root on a kernel with ublk (`cargo xtask test`), and ends as the other suite does.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected must panic where it does"
)]
#![expect(
    clippy::print_stdout,
    reason = "the report of a test run goes to stdout"
)]

use std::alloc::System;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use api::{DataPath, DeviceConfig, Integrity, TargetConfig, Transport};
use daemon::device::{Device, Surroundings};
use daemon::events::EventLog;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile64;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::mpsc;
use ublk::{DataPathKind, Features, TransportKind};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PATHS: [(DataPath, DataPathKind); 5] = [
    (DataPath::Copy, DataPathKind::Copy),
    (DataPath::UserCopy, DataPathKind::UserCopy),
    (DataPath::ZeroCopy, DataPathKind::ZeroCopy),
    (DataPath::AutoZeroCopy, DataPathKind::AutoZeroCopy),
    (DataPath::SharedMemory, DataPathKind::SharedMemory),
];
const TRANSPORTS: [(Transport, TransportKind); 2] = [
    (Transport::PerIo, TransportKind::PerIo),
    (Transport::Batch, TransportKind::Batch),
];
const REQUESTS: u64 = 500;

fn main() -> ExitCode {
    let offered = match Features::probe() {
        Err(ublk::Error::NoDriver) if is_older_than_ublk() => {
            println!("not applicable  no_allocation: kernel without ublk (kernel < 6.4)");
            println!("0 passed, 0 failed, 0 skipped");
            return ExitCode::SUCCESS;
        }
        offered => offered.unwrap(),
    };
    let (mut passed, mut failed) = (0, 0);
    let mut run = |name: String, test: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        let ok = catch_unwind(test).is_ok();
        println!(
            "{}  no_allocation::{name}",
            if ok { "ok    " } else { "FAILED" }
        );
        if ok { passed += 1 } else { failed += 1 }
    };
    for ((path, path_kind), (transport, transport_kind)) in every_way() {
        if let Err(lacks) = offered.require(path_kind.features() | transport_kind.features()) {
            println!("not applicable  no_allocation::{path}_{transport}: {lacks}");
            continue;
        }
        let way = (path, transport);
        run(format!("loop_{path}_{transport}"), &|| {
            no_rule_touches(loop_target(), way, &[])
        });
        run(format!("ram_{path}_{transport}"), &|| {
            no_rule_touches(ram_target(), way, &[])
        });
        let idle = ["fail where op=read,lba=8000+8", "delay:1s where op=discard"];
        run(
            format!("rules_that_do_not_match_{path}_{transport}"),
            &|| {
                no_rule_touches(ram_target(), way, &idle);
            },
        );
    }
    if offered.contains(Features::SHMEM_ZC) {
        run("requests_in_a_shared_buffer".into(), &shared_buffer);
    }
    match offered.require(Features::INTEGRITY | Features::USER_COPY) {
        Ok(()) => run("protection_information".into(), &protected),
        Err(lacks) => println!("not applicable  no_allocation::protection_information: {lacks}"),
    }
    run("a_fault_that_fires".into(), &fault_fires);
    run("many_kinds_of_rules_that_do_not_match".into(), &|| {
        let way = (DataPath::Copy, Transport::PerIo);
        no_rule_touches(ram_target(), way, &MANY_KINDS);
    });
    run("a_planted_allocation_is_found".into(), &planted);
    println!("{passed} passed, {failed} failed, 0 skipped");
    if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether no ublk driver that bvecd can use is to be expected.
fn is_older_than_ublk() -> bool {
    let name = nix::sys::utsname::uname().unwrap();
    let mut numbers = name.release().to_str().unwrap().split(['.', '-']);
    let mut number = || numbers.next().unwrap().parse::<u32>().unwrap();
    (number(), number()) < (6, 4)
}

/// Rules of every stage, about sectors that the load never touches, or that are never their turn.
const MANY_KINDS: [&str; 8] = [
    "torn:parts=2,persist=1 where op=write,lba=8000+8",
    "corrupt:kind=flip where lba=8000+8",
    "misdirect:to=+8 where op=read,lba=8000+8",
    "short:sectors=1 where op=write,lba=8100+8",
    "delay:lognormal:1ms/20ms,at=complete where op=discard",
    "reorder:window=8 where op=write,size=1M",
    "hold where op=write,inflight>=2",
    "drop where op=write when nth=1000000",
];

type Way = (DataPath, Transport);

fn every_way() -> impl Iterator<Item = ((DataPath, DataPathKind), (Transport, TransportKind))> {
    let with = |transport| PATHS.into_iter().map(move |path| (path, transport));
    TRANSPORTS.into_iter().flat_map(with)
}

fn ram_target() -> TargetConfig {
    TargetConfig::Ram {
        size_bytes: 4 << 20,
    }
}

fn loop_target() -> TargetConfig {
    let file = PathBuf::from("/tmp/no-allocation");
    File::create(&file).unwrap().set_len(4 << 20).unwrap();
    TargetConfig::Loop {
        file,
        direct: false,
    }
}

/// A device in this process, with its client and aligned memory, all made before counting begins.
struct Bench {
    device: Device,
    disk: File,
    memory: Vec<u8>,
}

impl Bench {
    fn new(target: TargetConfig, (data_path, transport): Way, rules: &[&str]) -> Self {
        let rule = |(number, words): (usize, &&str)| {
            fault::Rule::parse(&format!("r{number}"), words).unwrap()
        };
        Self::of(DeviceConfig {
            data_path,
            transport,
            rules: rules.iter().enumerate().map(rule).collect(),
            ..DeviceConfig::new(target)
        })
    }

    fn of(config: DeviceConfig) -> Self {
        let (failures, _failed) = mpsc::unbounded_channel();
        let surroundings = Surroundings {
            events: Arc::new(EventLog::new()),
            failures,
            wishes: mpsc::unbounded_channel().0,
            state: None,
        };
        let offered = Features::probe().unwrap();
        let device = Device::add(config, offered, &surroundings).unwrap();
        let disk = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(format!("/dev/ublkb{}", device.id()))
            .unwrap();
        Self {
            device,
            disk,
            memory: vec![0; 3 * 4096],
        }
    }

    /// Reads and writes; returns how many requests failed.
    fn load(&mut self) -> u64 {
        let start = self.memory.as_ptr().align_offset(4096);
        let memory = &mut self.memory[start..start + 4096];
        let mut failed = 0;
        for number in 0..REQUESTS {
            let offset = (number % 256) * 4096;
            let result = match number % 2 {
                0 => self.disk.write_all_at(memory, offset),
                _ => self.disk.read_exact_at(memory, offset),
            };
            failed += u64::from(result.is_err());
        }
        self.disk.sync_data().unwrap();
        failed
    }

    fn end(self) {
        drop(self.disk);
        self.device.delete().unwrap();
    }
}

fn no_rule_touches(target: TargetConfig, way: Way, rules: &[&str]) {
    allocates_nothing(Bench::new(target, way, rules));
}

/// Tags are checked and kept in memory that was made before.
fn protected() {
    allocates_nothing(Bench::of(DeviceConfig {
        integrity: Integrity::T10Crc,
        data_path: DataPath::UserCopy,
        ..DeviceConfig::new(loop_target())
    }));
}

fn allocates_nothing(mut bench: Bench) {
    bench.load();
    let region = Region::new(ALLOCATOR);
    let failed = bench.load();
    let change = region.change();
    assert_eq!(failed, 0);
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    bench.end();
}

/// The memfd's own pages go to the device, by sendfile: every request is in the registered buffer.
fn shared_buffer() {
    let bench = Bench::new(
        ram_target(),
        (DataPath::SharedMemory, Transport::PerIo),
        &[],
    );
    let file: File = memfd_create("client", MFdFlags::MFD_ALLOW_SEALING)
        .unwrap()
        .into();
    file.set_len(1 << 20).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
    let id = bench.device.id();
    bench
        .device
        .shared
        .buffers
        .register(id, &file, false)
        .unwrap();
    let load = || {
        for number in 0..REQUESTS {
            let mut from = i64::try_from(number % 256).unwrap() * 4096;
            (&bench.disk)
                .seek(SeekFrom::Start(number % 256 * 4096))
                .unwrap();
            assert_eq!(
                sendfile64(&bench.disk, &file, Some(&mut from), 4096),
                Ok(4096)
            );
        }
    };
    load();
    let region = Region::new(ALLOCATOR);
    load();
    let change = region.change();
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    let counts = &bench.device.queues[0].shared_memory;
    assert_eq!((counts.shared(), counts.copied()), (2 * REQUESTS, 0));
    bench.end();
}

/// Even a rule that fires allocates nothing: the error and its events live in memory made before.
fn fault_fires() {
    let mut bench = Bench::new(
        ram_target(),
        (DataPath::Copy, Transport::PerIo),
        &["fail where op=read when every=3"],
    );
    bench.load();
    let region = Region::new(ALLOCATOR);
    let failed = bench.load();
    let change = region.change();
    assert!(failed > 50, "the rule fired {failed} times");
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    bench.end();
}

/// The count bites: one allocation on another thread while requests pass is seen.
fn planted() {
    let mut bench = Bench::new(ram_target(), (DataPath::Copy, Transport::PerIo), &[]);
    bench.load();
    let region = Region::new(ALLOCATOR);
    let other = std::thread::spawn(|| vec![1_u8; 100].len());
    bench.load();
    assert_eq!(other.join().unwrap(), 100);
    assert!(region.change().allocations > 0);
    bench.end();
}
