//! Data path `copy`: each tag has staging memory in the server, whose address goes with FETCH and
//! COMMIT. The driver fills it before it delivers a source request and empties it when a destination
//! request is committed (`ublk_map_io`, `ublk_unmap_io`).

use std::io;
use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use crate::backing_op::BACKING_FILE;
use crate::direction::{Destination, Part, Source};
use crate::memory::{Mapping, Span};

/// Memory for one payload of each tag of a queue. `user-copy` uses it too.
#[derive(Debug)]
pub(crate) struct Staging {
    memory: Mapping,
    slot_bytes: usize,
}

impl Staging {
    pub(crate) fn new(depth: u16, max_io_bytes: u32) -> io::Result<Self> {
        let slot_bytes = max_io_bytes as usize;
        Ok(Self {
            memory: Mapping::anonymous(slot_bytes * usize::from(depth))?,
            slot_bytes,
        })
    }

    pub(crate) fn span(&self, tag: u16, len_bytes: u32) -> Span<'_> {
        assert!(
            len_bytes as usize <= self.slot_bytes,
            "payload of {len_bytes} bytes"
        );
        self.memory
            .span(usize::from(tag) * self.slot_bytes, len_bytes as usize)
    }

    /// `len` bytes of a tag's memory, from `offset_bytes` on.
    fn at(&self, tag: u16, offset_bytes: u32, len: usize) -> Span<'_> {
        let offset_bytes = offset_bytes as usize;
        assert!(
            offset_bytes + len <= self.slot_bytes,
            "{offset_bytes}+{len}"
        );
        let start = usize::from(tag) * self.slot_bytes;
        self.memory.span(start + offset_bytes, len)
    }

    pub(crate) fn part_of(&self, tag: u16, part: Part) -> *mut u8 {
        let end = part.request_offset_bytes() + part.len_bytes();
        // SAFETY: the span reaches to the end of the transfer, which begins at or before that end.
        unsafe {
            self.span(tag, end)
                .as_ptr()
                .add(part.request_offset_bytes() as usize)
        }
    }
}

/// The entry that fills a part of a payload, which lies at `memory`, from the backing.
#[inline]
pub(super) fn destination_entry(memory: *mut u8, part: Part) -> Entry {
    opcode::Read::new(types::Fixed(BACKING_FILE), memory, part.len_bytes())
        .offset(part.backing_offset_bytes())
        .build()
}

/// The entry that stores a part of a payload, which lies at `memory`, on the backing.
#[inline]
pub(super) fn source_entry(memory: *const u8, part: Part) -> Entry {
    opcode::Write::new(types::Fixed(BACKING_FILE), memory, part.len_bytes())
        .offset(part.backing_offset_bytes())
        .rw_flags(part.rw_flags())
        .build()
}

/// Reads from a backing in memory, without the ring. Returns bytes or a negative errno.
///
/// # Safety
/// The part must lie at `memory`, mapped writable, and be nobody else's until this returns. Pages of the
/// mapping that are gone are an error, not a fault.
pub(super) unsafe fn fill_at_once(backing: RawFd, memory: *mut u8, part: Part) -> i32 {
    // SAFETY: handed on from the caller.
    let moved = unsafe {
        libc::pread(
            backing,
            memory.cast(),
            part.len_bytes() as usize,
            offset(part),
        )
    };
    bytes_or_errno(moved)
}

/// Writes to a backing in memory, which has no medium that FUA could mean, without the ring.
///
/// # Safety
/// As [`fill_at_once`]; the mapping need not be writable.
pub(super) unsafe fn store_at_once(backing: RawFd, memory: *const u8, part: Part) -> i32 {
    // SAFETY: handed on from the caller.
    let moved = unsafe {
        libc::pwrite(
            backing,
            memory.cast(),
            part.len_bytes() as usize,
            offset(part),
        )
    };
    bytes_or_errno(moved)
}

fn offset(part: Part) -> i64 {
    // A device ends before 2^63 bytes.
    i64::try_from(part.backing_offset_bytes()).unwrap_or(i64::MAX)
}

/// What a system call that moves bytes has returned: bytes or a negative errno.
pub(crate) fn bytes_or_errno(moved: isize) -> i32 {
    match usize::try_from(moved) {
        // At most 32 MiB.
        Ok(bytes) => i32::try_from(bytes).unwrap_or(i32::MAX),
        Err(_) => -io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    }
}

/// One queue's staging memory, known to the driver by address.
#[derive(Debug)]
pub(crate) struct Copy {
    staging: Staging,
}

impl Copy {
    pub(crate) fn new(depth: u16, max_io_bytes: u32) -> io::Result<Self> {
        Ok(Self {
            staging: Staging::new(depth, max_io_bytes)?,
        })
    }

    pub(crate) fn address(&self, tag: u16) -> u64 {
        self.staging.span(tag, 0).as_ptr() as u64
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Copies from what the driver copied when it delivered the request.
    pub(crate) fn peek(&self, source: Source<'_>, offset_bytes: u32, into: &mut [u8]) {
        let from = self
            .staging
            .at(source.request().tag(), offset_bytes, into.len());
        // SAFETY: the span is mapped; the driver wrote it before it delivered the request, and does not
        // touch it before the commit. `into` is memory of somebody else.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), into.len()) };
    }

    /// Copies to what the driver brings to the pages at the commit.
    pub(crate) fn poke(&self, destination: Destination<'_>, offset_bytes: u32, from: &[u8]) {
        let to = self
            .staging
            .at(destination.request().tag(), offset_bytes, from.len());
        // SAFETY: as in `peek`, the other way.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), from.len()) };
    }
}
