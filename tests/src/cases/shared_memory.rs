//! Data path `shared-memory`: what lies in a shared buffer is not copied, what does not is, and both are
//! right.

mod client;
mod huge;
mod limits;
mod pins;

use std::fs::File;
use std::os::unix::fs::FileExt;

use api::{BufferConfig, DataPath, Device, DeviceConfig, SharedMemoryStats, TargetConfig, call};
use nix::fcntl::SealFlag;

use crate::client_io::Disk;
use crate::daemon::{Daemon, config};
use crate::model::{Model, Step, Way, first_difference, pattern};
use crate::outcome::{Case, Outcome, need_data_path};
use crate::sys::SharedMap;
use client::{memfd, seal};

const OWN: &[Case] = &[
    Case::new("shared_memory::loop_mixed_with_copies", loop_mixed),
    Case::new("shared_memory::loop_direct_mixed_with_copies", direct_mixed),
    Case::new("shared_memory::ram_mixed_with_copies", ram_mixed),
    Case::new(
        "shared_memory::ram_unsealed_mixed_with_copies",
        ram_unsealed,
    ),
    Case::new("shared_memory::null_keeps_clients_apart", null_apart),
    Case::new("shared_memory::read_only_serves_sources_alone", read_only),
    Case::new("shared_memory::several_buffers_and_queues", several),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    [OWN, huge::CASES, limits::CASES, pins::CASES]
        .into_iter()
        .flatten()
        .copied()
}

const SIZE: usize = 8 << 20;
const BUFFER: usize = 1 << 20;
const STEPS: usize = 300;

/// What a device says about its shared memory.
fn counts(daemon: &Daemon, device: &Device) -> SharedMemoryStats {
    let stats = daemon.ask(call::stats(device.id));
    stats.shared_memory.unwrap()
}

/// A sealed memfd that is registered with the device and mapped.
pub(crate) fn shared(daemon: &Daemon, device: &Device) -> SharedMap {
    SharedMap::of(&register_sealed(daemon, device), true)
}

/// A sealed memfd of 1 MiB that is registered with the device.
pub(crate) fn register_sealed(daemon: &Daemon, device: &Device) -> File {
    let file = memfd(BUFFER);
    seal(&file, SealFlag::F_SEAL_SHRINK);
    register(daemon, device, &file);
    file
}

fn register(daemon: &Daemon, device: &Device, file: &File) -> SharedMap {
    let call = call::add_buffer(device.id, &BufferConfig::default());
    let buffer = daemon.ask(call.with_file(file.try_clone().unwrap()));
    assert_eq!(buffer.size_bytes, file.metadata().unwrap().len());
    SharedMap::of(file, true)
}

/// Random reads and writes, half of them in shared memory, half in memory of the client's own, against
/// the model; every one must be counted as what it is.
fn follow(daemon: &Daemon, device: &Device, map: &mut SharedMap, seed: u64) -> Model {
    let disk = Disk::open(&device.path);
    let mut model = Model::new(SIZE, 512, seed);
    let before = counts(daemon, device);
    let (mut shared, mut copied) = (0, 0);
    for number in 0..STEPS {
        let step = model.next_step();
        let in_shared = number % 2 == 0;
        match step {
            // The page cache's pages are in no buffer of ours: conformance looks at those.
            Step::Read { way, .. } | Step::Write { way, .. } if way == Way::Cached => continue,
            Step::Read { len, .. } | Step::Write { len, .. } => {
                // Off the beginning of a page too: the driver names the offset within the buffer.
                let at = (number * 7 % 100) * 512;
                let part = &mut map.bytes_mut()[at..at + len];
                do_step(&disk, &model, step, in_shared.then_some(part));
                if in_shared { shared += 1 } else { copied += 1 }
            }
            Step::Flush => disk.file.sync_data().unwrap(),
            // What has no payload is the same on every data path.
            Step::Discard { .. } | Step::Zero { .. } => continue,
        }
        model.apply(step);
    }
    let after = counts(daemon, device);
    assert_eq!(
        after.shared - before.shared,
        shared,
        "served from the buffer"
    );
    assert_eq!(after.copied - before.copied, copied, "copied");
    let all = disk.read(0, SIZE);
    assert_eq!(first_difference(&all, model.bytes()), None, "at the end");
    model
}

fn do_step(disk: &Disk, model: &Model, step: Step, part: Option<&mut [u8]>) {
    match (step, part) {
        (Step::Read { offset, len, .. }, Some(part)) => {
            part.fill(0xa5);
            disk.file.read_exact_at(part, offset).unwrap();
            let differs = first_difference(part, model.part(offset, len));
            assert_eq!(differs, None, "shared {step:?}");
        }
        (Step::Read { offset, len, .. }, None) => {
            let read = disk.read(offset, len);
            let differs = first_difference(&read, model.part(offset, len));
            assert_eq!(differs, None, "copied {step:?}");
        }
        (
            Step::Write {
                offset, len, fill, ..
            },
            Some(part),
        ) => {
            part.copy_from_slice(&pattern(fill, len));
            disk.file.write_all_at(part, offset).unwrap();
        }
        (
            Step::Write {
                offset, len, fill, ..
            },
            None,
        ) => disk.write(offset, &pattern(fill, len)),
        _ => {}
    }
}

