//! The raw system calls of the tests.
#![expect(unsafe_code, reason = "ioctls on block devices have no safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

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
