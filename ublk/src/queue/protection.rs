//! The protection information of a request: it has pages of its own, which are reached like the payload's
//! on `user-copy`, at a position with one more bit set (`UBLKSRV_IO_INTEGRITY_FLAG`, Linux 7.0).

use std::io;

use nix::sys::uio::{pread, pwrite};

use super::{Queue, payload_bytes};
use crate::data_path::position;
use crate::request::{Request, RequestFlags};

/// `UBLK_INTEGRITY_FLAG_OFF`, include/uapi/linux/ublk_cmd.h.
const PROTECTION: i64 = 1 << 62;

impl Queue {
    /// Whether protection information comes with a source request, or is to go with a destination request.
    #[must_use]
    pub fn is_protected(&self, request: &Request) -> bool {
        request.flags().contains(RequestFlags::INTEGRITY)
    }

    /// Fetches the protection information of a source request; `into` is as long as it.
    ///
    /// # Errors
    /// The driver's.
    pub fn gather_protection(&self, request: &Request, into: &mut [u8]) -> io::Result<()> {
        let at = position(self.config.queue, request.tag()) | PROTECTION;
        let expected = into.len();
        whole(pread(&*self.config.char_device, into, at)?, expected)
    }

    /// Stores the protection information of a destination request; `from` is as long as it.
    ///
    /// # Errors
    /// The driver's.
    pub fn scatter_protection(&self, request: &Request, from: &[u8]) -> io::Result<()> {
        let at = position(self.config.queue, request.tag()) | PROTECTION;
        whole(pwrite(&*self.config.char_device, from, at)?, from.len())
    }

    /// The payload of a request in staging memory, to be looked at: what a source request supplied, or what
    /// a destination request will get. None on data paths without staging memory that is the server's own.
    pub fn staged(&mut self, request: &Request) -> Option<&[u8]> {
        let len = payload_bytes(request)?;
        let span = self.path.staged(request.tag(), len)?;
        // SAFETY: the span is mapped for as long as the queue lives. On `user-copy` nobody but this queue
        // touches it, and the queue is borrowed; the request has no operation of the ring under way, since
        // its owner holds it.
        Some(unsafe { std::slice::from_raw_parts(span.as_ptr(), span.len_bytes()) })
    }
}

fn whole(moved: usize, expected: usize) -> io::Result<()> {
    match moved == expected {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EIO)),
    }
}
