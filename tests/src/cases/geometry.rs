//! The shape of a device is what was asked for, as the kernel tells it, or it is refused before the
//! kernel hears of it.

use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use api::fault::Op;
use api::{DataPath, Device, DeviceConfig, ProblemCode, TargetConfig, call};

use crate::client_io::{Aligned, Disk};
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};
use crate::scratch::{Mounted, NullBlk, RAM_DISK};

pub(crate) const CASES: &[Case] = &[
    Case::new("geometry::what_is_asked_for_is_what_the_kernel_has", asked),
    Case::new("geometry::blocks_of_every_size_are_served", blocks),
    Case::new("geometry::segments_split_requests", segments),
    Case::new(
        "geometry::no_discard_and_no_write_zeroes_if_told",
        no_ranges,
    ),
    Case::new("geometry::what_the_backing_cannot_is_pointed_to", refused),
    Case::new("geometry::misaligned_clients_never_reach_ext4", || {
        let Some(place) = Mounted::ext4() else {
            return Outcome::Skipped("the kernel's brd is missing".to_owned());
        };
        misaligned(&place.file("backing", 4 << 20))
    }),
    Case::new("geometry::misaligned_clients_never_reach_a_disk", || {
        misaligned(RAM_DISK.as_ref())
    }),
    Case::new(
        "geometry::misaligned_clients_never_reach_a_disk_of_4096",
        || {
            let attributes = [("memory_backed", 1), ("size", 4), ("blocksize", 4096)];
            let Some(disk) = NullBlk::with("nullb_4k", &attributes) else {
                return Outcome::Skipped("the kernel's null_blk is missing".to_owned());
            };
            misaligned(disk.path.as_ref())
        },
    ),
];

const SIZE: u64 = 4 << 20;

fn null(path: DataPath) -> DeviceConfig {
    config(TargetConfig::Null { size_bytes: SIZE }, path)
}

/// An attribute of the device's queue, as the kernel tells it.
fn queue(device: &Device, name: &str) -> u64 {
    let path = format!("/sys/block/ublkb{}/queue/{name}", device.id);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim().parse().unwrap()
}

/// Everything that the API says of the device's shape is what the kernel says.
fn agrees_with_the_kernel(device: &Device) {
    let limits = device.limits;
    let bytes = u64::from;
    let zeroes = queue(device, "write_zeroes_max_bytes");
    for (name, ours, kernels) in [
        (
            "logical",
            bytes(device.logical_block_bytes),
            queue(device, "logical_block_size"),
        ),
        (
            "physical",
            bytes(device.physical_block_bytes),
            queue(device, "physical_block_size"),
        ),
        (
            "io_min",
            bytes(limits.io_min_bytes),
            queue(device, "minimum_io_size"),
        ),
        (
            "io_opt",
            bytes(limits.io_opt_bytes),
            queue(device, "optimal_io_size"),
        ),
        (
            "max_io",
            bytes(device.max_io_bytes),
            queue(device, "max_hw_sectors_kb") << 10,
        ),
        (
            "segments",
            limits.max_segments.into(),
            queue(device, "max_segments"),
        ),
        (
            "segment",
            bytes(limits.max_segment_bytes),
            queue(device, "max_segment_size"),
        ),
        (
            "alignment",
            bytes(limits.dma_alignment_bytes),
            queue(device, "dma_alignment") + 1,
        ),
        (
            "rotational",
            limits.rotational.into(),
            queue(device, "rotational"),
        ),
        ("fua", limits.volatile_cache.into(), queue(device, "fua")),
        (
            "unit",
            bytes(limits.discard_granularity_bytes),
            queue(device, "discard_granularity"),
        ),
        (
            "discard",
            bytes(limits.max_discard_bytes),
            queue(device, "discard_max_hw_bytes"),
        ),
        ("zeroes", bytes(limits.max_write_zeroes_bytes), zeroes),
    ] {
        assert_eq!(ours, kernels, "{name}: {device:?}");
    }
    let read_only = std::fs::read_to_string(format!("/sys/block/ublkb{}/ro", device.id)).unwrap();
    assert_eq!(read_only.trim() == "1", device.read_only);
}

