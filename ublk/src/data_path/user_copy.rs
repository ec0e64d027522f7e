//! Data path `user-copy`: the server moves the payload itself, by pread and pwrite on the character
//! device at a position that names queue, tag and offset. It may do so at any time while the request
//! is uncommitted, and as often as it likes: this is what lets a held request's pages be looked at.

use std::io;
use std::os::fd::RawFd;

use libublk::sys;

use super::copy::Staging;
use crate::direction::{Destination, Source};
use crate::memory::Span;
use crate::request::Request;

/// One queue's staging memory and the way to the requests' pages.
#[derive(Debug)]
pub(crate) struct UserCopy {
    staging: Staging,
    queue: u16,
    char_device: RawFd,
}

impl UserCopy {
    pub(crate) fn new(
        queue: u16,
        depth: u16,
        max_io_bytes: u32,
        char_device: RawFd,
    ) -> io::Result<Self> {
        Ok(Self {
            staging: Staging::new(depth, max_io_bytes)?,
            queue,
            char_device,
        })
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Fetches a source request's payload into the staging memory.
    ///
    /// A plain system call rather than an entry of the ring: the character device cannot be read
    /// without blocking as far as io_uring knows, which would move each copy to a worker thread.
    pub(crate) fn gather(&self, source: Source<'_>) -> io::Result<()> {
        let request = source.request();
        let span = self.payload(request)?;
        let position = position(self.queue, request.tag());
        // SAFETY: the span is mapped and writable, and is this tag's own.
        let copied = unsafe {
            libc::pread(
                self.char_device,
                span.as_ptr().cast(),
                span.len_bytes(),
                position,
            )
        };
        whole(copied, span.len_bytes())
    }

    /// Stores the first `len_bytes` of the staging memory in a destination request's pages.
    pub(crate) fn scatter(&self, destination: Destination<'_>, len_bytes: u32) -> io::Result<()> {
        let request = destination.request();
        let span = self.staging.span(request.tag(), len_bytes);
        let position = position(self.queue, request.tag());
        // SAFETY: the span is mapped, and is this tag's own.
        let copied = unsafe {
            libc::pwrite(
                self.char_device,
                span.as_ptr().cast(),
                span.len_bytes(),
                position,
            )
        };
        whole(copied, span.len_bytes())
    }

    /// The way to the pages of one payload, for a part of it.
    pub(crate) fn pages(&self) -> Pages {
        Pages::new(self.queue, self.char_device)
    }

    fn payload(&self, request: &Request) -> io::Result<Span<'_>> {
        let len = u32::try_from(request.len_bytes())
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(self.staging.span(request.tag(), len))
    }
}

/// The way to the requests' pages of one queue, for a part of a payload at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pages {
    queue: u16,
    char_device: RawFd,
}

impl Pages {
    pub(crate) fn new(queue: u16, char_device: RawFd) -> Self {
        Self { queue, char_device }
    }

    /// Copies from a source request's pages.
    pub(crate) fn peek(self, source: Source<'_>, at: u32, into: &mut [u8]) -> io::Result<()> {
        let position = position(self.queue, source.request().tag()) + i64::from(at);
        // SAFETY: `into` is writable for its length until the call returns.
        let copied = unsafe {
            let memory = into.as_mut_ptr().cast();
            libc::pread(self.char_device, memory, into.len(), position)
        };
        whole(copied, into.len())
    }

    /// Copies into a destination request's pages.
    pub(crate) fn poke(self, destination: Destination<'_>, at: u32, from: &[u8]) -> io::Result<()> {
        let position = position(self.queue, destination.request().tag()) + i64::from(at);
        // SAFETY: `from` is readable for its length until the call returns.
        let copied = unsafe {
            let memory = from.as_ptr().cast();
            libc::pwrite(self.char_device, memory, from.len(), position)
        };
        whole(copied, from.len())
    }
}

/// Where the payload of (queue, tag) begins in the character device (`ublk_pos`, ublk_drv.c).
pub(crate) fn position(queue: u16, tag: u16) -> i64 {
    i64::from(sys::UBLKSRV_IO_BUF_OFFSET)
        + (i64::from(queue) << sys::UBLK_QID_OFF)
        + (i64::from(tag) << sys::UBLK_TAG_OFF)
}

fn whole(copied: isize, expected: usize) -> io::Result<()> {
    match usize::try_from(copied) {
        Ok(length) if length == expected => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EIO)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_tags_and_queues_do_not_meet() {
        assert_eq!(position(0, 0), 0x8000_0000);
        assert_eq!(position(0, 1) - position(0, 0), 32 << 20);
        assert!(position(1, 0) > position(0, u16::MAX));
    }

    #[test]
    fn a_short_copy_is_an_error() {
        assert!(whole(4096, 4096).is_ok());
        assert_eq!(
            whole(512, 4096).unwrap_err().raw_os_error(),
            Some(libc::EIO)
        );
    }
}
