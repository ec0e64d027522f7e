//! Target `ram`: memory that is also a file (memfd). Where the payload is memory of the server it is
//! copied at once; where it stays in the request's pages the kernel copies, through the file.

use std::sync::Arc;

use ublk::memory::{SharedMemory, Span};
use ublk::{Op, Payload, Request};

use super::file_steps::{Keep, PUNCH};
use super::{Progress, Step, Zeroing, file_steps, payload_bytes};

/// How tmpfs, which memfd is, makes zeroes.
pub(crate) const ZEROING: Zeroing = Zeroing {
    unmap: Some(PUNCH),
    keep: Some(Keep::PunchAndAllocate),
};

/// The same for memory whose pages must stay: zeroes, but nothing is given back by a discard.
pub(crate) const KEPT_ZEROING: Zeroing = Zeroing {
    unmap: None,
    ..ZEROING
};

/// One queue's ram target.
#[derive(Debug)]
pub struct Ram {
    memory: Arc<SharedMemory>,
    zeroing: Zeroing,
}

impl Ram {
    /// A target on this memory, which the device's queues share.
    #[must_use]
    pub fn new(memory: Arc<SharedMemory>, zeroing: Zeroing) -> Self {
        Self { memory, zeroing }
    }

    #[inline]
    pub(super) fn start(&mut self, request: &Request, payload: Option<Payload<'_>>) -> Step {
        match payload {
            // Memory forgets everything at once or nothing: there is no cache to flush.
            None if request.op() == Op::Flush => Step::DONE,
            None => file_steps::start(request, self.zeroing),
            Some(Payload::Destination(pages)) => {
                self.copy(request, |memory| pages.fill_from(memory))
            }
            Some(Payload::Source(pages)) => self.copy(request, |memory| pages.copy_to(memory)),
        }
    }

    #[inline]
    pub(super) fn advance(
        &mut self,
        request: &Request,
        progress: &mut Progress,
        result: i32,
    ) -> Step {
        file_steps::advance(request, progress, self.zeroing, result)
    }

    fn copy(&self, request: &Request, copy: impl FnOnce(Span<'_>)) -> Step {
        let len = payload_bytes(request);
        let mapping = self.memory.mapping();
        // The block layer keeps requests within the device, whose size is the mapping's; a request
        // beyond it would be a kernel bug, which gets an error rather than a panic.
        let Ok(offset) = usize::try_from(request.offset_bytes()) else {
            return Step::fail(libc::EIO);
        };
        if offset
            .checked_add(len as usize)
            .is_none_or(|end| end > mapping.len_bytes())
        {
            return Step::fail(libc::EIO);
        }
        copy(mapping.span(offset, len as usize));
        Step::DONE
    }
}