fn asked() -> Outcome {
    let daemon = Daemon::start();
    agrees_with_the_kernel(&daemon.add(&null(DataPath::Copy)));
    let shaped = DeviceConfig {
        logical_block_bytes: Some(1024),
        physical_block_bytes: Some(2048),
        io_min_bytes: Some(8192),
        io_opt_bytes: Some(65536),
        max_io_bytes: 1 << 20,
        read_only: true,
        rotational: true,
        discard_granularity_bytes: Some(65536),
        max_discard_bytes: Some(1 << 20),
        max_write_zeroes_bytes: Some(2 << 20),
        ..null(DataPath::Copy)
    };
    let device = daemon.add(&shaped);
    agrees_with_the_kernel(&device);
    let limits = device.limits;
    assert_eq!((limits.io_min_bytes, limits.io_opt_bytes), (8192, 65536));
    assert_eq!(limits.discard_granularity_bytes, 65536);
    let later = DeviceConfig {
        max_segments: Some(16),
        max_segment_bytes: Some(65536),
        dma_alignment_bytes: Some(2048),
        ..shaped
    };
    match daemon.client.send(call::add_device(&later)) {
        Ok(device) => {
            agrees_with_the_kernel(&device);
            assert_eq!(device.limits.max_segments, 16);
            assert_eq!(device.limits.dma_alignment_bytes, 2048);
        }
        // Older drivers drop these kinds of parameters silently.
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("since Linux 6.15"), "{message}");
        }
    }
    daemon.stop();
    Outcome::Passed
}

fn blocks() -> Outcome {
    let daemon = Daemon::start();
    for logical in [512, 1024, 2048, 4096] {
        let shaped = DeviceConfig {
            logical_block_bytes: Some(logical),
            ..config(TargetConfig::Ram { size_bytes: SIZE }, DataPath::Auto)
        };
        let device = daemon.add(&shaped);
        agrees_with_the_kernel(&device);
        let disk = Disk::open(&device.path);
        let len = usize::try_from(logical).unwrap();
        let data = pattern(logical.into(), len);
        disk.write(u64::from(logical) * 3, &data);
        assert_eq!(disk.read(u64::from(logical) * 3, len), data);
        if logical > 512 {
            assert!(
                disk.try_read(512, 512).is_err(),
                "less than a block was read"
            );
        }
        drop(disk);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

fn reads(daemon: &Daemon, device: &Device) -> u64 {
    let stats = daemon.ask(call::stats(device.id));
    stats.ops.iter().find(|of| of.op == Op::Read).unwrap().ios
}

/// Pieces of at most a page, four a request: 64 KiB in one call are four requests of 16 KiB.
fn segments() -> Outcome {
    let daemon = Daemon::start();
    for shaped in [
        DeviceConfig {
            segment_boundary_bytes: Some(4096),
            max_segments: Some(4),
            ..null(DataPath::Copy)
        },
        DeviceConfig {
            max_segment_bytes: Some(4096),
            max_segments: Some(4),
            ..null(DataPath::Copy)
        },
    ] {
        let device = match daemon.client.send(call::add_device(&shaped)) {
            Ok(device) => device,
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("since Linux"), "{message}");
                daemon.stop();
                return Outcome::NotApplicable(message);
            }
        };
        let disk = Disk::open(&device.path);
        let before = reads(&daemon, &device);
        disk.read(0, 64 << 10);
        assert_eq!(reads(&daemon, &device) - before, 4);
    }
    daemon.stop();
    Outcome::Passed
}

fn no_ranges() -> Outcome {
    let daemon = Daemon::start();
    let shaped = DeviceConfig {
        max_discard_bytes: Some(0),
        max_write_zeroes_bytes: Some(0),
        ..config(TargetConfig::Ram { size_bytes: SIZE }, DataPath::Copy)
    };
    let device = daemon.add(&shaped);
    agrees_with_the_kernel(&device);
    assert_eq!(device.limits.max_discard_bytes, 0);
    daemon.stop();
    Outcome::Passed
}

fn refuse(daemon: &Daemon, config: &DeviceConfig, pointer: &str, words: &str) {
    let problem = daemon.refused(call::add_device(config));
    assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
    assert_eq!(problem.pointer.as_deref(), Some(pointer), "{problem}");
    assert!(
        problem.detail.contains(words),
        "`{words}` not in: {problem}"
    );
}

