//! An io_uring of a puppet.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use super::{Span, Way};

/// The ring, and what has come back.
pub(crate) struct Ring {
    ring: IoUring,
    done: BTreeMap<u64, i32>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            ring: IoUring::new(64)?,
            done: BTreeMap::new(),
        })
    }

    /// Registers spans as fixed buffers: the kernel pins their pages for as long as they are registered.
    pub(crate) fn register(&self, spans: &[Span]) -> io::Result<()> {
        let vectors: Vec<libc::iovec> = spans.iter().map(|span| span.vector()).collect();
        // SAFETY: the spans lie within areas, which are never given back.
        unsafe { self.ring.submitter().register_buffers(&vectors) }
    }

    /// Takes the registration back.
    pub(crate) fn unregister(&self) -> io::Result<()> {
        self.ring.submitter().unregister_buffers()
    }

    /// Begins a read or write; `fixed` is the index of a registered buffer that the span lies in.
    pub(crate) fn begin(
        &mut self,
        file: &File,
        way: Way,
        span: Span,
        offset: u64,
        fixed: Option<u16>,
        id: u64,
    ) -> io::Result<()> {
        let fd = Fd(file.as_raw_fd());
        let start = span.address() as *mut u8;
        let bytes = u32::try_from(span.bytes()).map_err(io::Error::other)?;
        let entry = match (way, fixed) {
            (Way::ToMemory, None) => opcode::Read::new(fd, start, bytes).offset(offset).build(),
            (Way::FromMemory, None) => opcode::Write::new(fd, start, bytes).offset(offset).build(),
            (Way::ToMemory, Some(index)) => opcode::ReadFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
            (Way::FromMemory, Some(index)) => opcode::WriteFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
        };
        self.submit(entry.user_data(id))
    }

    /// Asks for an operation to be cancelled; the answer is that of `id`.
    pub(crate) fn cancel(&mut self, operation: u64, id: u64) -> io::Result<()> {
        self.submit(opcode::AsyncCancel::new(operation).build().user_data(id))
    }

    fn submit(&mut self, entry: squeue::Entry) -> io::Result<()> {
        // SAFETY: the memory of an entry is a span of an area, which is never given back; the file is kept open by
        // the kernel for the operation.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)?;
        self.ring.submit().map(drop)
    }

    /// Waits at most `time` for the end of an operation: bytes, or a negative errno.
    pub(crate) fn wait(&mut self, id: u64, time: Duration) -> io::Result<Option<i32>> {
        let start = std::time::Instant::now();
        loop {
            let entries = self.ring.completion();
            self.done
                .extend(entries.map(|entry| (entry.user_data(), entry.result())));
            if let Some(result) = self.done.get(&id) {
                return Ok(Some(*result));
            }
            let Some(left) = time.checked_sub(start.elapsed()) else {
                return Ok(None);
            };
            let limit = Timespec::from(left);
            let arguments = SubmitArgs::new().timespec(&limit);
            match self.ring.submitter().submit_with_args(1, &arguments) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
