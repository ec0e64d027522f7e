//! Whether a block device can be written, as its clients see it.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::error::Error;

/// `_IO(0x12, 93)`, include/uapi/linux/fs.h.
const BLKROSET: libc::Ioctl = 0x125d;

/// Makes a block device read-only, or writable again (`BLKROSET`). Whoever has it open for writing keeps it
/// so: a direct or cached write is refused with `EPERM` (`blkdev_write_iter`), and what a file system sends is
/// let through with a warning in the kernel's log (`bio_check_ro`).
///
/// # Errors
/// The system's.
pub fn set_read_only(path: &str, on: bool) -> Result<(), Error> {
    let context = || Error::system(format!("make {path} read-only or writable"));
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(path)
        .map_err(context())?;
    let value = libc::c_int::from(on);
    // SAFETY: the request reads one integer, which lives until it returns.
    match unsafe { libc::ioctl(file.as_raw_fd(), BLKROSET, &raw const value) } {
        0 => Ok(()),
        _ => Err(context()(std::io::Error::last_os_error())),
    }
}
