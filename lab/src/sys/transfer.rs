//! Calls that move the bytes of areas: positional reads and writes, vmsplice, and asynchronous I/O of the kernel.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::Area;
use super::aio::{ControlBlock, Event, count};

/// A part of an area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    address: usize,
    bytes: usize,
}

impl Span {
    /// A part of an area that must lie within it.
    pub(crate) fn of(area: Area, at: usize, bytes: usize) -> io::Result<Self> {
        Ok(Self {
            address: area.span(at, bytes)?,
            bytes,
        })
    }

    pub(super) fn address(self) -> usize {
        self.address
    }

    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    pub(super) fn vector(self) -> libc::iovec {
        libc::iovec {
            iov_base: self.address as *mut libc::c_void,
            iov_len: self.bytes,
        }
    }
}

/// Whether the spans receive the bytes of the file or supply them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// The spans are the destination: a read.
    ToMemory,
    /// The spans are the source: a write.
    FromMemory,
}

/// pread(2) or pwrite(2) for one span, preadv(2) or pwritev(2) for more.
pub(crate) fn transfer(file: &File, way: Way, spans: &[Span], offset: i64) -> io::Result<usize> {
    let fd = file.as_raw_fd();
    if let [span] = spans {
        let (start, bytes) = (span.address as *mut libc::c_void, span.bytes);
        // SAFETY: the span lies within an area, which is never given back and to whose bytes no reference exists.
        return count(unsafe {
            match way {
                Way::ToMemory => libc::pread(fd, start, bytes, offset),
                Way::FromMemory => libc::pwrite(fd, start, bytes, offset),
            }
        });
    }
    let vectors: Vec<libc::iovec> = spans.iter().map(|span| span.vector()).collect();
    let length = i32::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: as above, for each of the spans.
    count(unsafe {
        match way {
            Way::ToMemory => libc::preadv(fd, vectors.as_ptr(), length, offset),
            Way::FromMemory => libc::pwritev(fd, vectors.as_ptr(), length, offset),
        }
    })
}

/// vmsplice(2): the pages of the span themselves become the contents of a pipe.
pub(crate) fn vmsplice(pipe: &File, span: Span) -> io::Result<usize> {
    let vector = span.vector();
    // SAFETY: one vector is passed; the pipe refers to pages of an area, which may change at any time.
    count(unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const vector, 1, 0) })
}

/// memfd_secret(2): a file of memory that the kernel itself has no mapping of.
pub(crate) fn secret() -> io::Result<File> {
    // SAFETY: a plain call without pointers, which returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// One operation of the kernel's asynchronous I/O (io_submit(2)), in a context of its own.
#[derive(Debug)]
pub(crate) struct Aio {
    context: u64,
    // The kernel copies it at submission; kept so that the event's pointer stays meaningful.
    _block: Box<ControlBlock>,
}

impl Aio {
    /// Begins it.
    pub(crate) fn begin(file: &File, way: Way, span: Span, offset: i64) -> io::Result<Self> {
        let mut context = 0_u64;
        // SAFETY: the kernel stores a context's id into `context`.
        if unsafe { libc::syscall(libc::SYS_io_setup, 4_u32, &raw mut context) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut block = Box::new(ControlBlock {
            opcode: match way {
                Way::ToMemory => 0,
                Way::FromMemory => 1,
            },
            file: file.as_raw_fd().cast_unsigned(),
            memory: span.address as u64,
            bytes: span.bytes as u64,
            offset,
            ..ControlBlock::default()
        });
        let blocks = [&raw mut *block];
        // SAFETY: one block is submitted; its memory lies within an area, which is never given back.
        if unsafe { libc::syscall(libc::SYS_io_submit, context, 1_i64, blocks.as_ptr()) } != 1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            context,
            _block: block,
        })
    }

    /// Waits at most `time` for its end: bytes, or a negative errno.
    pub(crate) fn wait(&self, time: Duration) -> io::Result<Option<i64>> {
        let mut event = Event::default();
        let limit = libc::timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        // SAFETY: the kernel writes at most one event, for which there is room.
        let got = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.context,
                1_i64,
                1_i64,
                &raw mut event,
                &raw const limit,
            )
        };
        match got {
            0 => Ok(None),
            1 => Ok(Some(event.result)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