fn loop_mixed() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let (device, file) = daemon.add_loop(SIZE as u64, DataPath::SharedMemory);
    let mut map = shared(&daemon, &device);
    let model = follow(&daemon, &device, &mut map, 31);
    let backing = std::fs::read(&file).unwrap();
    assert_eq!(
        first_difference(model.bytes(), &backing),
        None,
        "the backing"
    );
    daemon.stop();
    Outcome::Passed
}

/// The client's memory goes to a backing that wants alignment: it must have reached the device.
fn direct_mixed() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let below = daemon.add_ram(SIZE as u64, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: below.path.clone().into(),
        direct: true,
    };
    let device = daemon.add(&config(target, DataPath::SharedMemory));
    let mut map = shared(&daemon, &device);
    let model = follow(&daemon, &device, &mut map, 32);
    let backing = Disk::open(&below.path).read(0, SIZE);
    assert_eq!(
        first_difference(model.bytes(), &backing),
        None,
        "the backing"
    );
    daemon.stop();
    Outcome::Passed
}

fn ram_mixed() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let mut map = shared(&daemon, &device);
    follow(&daemon, &device, &mut map, 33);
    daemon.stop();
    Outcome::Passed
}

/// Memory that could be cut short: the kernel moves the bytes, and they are right too.
fn ram_unsealed() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let mut map = register(&daemon, &device, &memfd(BUFFER));
    let listed = daemon.ask(call::buffers(device.id)).buffers;
    assert!(!listed[0].sealed);
    follow(&daemon, &device, &mut map, 34);
    daemon.stop();
    Outcome::Passed
}

/// Nothing of one client's reaches another through `null`, whichever memory a request is in.
fn null_apart() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let target = TargetConfig::Null {
        size_bytes: SIZE as u64,
    };
    let one_tag = DeviceConfig {
        depth: 1,
        ..config(target, DataPath::SharedMemory)
    };
    let device = daemon.add(&one_tag);
    let mut map = shared(&daemon, &device);
    let disk = Disk::open(&device.path);
    for round in 0..20 {
        disk.write(0, &pattern(round, 8192));
        map.bytes_mut().fill(0xa5);
        disk.file
            .read_exact_at(&mut map.bytes_mut()[..8192], 0)
            .unwrap();
        assert!(
            map.bytes()[..8192].iter().all(|byte| *byte == 0),
            "round {round}"
        );
        assert!(
            map.bytes()[8192..].iter().all(|byte| *byte == 0xa5),
            "too far"
        );
        let read = disk.read(0, 8192);
        assert!(
            read.iter().all(|byte| *byte == 0),
            "round {round}: foreign data"
        );
    }
    assert_eq!(counts(&daemon, &device).shared, 20);
    daemon.stop();
    Outcome::Passed
}

/// Memory that is sealed against writing: its requests are sources alone, and others are copied.
fn read_only() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let file = memfd(BUFFER);
    file.write_all_at(&pattern(5, BUFFER), 0).unwrap();
    // A mapping from before the seal may be written through.
    let mut map = SharedMap::of(&file, true);
    seal(
        &file,
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_FUTURE_WRITE,
    );
    let send = |read_only| {
        let config = BufferConfig {
            file: None,
            read_only,
        };
        call::add_buffer(device.id, &config).with_file(file.try_clone().unwrap())
    };
    let problem = daemon.refused(send(false));
    assert!(
        problem.detail.contains("sealed against writing"),
        "{problem}"
    );
    assert!(daemon.ask(send(true)).read_only);
    let disk = Disk::open(&device.path);
    disk.file.write_all_at(&map.bytes()[..65536], 4096).unwrap();
    assert_eq!(disk.read(4096, 65536), pattern(5, BUFFER)[..65536]);
    let before = counts(&daemon, &device);
    assert_eq!((before.shared, before.copied), (1, 1));
    disk.file
        .read_exact_at(&mut map.bytes_mut()[65536..131_072], 4096)
        .unwrap();
    assert_eq!(map.bytes()[65536..131_072], pattern(5, BUFFER)[..65536]);
    let after = counts(&daemon, &device);
    assert_eq!(
        (after.shared, after.copied),
        (1, 2),
        "a destination was shared"
    );
    daemon.stop();
    Outcome::Passed
}

/// A request that spans two buffers is copied; each queue finds every buffer.
fn several() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let target = TargetConfig::Ram {
        size_bytes: SIZE as u64,
    };
    let device = daemon.add(&DeviceConfig {
        queues: 4,
        ..config(target, DataPath::SharedMemory)
    });
    let workers: Vec<_> = (0..4_u64)
        .map(|number| {
            let mut map = shared(&daemon, &device);
            let path = device.path.clone();
            std::thread::spawn(move || {
                let mut set = nix::sched::CpuSet::new();
                set.set(usize::try_from(number).unwrap()).unwrap();
                // Fewer CPUs than workers: then they share.
                let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
                let disk = Disk::open(path);
                for round in 0..16 {
                    let (from, to) = (number << 20 | round << 15, 1 << 15);
                    map.bytes_mut()[..to].copy_from_slice(&pattern(from, to));
                    disk.file.write_all_at(&map.bytes()[..to], from).unwrap();
                    let read = &mut map.bytes_mut()[to..2 * to];
                    disk.file.read_exact_at(read, from).unwrap();
                    assert_eq!(read, pattern(from, to));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let counts = counts(&daemon, &device);
    assert_eq!((counts.shared, counts.copied), (4 * 32, 0));
    assert_eq!(daemon.ask(call::buffers(device.id)).buffers.len(), 4);
    daemon.stop();
    Outcome::Passed
}
