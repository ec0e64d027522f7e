//! What can be asked of the backing of a device.

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use crate::direction::Part;

/// The backing among the ring's registered files.
pub(crate) const BACKING_FILE: u32 = 1;

/// An operation on the backing of a device, for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackingOp {
    /// Fill a part of a destination request's pages ([`Destination::fill`]).
    ///
    /// [`Destination::fill`]: crate::Destination::fill
    Fill(Part),
    /// Store a part of a source request's pages ([`Source::store`]).
    ///
    /// [`Source::store`]: crate::Source::store
    Store(Part),
    /// `fdatasync(2)`.
    Sync,
    /// `fallocate(2)`.
    Allocate {
        /// `FALLOC_FL_*`.
        mode: i32,
        /// Where on the backing, in bytes.
        offset_bytes: u64,
        /// How much, in bytes.
        len_bytes: u64,
    },
}

/// The entry for `fdatasync(2)`.
pub(crate) fn sync_entry() -> Entry {
    opcode::Fsync::new(types::Fixed(BACKING_FILE))
        .flags(types::FsyncFlags::DATASYNC)
        .build()
}

/// The entry for `fallocate(2)`.
pub(crate) fn allocate_entry(mode: i32, offset_bytes: u64, len_bytes: u64) -> Entry {
    opcode::Fallocate::new(types::Fixed(BACKING_FILE), len_bytes)
        .offset(offset_bytes)
        .mode(mode)
        .build()
}
