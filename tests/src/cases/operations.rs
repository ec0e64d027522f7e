//! Operations besides reading and writing, on everything that can back a device: what is zeroed reads as
//! zeroes, blocks are kept or given back as asked for, and a cache is told of where there is one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use api::{DataPath, Device, DeviceConfig, TargetConfig, call};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config, shell};
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::scratch::{Mounted, NullBlk, RAM_DISK};

pub(crate) const CASES: &[Case] = &[
    Case::new("operations::blocks_are_kept_or_given_back_on_tmpfs", || {
        let place = Mounted::tmpfs(16 * MIB);
        blocks_of_a_file(&place.file("backing", 4 * MIB))
    }),
    Case::new("operations::blocks_are_kept_or_given_back_on_ext4", || {
        let Some(place) = Mounted::ext4() else {
            return Outcome::Skipped("the kernel's brd is missing".to_owned());
        };
        blocks_of_a_file(&place.file("backing", 4 * MIB))
    }),
    Case::new(
        "operations::blocks_are_kept_or_given_back_without_extents",
        || {
            let Some(place) = Mounted::ext4_without_extents() else {
                return Outcome::Skipped("the kernel's brd is missing".to_owned());
            };
            blocks_of_a_file(&place.file("backing", 4 * MIB))
        },
    ),
    Case::new(
        "operations::blocks_are_kept_or_given_back_in_ram",
        blocks_of_ram,
    ),
    Case::new("operations::every_one_on_null_blk", on_null_blk),
    Case::new("operations::every_one_on_brd", || {
        on_disk(RAM_DISK, false);
        Outcome::Passed
    }),
    Case::new("operations::every_one_on_a_loop_device", on_loop_device),
    Case::new(
        "operations::a_disk_that_loses_write_zeroes_is_written_to",
        loses_zeroes,
    ),
    Case::new("operations::a_cache_is_told_of_where_there_is_one", cache),
];

const MIB: u64 = 1 << 20;

fn on(file: impl Into<PathBuf>, direct: bool) -> DeviceConfig {
    let file = file.into();
    config(TargetConfig::Loop { file, direct }, DataPath::Auto)
}

fn blocks_of_a_file(file: &Path) -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add(&on(file, false));
    keeps_and_gives_back(&device, || std::fs::metadata(file).unwrap().blocks() * 512);
    // What the file system cannot do was not offered, so that it was never asked.
    assert_eq!(daemon.ask(call::stats(device.id)).backing_errors, 0);
    daemon.stop();
    Outcome::Passed
}

fn blocks_of_ram() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 * MIB, DataPath::Auto);
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let memory = files.flatten().map(|entry| entry.path()).find(|path| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().starts_with("/memfd:")
    });
    let memory = memory.expect("the device's memory");
    keeps_and_gives_back(&device, || {
        std::fs::metadata(&memory).unwrap().blocks() * 512
    });
    daemon.stop();
    Outcome::Passed
}

/// `allocated` is how much of the backing is, in bytes.
fn keeps_and_gives_back(device: &Device, allocated: impl Fn() -> u64) {
    let disk = Disk::open(&device.path);
    let data = pattern(2, usize::try_from(2 * MIB).unwrap());
    let fresh = || {
        disk.write(0, &data);
        disk.file.sync_all().unwrap();
    };
    fresh();
    let full = allocated();
    assert!(full >= 2 * MIB, "only {full} bytes are allocated");
    disk.zero_keeping(0, MIB).unwrap();
    disk.file.sync_all().unwrap();
    assert!(
        allocated() >= full,
        "blocks were given back: {} of {full}",
        allocated()
    );
    reads_zero(&disk, 0, MIB);
    assert_eq!(disk.read(MIB, 4096), data[1 << 20..][..4096]);
    fresh();
    if device.limits.max_write_zeroes_bytes > 0 {
        disk.zero(0, MIB).unwrap();
    } else {
        // The kernel writes zeroes where a device cannot, but not for this call, which wants space back.
        assert_eq!(errno(disk.zero(0, MIB)), libc::EOPNOTSUPP);
        discard(device, 0, MIB);
    }
    assert!(
        allocated() <= full - MIB,
        "blocks were kept: {} of {full}",
        allocated()
    );
    reads_zero(&disk, 0, MIB);
    fresh();
    discard(device, MIB, MIB);
    assert!(
        allocated() <= full - MIB,
        "blocks were kept: {} of {full}",
        allocated()
    );
    reads_zero(&disk, MIB, MIB);
    assert_eq!(disk.read(0, 4096), data[..4096]);
}

fn reads_zero(disk: &Disk, offset: u64, len: u64) {
    let bytes = disk.read(offset, usize::try_from(len).unwrap());
    assert!(bytes.iter().all(|byte| *byte == 0), "not zero at {offset}");
}

fn discard(device: &Device, offset: u64, len: u64) {
    shell(&format!("blkdiscard -o {offset} -l {len} {}", device.path));
}

