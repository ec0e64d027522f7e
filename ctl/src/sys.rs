//! The raw system calls of bvecctl: where a file's data lies.
//!
//! UNSAFE: two ioctls on an open file.
#![expect(
    unsafe_code,
    reason = "FS_IOC_FIEMAP and FS_IOC_FSGETXATTR have no safe wrapper"
)]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

/// Extents asked for at a time.
const BATCH: u32 = 128;

/// `FIEMAP_FLAG_SYNC`, include/uapi/linux/fiemap.h: write the file's data first.
const FLAG_SYNC: u32 = 1;

/// `FIEMAP_EXTENT_LAST`: no extent follows.
const EXTENT_LAST: u32 = 1;

/// `FS_XFLAG_REALTIME`, include/uapi/linux/fs.h: the data is on XFS's other device.
const XFLAG_REALTIME: u32 = 1;

/// `struct fiemap_extent`, include/uapi/linux/fiemap.h.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct FileExtent {
    /// Where it is in the file, in bytes.
    pub(crate) logical: u64,
    /// Where it is in the block device that is mounted, in bytes.
    pub(crate) physical: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
    pub(crate) reserved: [u64; 2],
    /// `FIEMAP_EXTENT_*`.
    pub(crate) flags: u32,
    pub(crate) reserved_too: [u32; 3],
}

/// `struct fiemap` with room for extents behind it.
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [FileExtent; BATCH as usize],
}

/// `struct fsxattr`, include/uapi/linux/fs.h.
#[derive(Default)]
#[repr(C)]
struct Attributes {
    flags: u32,
    rest: [u32; 4],
    padding: [u8; 8],
}

// The kernel writes as much as the request's number says.
const _: () = assert!(size_of::<FileExtent>() == 56 && size_of::<Attributes>() == 28);

nix::ioctl_read!(get_attributes, b'X', 31, Attributes);

/// `_IOWR('f', 11, struct fiemap)`, where the struct is 32 bytes without its extents.
const FIEMAP: libc::Ioctl = nix::request_code_readwrite!(b'f', 11, 32);

/// Where the bytes of a file from `start` on, `length` of them, lie, in the order of the file. With `sync`, what
/// has no place yet is written first.
///
/// # Errors
/// `ioctl(2)`'s: `EOPNOTSUPP` on a file system that cannot tell.
pub(crate) fn extents(
    file: &File,
    start: u64,
    length: u64,
    sync: bool,
) -> io::Result<Vec<FileExtent>> {
    let end = start.saturating_add(length);
    let mut found = Vec::new();
    let mut from = start;
    while from < end {
        let mut map = Map {
            start: from,
            length: end - from,
            flags: if sync { FLAG_SYNC } else { 0 },
            mapped: 0,
            room: BATCH,
            reserved: 0,
            extents: [FileExtent::default(); BATCH as usize],
        };
        // SAFETY: the kernel writes a header and at most `room` extents, for which `map` has room, and
        // which may have any bits.
        match unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP, &raw mut map) } {
            0 => {}
            _ => return Err(io::Error::last_os_error()),
        }
        let count = map.mapped.min(BATCH) as usize;
        let batch = &map.extents[..count];
        found.extend_from_slice(batch);
        let Some(last) = batch.last().filter(|last| last.flags & EXTENT_LAST == 0) else {
            break;
        };
        let next = last.logical.saturating_add(last.length);
        if next <= from {
            break;
        }
        from = next;
    }
    Ok(found)
}

/// Whether the data of a file is on the realtime device of its XFS rather than on the one that is mounted.
pub(crate) fn is_realtime(file: &File) -> bool {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes the whole struct, whose fields may have any bits.
    match unsafe { get_attributes(file.as_raw_fd(), &raw mut attributes) } {
        Ok(_) => attributes.flags & XFLAG_REALTIME != 0,
        // A file system without such attributes has no realtime device.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_was_written_has_extents_where_the_file_system_can_tell() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        match extents(&file, 0, u64::MAX, true) {
            Ok(extents) => {
                let end = extents
                    .iter()
                    .map(|extent| extent.logical + extent.length)
                    .max();
                assert!(end.is_some_and(|end| end >= 8192), "{extents:?}");
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
        assert!(!is_realtime(&file));
    }
}
