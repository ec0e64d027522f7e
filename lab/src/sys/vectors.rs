//! Transfers of vectors of segments: by system call, by the kernel's AIO, by io_uring.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::Direction;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode, squeue};

use super::aio::{ControlBlock, Event, count};
use super::buffer::Segment;

/// preadv(2) or pwritev(2); for one segment pread(2) or pwrite(2), which the kernel treats apart
/// (`ITER_UBUF`).
pub(crate) fn transfer(
    file: &File,
    direction: Direction,
    segments: &[Segment<'_>],
    offset: i64,
) -> io::Result<usize> {
    let fd = file.as_raw_fd();
    if let [segment] = segments {
        let (start, bytes) = (segment.address as *mut libc::c_void, segment.bytes);
        // SAFETY: the segment lies within a buffer that is borrowed until the call returns, and to whose
        // bytes no reference exists.
        return count(unsafe {
            match direction {
                Direction::Destination => libc::pread(fd, start, bytes, offset),
                Direction::Source => libc::pwrite(fd, start, bytes, offset),
            }
        });
    }
    let vectors = vectors_of(segments);
    let length = i32::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: as above, for each of the segments.
    count(unsafe {
        match direction {
            Direction::Destination => libc::preadv(fd, vectors.as_ptr(), length, offset),
            Direction::Source => libc::pwritev(fd, vectors.as_ptr(), length, offset),
        }
    })
}

fn vectors_of(segments: &[Segment<'_>]) -> Vec<libc::iovec> {
    segments.iter().map(|segment| segment.vector()).collect()
}

/// A context of the kernel's AIO (io_setup(2)).
#[derive(Debug)]
pub(crate) struct AioContext(u64);

impl AioContext {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        let mut context = 0_u64;
        // SAFETY: the kernel stores a context's id into `context`.
        if unsafe { libc::syscall(libc::SYS_io_setup, 4_u32, &raw mut context) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(context))
    }

    /// Transfers a vector and waits for its end.
    pub(crate) fn transfer(
        &self,
        file: &File,
        direction: Direction,
        segments: &[Segment<'_>],
        offset: i64,
    ) -> io::Result<usize> {
        let vectors = vectors_of(segments);
        let mut block = ControlBlock {
            // IOCB_CMD_PREADV and IOCB_CMD_PWRITEV.
            opcode: match direction {
                Direction::Destination => 7,
                Direction::Source => 8,
            },
            file: file.as_raw_fd().cast_unsigned(),
            memory: vectors.as_ptr() as u64,
            bytes: vectors.len() as u64,
            offset,
            ..ControlBlock::default()
        };
        let blocks = [&raw mut block];
        // SAFETY: one block is submitted, which the kernel copies; its segments are borrowed until the
        // event has come, below.
        let submitted =
            unsafe { libc::syscall(libc::SYS_io_submit, self.0, 1_i64, blocks.as_ptr()) };
        if submitted != 1 {
            return Err(io::Error::last_os_error());
        }
        let mut event = Event::default();
        loop {
            // SAFETY: the kernel stores at most one event, for which there is room; no limit of time.
            let got = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.0,
                    1_i64,
                    1_i64,
                    &raw mut event,
                    std::ptr::null::<libc::timespec>(),
                )
            };
            if got == 1 {
                return result_of(event.result);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl Drop for AioContext {
    fn drop(&mut self) {
        // SAFETY: a plain call without pointers; it waits for what is in flight.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// An io_uring for one transfer at a time.
pub(crate) struct VectorRing(IoUring);

impl std::fmt::Debug for VectorRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorRing").finish_non_exhaustive()
    }
}

impl VectorRing {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(IoUring::new(4)?))
    }

    /// Registers segments as fixed buffers, whose pages are pinned until they are unregistered or the
    /// ring is gone.
    pub(crate) fn register(&self, segments: &[Segment<'_>]) -> io::Result<()> {
        let vectors = vectors_of(segments);
        // SAFETY: the kernel pins the pages themselves; a transfer names a segment that is borrowed.
        unsafe { self.0.submitter().register_buffers(&vectors) }
    }

    /// Takes the registration back.
    pub(crate) fn unregister(&self) -> io::Result<()> {
        self.0.submitter().unregister_buffers()
    }

    /// Transfers a vector and waits for its end.
    pub(crate) fn transfer(
        &mut self,
        file: &File,
        direction: Direction,
        segments: &[Segment<'_>],
        offset: u64,
    ) -> io::Result<usize> {
        let vectors = vectors_of(segments);
        let fd = Fd(file.as_raw_fd());
        let length = u32::try_from(vectors.len()).map_err(io::Error::other)?;
        let (start, length) = (vectors.as_ptr(), length);
        let entry = match direction {
            Direction::Destination => opcode::Readv::new(fd, start, length).offset(offset).build(),
            Direction::Source => opcode::Writev::new(fd, start, length)
                .offset(offset)
                .build(),
        };
        self.wait_for(&entry)
    }

    /// As above, of one segment of the registered buffer `index`.
    pub(crate) fn transfer_fixed(
        &mut self,
        file: &File,
        direction: Direction,
        segment: Segment<'_>,
        index: u16,
        offset: u64,
    ) -> io::Result<usize> {
        let fd = Fd(file.as_raw_fd());
        let start = segment.address as *mut u8;
        let bytes = u32::try_from(segment.bytes).map_err(io::Error::other)?;
        let entry = match direction {
            Direction::Destination => opcode::ReadFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
            Direction::Source => opcode::WriteFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
        };
        self.wait_for(&entry)
    }

    fn wait_for(&mut self, entry: &squeue::Entry) -> io::Result<usize> {
        // SAFETY: what the entry names is borrowed by the caller until the completion has come, below.
        unsafe { self.0.submission().push(entry) }.map_err(io::Error::other)?;
        loop {
            match self.0.submit_and_wait(1) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
            if let Some(completion) = self.0.completion().next() {
                return result_of(completion.result().into());
            }
        }
    }
}

fn result_of(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| {
        let errno = i32::try_from(-result).unwrap_or(libc::EIO);
        io::Error::from_raw_os_error(errno)
    })
}