/// Every operation on a disk, buffered and direct; `discards` is whether ours must offer discard.
fn on_disk(path: &str, discards: bool) {
    let daemon = Daemon::start();
    for direct in [false, true] {
        let device = daemon.add(&on(path, direct));
        assert_eq!(device.limits.max_discard_bytes > 0, discards, "{device:?}");
        assert!(device.limits.max_write_zeroes_bytes > 0, "{device:?}");
        let disk = Disk::open_with(&device.path, libc::O_DIRECT | libc::O_DSYNC);
        let data = pattern(3, usize::try_from(MIB).unwrap());
        disk.write(0, &data);
        disk.file.sync_all().unwrap();
        assert_eq!(disk.read(0, data.len()), data);
        disk.zero_keeping(0, MIB / 2).unwrap();
        reads_zero(&disk, 0, MIB / 2);
        // Where the disk cannot zero by itself, the kernel does it by writing.
        disk.write(0, &data);
        let zeroed = disk.zero(MIB / 2, MIB / 2);
        if discards {
            zeroed.unwrap();
            reads_zero(&disk, MIB / 2, MIB / 2);
            discard(&device, 0, MIB / 2);
            reads_zero(&disk, 0, MIB / 2);
        }
        drop(disk);
        let stats = daemon.ask(call::stats(device.id));
        assert!(discards || stats.backing_errors <= 1, "{stats:?}");
        assert!(!discards || stats.backing_errors == 0, "{stats:?}");
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
}

fn on_null_blk() -> Outcome {
    let attributes = [("memory_backed", 1), ("size", 4), ("discard", 1)];
    let Some(disk) = NullBlk::with("nullb_ops", &attributes) else {
        return Outcome::Skipped("the kernel's null_blk is missing".to_owned());
    };
    let queue = "/sys/block/nullb_ops/queue/write_zeroes_max_bytes";
    let zeroes = std::fs::read_to_string(queue).unwrap();
    on_disk(&disk.path, zeroes.trim() != "0");
    Outcome::Passed
}

/// A loop device of the kernel's on a file.
struct LoopDevice(String);

impl LoopDevice {
    fn on(file: &Path) -> Self {
        let file = file.display();
        let attached = shell(&format!("d=$(losetup -f) && losetup $d {file} && echo $d"));
        Self(attached.trim().to_owned())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup")
            .args(["-d", &self.0])
            .status();
    }
}

fn on_loop_device() -> Outcome {
    let Some(place) = Mounted::ext4() else {
        return Outcome::Skipped("the kernel's brd is missing".to_owned());
    };
    let below = LoopDevice::on(&place.file("below", 4 * MIB));
    on_disk(&below.0, true);
    Outcome::Passed
}

/// tmpfs cannot zero a range and keep its blocks. The loop driver then gives up write zeroes altogether;
/// ours go on, by writing.
fn loses_zeroes() -> Outcome {
    let place = Mounted::tmpfs(16 * MIB);
    let below = LoopDevice::on(&place.file("below", 4 * MIB));
    let daemon = Daemon::start();
    let device = daemon.add(&on(&below.0, true));
    let disk = Disk::open(&device.path);
    for _ in 0..2 {
        disk.write(0, &pattern(3, 1 << 20));
        disk.zero_keeping(0, MIB / 2).unwrap();
        disk.zero(MIB / 2, MIB / 2).unwrap();
        reads_zero(&disk, 0, MIB);
        disk.write(0, &pattern(4, 4096));
        discard(&device, 0, 4096);
        reads_zero(&disk, 0, 4096);
    }
    assert_eq!(daemon.ask(call::stats(device.id)).backing_errors, 0);
    drop(disk);
    daemon.ask(call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}

/// Of a disk below, what it says; of a file always; of what is only read never.
fn cache() -> Outcome {
    let through = NullBlk::with("nullb_wt", &[("memory_backed", 1), ("size", 4)]);
    let cached = [("memory_backed", 1), ("size", 4), ("cache_size", 1)];
    let (Some(through), Some(back)) = (through, NullBlk::with("nullb_wb", &cached)) else {
        return Outcome::Skipped("the kernel's null_blk is missing".to_owned());
    };
    let daemon = Daemon::start();
    let file = daemon.file(4 * MIB);
    let read_only = |config: DeviceConfig| DeviceConfig {
        read_only: true,
        ..config
    };
    for (config, has) in [
        (on(&through.path, true), false),
        // The page cache is volatile, whatever is below.
        (on(&through.path, false), true),
        (on(&back.path, true), true),
        (on(&file, false), true),
        (read_only(on(&file, false)), false),
        (read_only(on(&back.path, true)), false),
    ] {
        let device = daemon.add(&config);
        assert_eq!(device.limits.volatile_cache, has, "{device:?}");
        let path = format!("/sys/block/ublkb{}/queue/write_cache", device.id);
        let told = std::fs::read_to_string(path).unwrap();
        let wanted = if has { "write back" } else { "write through" };
        assert_eq!(told.trim(), wanted, "{config:?}");
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}
