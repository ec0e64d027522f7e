//! The raw system calls of the tests.
#![expect(
    unsafe_code,
    reason = "ioctls on block devices and mmap have no safe wrapper"
)]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// `_IO(0x12, 119)`, include/uapi/linux/fs.h.
const BLKDISCARD: libc::Ioctl = 0x1277;

/// Discards a range of a block device, in bytes.
pub(crate) fn discard(device: &File, offset: u64, len: u64) -> io::Result<()> {
    let range = [offset, len];
    // SAFETY: the request takes a pointer to two 64-bit numbers, which live until it returns.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKDISCARD, range.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file of memory, mapped shared.
pub(crate) struct SharedMap {
    start: NonNull<u8>,
    len: usize,
}

impl SharedMap {
    /// Maps all of a file.
    pub(crate) fn of(file: &File, writable: bool) -> Self {
        let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
        let mut prot = ProtFlags::PROT_READ;
        prot.set(ProtFlags::PROT_WRITE, writable);
        let size = NonZeroUsize::new(len).unwrap();
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, size, prot, MapFlags::MAP_SHARED, file, 0) }.unwrap();
        Self {
            start: start.cast(),
            len,
        }
    }

    /// The memory. The daemon changes it only during a read into it, which the caller waits for.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped for as long as `self` lives; see above for who else writes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// As [`SharedMap::bytes`], to be changed; only of a mapping that was made writable.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by us, and no slice outlives `self`.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for SharedMap {}

/// What the memory of a direct request must be aligned to, in bytes.
pub(crate) fn memory_alignment(path: &str) -> u64 {
    let name = path.trim_start_matches("/dev/");
    // A mask (`queue_dma_alignment`, block/blk-sysfs.c).
    let mask = std::fs::read_to_string(format!("/sys/block/{name}/queue/dma_alignment"));
    mask.unwrap().trim().parse::<u64>().unwrap() + 1
}
