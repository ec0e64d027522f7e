//! What a backing can do: its size, its units, how it zeroes.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::{BackingError, Mode, device_number};
use crate::target::Zeroing;
use crate::target::{Keep, PUNCH, ZERO_RANGE};

/// The limits of an open backing.
pub(super) struct Limits {
    pub(super) size_bytes: u64,
    pub(super) logical_block_bytes: u32,
    pub(super) physical_block_bytes: u32,
    pub(super) memory_alignment_bytes: u32,
    pub(super) discard_granularity_bytes: u32,
    pub(super) volatile_cache: bool,
    pub(super) zeroing: Zeroing,
    pub(super) in_memory: bool,
}

pub(super) fn read(
    path: &Path,
    file: &File,
    metadata: &Metadata,
    mode: Mode,
) -> Result<Limits, BackingError> {
    let inspect = |what| move |source: io::Error| inspect_error(path, what, source);
    let end = lseek(file, 0, Whence::SeekEnd).map_err(|e| inspect("size")(e.into()))?;
    let size_bytes = u64::try_from(end).unwrap_or(0);
    if metadata.file_type().is_block_device() {
        return Ok(block_device(metadata, size_bytes, mode));
    }
    // O_DIRECT on a file needs offsets aligned to the device below; statx tells since Linux 6.1.
    let (memory, offset) = direct_alignment(file).unwrap_or((512, 512));
    let logical_block_bytes = if mode.direct { offset.max(512) } else { 512 };
    let cluster = u32::try_from(metadata.blksize()).unwrap_or(4096);
    let page_or_less = |bytes: u32| bytes.clamp(512, 4096);
    Ok(Limits {
        size_bytes,
        logical_block_bytes,
        physical_block_bytes: page_or_less(cluster).max(logical_block_bytes),
        memory_alignment_bytes: memory.clamp(4, 4096),
        discard_granularity_bytes: page_or_less(cluster),
        // A file system keeps data in its cache, and metadata there even with O_DIRECT.
        volatile_cache: !mode.read_only,
        zeroing: file_zeroing(file, size_bytes, mode),
        in_memory: !mode.direct && is_in_memory(file),
    })
}

/// Tries what the file system can do on a range behind the end of the file, where it changes no data and
/// no size (`FALLOC_FL_KEEP_SIZE`); blocks preallocated there are given up.
fn file_zeroing(file: &File, size_bytes: u64, mode: Mode) -> Zeroing {
    if mode.read_only {
        return Zeroing::NONE;
    }
    let works = |mode: i32| {
        let flags = FallocateFlags::from_bits_retain(mode);
        let Ok(behind) = i64::try_from(size_bytes.next_multiple_of(4096)) else {
            return false;
        };
        fallocate(file, flags, behind, 4096).is_ok()
    };
    let unmap = works(PUNCH).then_some(PUNCH);
    let keep = if works(ZERO_RANGE) {
        // ZERO_RANGE may have allocated the range behind the end: give it back.
        let _ = works(PUNCH);
        Some(Keep::Range(ZERO_RANGE))
    } else {
        // Some punch holes and allocate nothing ahead, such as ext4 on an inode without extents.
        let allocates = unmap.is_some() && works(libc::FALLOC_FL_KEEP_SIZE);
        let _ = allocates && works(PUNCH);
        allocates.then_some(Keep::PunchAndAllocate)
    };
    Zeroing { unmap, keep }
}

/// A block device's limits stand in its queue directory, for a partition in its disk's.
fn block_device(metadata: &Metadata, size_bytes: u64, mode: Mode) -> Limits {
    let (major, minor) = device_number(metadata);
    let node = format!("/sys/dev/block/{major}:{minor}");
    let text = |name: &str| -> Option<String> {
        let read = |path: String| Some(fs::read_to_string(path).ok()?.trim().to_owned());
        read(format!("{node}/queue/{name}")).or_else(|| read(format!("{node}/../queue/{name}")))
    };
    let attribute = |name: &str| -> Option<u64> { text(name)?.parse().ok() };
    let bytes = |name: &str, default: u32| {
        attribute(name)
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(default)
    };
    let logical_block_bytes = bytes("logical_block_size", 512);
    // fallocate on a block device (`blkdev_fallocate`): PUNCH_HOLE is write zeroes that may unmap,
    // without a fallback; ZERO_RANGE falls back to writing zeroes and so always works.
    let unmap = (attribute("write_zeroes_max_bytes").unwrap_or(0) > 0).then_some(PUNCH);
    let zeroing = Zeroing {
        unmap,
        keep: Some(Keep::Range(ZERO_RANGE)),
    };
    // What is written past the page cache to a device without a cache of its own is durable at once.
    let write_through = mode.direct && text("write_cache").as_deref() == Some("write through");
    Limits {
        in_memory: false,
        size_bytes,
        logical_block_bytes,
        physical_block_bytes: bytes("physical_block_size", 512)
            .min(4096)
            .max(logical_block_bytes),
        // A mask (`queue_dma_alignment`, block/blk-sysfs.c).
        memory_alignment_bytes: bytes("dma_alignment", 511).saturating_add(1).clamp(4, 4096),
        discard_granularity_bytes: bytes("discard_granularity", 4096)
            .next_power_of_two()
            .clamp(512, 1 << 28),
        volatile_cache: !mode.read_only && !write_through,
        zeroing: if mode.read_only {
            Zeroing::NONE
        } else {
            zeroing
        },
    }
}

/// Whether a file lies on tmpfs or ramfs.
fn is_in_memory(file: &File) -> bool {
    /// `RAMFS_MAGIC` (linux/magic.h); the crates do not have it.
    const RAMFS: i64 = 0x8584_58f6;
    rustix::fs::fstatfs(file).is_ok_and(|found| [libc::TMPFS_MAGIC, RAMFS].contains(&found.f_type))
}

/// Memory and offset alignment for O_DIRECT in bytes (statx(2), `STATX_DIOALIGN`).
fn direct_alignment(file: &File) -> Option<(u32, u32)> {
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    let (memory, offset) = (found.stx_dio_mem_align, found.stx_dio_offset_align);
    (memory > 0 && offset > 0).then_some((memory, offset))
}

fn inspect_error(path: &Path, what: &'static str, source: io::Error) -> BackingError {
    BackingError::Inspect {
        path: path.to_owned(),
        what,
        source,
    }
}
