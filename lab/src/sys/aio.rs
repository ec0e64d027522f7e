//! What io_submit(2) takes and io_getevents(2) gives, and how a call counts bytes.

use std::io;

/// The bytes that a call moved, or why it did not.
pub(super) fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// `struct iocb` of include/uapi/linux/aio_abi.h, little-endian.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ControlBlock {
    pub(super) data: u64,
    pub(super) key: u32,
    pub(super) rw_flags: u32,
    pub(super) opcode: u16,
    pub(super) priority: i16,
    pub(super) file: u32,
    pub(super) memory: u64,
    pub(super) bytes: u64,
    pub(super) offset: i64,
    pub(super) reserved: u64,
    pub(super) flags: u32,
    pub(super) eventfd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Event {
    pub(super) data: u64,
    pub(super) block: u64,
    pub(super) result: i64,
    pub(super) result2: i64,
}