fn loop_on(file: impl Into<PathBuf>, direct: bool, path: DataPath) -> DeviceConfig {
    let file = file.into();
    config(TargetConfig::Loop { file, direct }, path)
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    let plain = loop_on(daemon.file(SIZE), false, DataPath::Copy);
    // A read-only device discards nothing, whatever its backing can.
    let read_only = DeviceConfig {
        read_only: true,
        ..plain.clone()
    };
    let discard = DeviceConfig {
        max_discard_bytes: Some(1 << 20),
        ..read_only.clone()
    };
    refuse(&daemon, &discard, "/max_discard_bytes", "cannot discard");
    let zeroes = DeviceConfig {
        max_write_zeroes_bytes: Some(1 << 20),
        ..read_only
    };
    refuse(
        &daemon,
        &zeroes,
        "/max_write_zeroes_bytes",
        "cannot write zeroes",
    );
    // What the backing makes of the physical block is known only now.
    let block = "4096, the physical block";
    let small = DeviceConfig {
        io_min_bytes: Some(512),
        ..plain.clone()
    };
    refuse(&daemon, &small, "/io_min_bytes", block);
    let fine = DeviceConfig {
        discard_granularity_bytes: Some(512),
        ..plain
    };
    refuse(&daemon, &fine, "/discard_granularity_bytes", block);
    let attributes = [("memory_backed", 1), ("size", 4), ("blocksize", 4096)];
    if let Some(disk) = NullBlk::with("nullb_4k", &attributes) {
        let small = DeviceConfig {
            logical_block_bytes: Some(512),
            ..loop_on(&disk.path, false, DataPath::Copy)
        };
        let block = "4096, the block of the backing";
        refuse(&daemon, &small, "/logical_block_bytes", block);
        if daemon.lacks(DataPath::AutoZeroCopy).is_none() {
            let loose = DeviceConfig {
                dma_alignment_bytes: Some(512),
                ..loop_on(&disk.path, true, DataPath::AutoZeroCopy)
            };
            refuse(&daemon, &loose, "/dma_alignment_bytes", "at least 4096");
        }
    }
    assert_eq!(daemon.ask(call::devices()).devices, []);
    daemon.stop();
    Outcome::Passed
}

/// Clients with memory at odd places, alone and in pieces, on every data path that hands that memory to an
/// O_DIRECT backing: the kernel refuses them at our device or serves them, and the backing never
/// answers with an error.
fn misaligned(backing: &Path) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::AutoZeroCopy);
    let target = TargetConfig::Loop {
        file: backing.to_owned(),
        direct: true,
    };
    let device = daemon.add(&config(target, DataPath::AutoZeroCopy));
    agrees_with_the_kernel(&device);
    let block = usize::try_from(device.logical_block_bytes).unwrap();
    let disk = Disk::open(&device.path);
    let len = 8 * block;
    let data = pattern(7, len);
    disk.write(0, &data);
    let (mut served, mut refused) = (0, 0);
    let mut count = |result: std::io::Result<usize>, filled: &[u8]| match result {
        Ok(len) => {
            served += 1;
            assert_eq!(filled[..len], data[..len], "wrong bytes");
        }
        Err(error) => {
            refused += 1;
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
        }
    };
    for shift in [0, 4, 8, 64, 256, 512, 1024, 2048, 4096] {
        let mut memory = Aligned::new(len + 4096);
        let window = &mut memory.bytes_mut()[shift..shift + len];
        count(disk.file.read_at(window, 0), window);
        // Two pieces: a short one at the end of a page, and the rest.
        let mut memory = Aligned::new(4096 + len);
        let (first, rest) = memory.bytes_mut().split_at_mut(4096);
        let pieces = &mut [
            IoSliceMut::new(&mut first[4096 - shift..]),
            IoSliceMut::new(&mut rest[..len - shift]),
        ];
        let read = nix::sys::uio::preadv(&disk.file, pieces, 0).map_err(Into::into);
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        count(read, &whole);
    }
    assert!(
        served > 0 && refused > 0,
        "{served} served, {refused} refused"
    );
    let stats = daemon.ask(call::stats(device.id));
    for of in &stats.ops {
        assert_eq!(of.errors, 0, "the backing refused: {of:?}");
    }
    daemon.stop();
    Outcome::Passed
}
