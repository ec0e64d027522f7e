//! Where requests come from and where answers go: the ublk driver, or the kernel's NBD client. The loop of a queue has
//! one set of words for both; each does what its crate says of the method of the same name.

use std::io;
use std::ops::Range;
use std::time::Duration;

use ublk::direction::{Destination, Source};
use ublk::{Answer, BackingOp, Completion, Payload, Request, Stage, Submitted, Transfer, nbd};

/// The front of one queue.
#[derive(Debug)]
pub enum Front {
    /// A queue of the ublk driver.
    Ublk(Box<ublk::Queue>),
    /// The connection with the NBD client.
    Nbd(Box<nbd::Queue>),
}

macro_rules! either {
    ($front:expr, $queue:ident => $does:expr) => {
        match $front {
            Front::Ublk($queue) => $does,
            Front::Nbd($queue) => $does,
        }
    };
}

impl Front {
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        either!(self, queue => queue.is_open())
    }

    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        either!(self, queue => queue.is_settled())
    }

    #[inline]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, queue => queue.wait(timeout))
    }

    #[inline]
    pub(crate) fn next_completion(&mut self) -> Option<Completion> {
        either!(self, queue => queue.next_completion())
    }

    #[inline]
    pub(crate) fn commit(&mut self, request: Request, answer: Answer) -> io::Result<()> {
        either!(self, queue => queue.commit(request, answer))
    }

    #[inline]
    pub(crate) fn submit(&mut self, tag: u16, op: BackingOp) -> io::Result<Submitted> {
        either!(self, queue => queue.submit(tag, op))
    }

    #[inline]
    pub(crate) fn payload(&self, request: &Request) -> Option<Payload<'_>> {
        either!(self, queue => queue.payload(request))
    }

    pub(crate) fn arm_wake(&mut self) -> io::Result<()> {
        either!(self, queue => queue.arm_wake())
    }

    pub(crate) fn peek(&self, pages: Source<'_>, offset: u32, into: &mut [u8]) -> io::Result<()> {
        either!(self, queue => queue.peek(pages, offset, into))
    }

    pub(crate) fn poke(&self, pages: Destination<'_>, offset: u32, from: &[u8]) -> io::Result<()> {
        either!(self, queue => queue.poke(pages, offset, from))
    }

    pub(crate) fn stage(&mut self) -> io::Result<Stage> {
        either!(self, queue => queue.stage())
    }

    pub(crate) fn unstage(&mut self, stage: Stage) {
        either!(self, queue => queue.unstage(stage));
    }

    pub(crate) fn stage_bytes(&mut self, stage: &Stage, len_bytes: u32) -> &mut [u8] {
        either!(self, queue => queue.stage_bytes(stage, len_bytes))
    }

    pub(crate) fn gather_into(&mut self, pages: Source<'_>, stage: &Stage) -> io::Result<()> {
        either!(self, queue => queue.gather_into(pages, stage))
    }

    pub(crate) fn scatter_from(
        &mut self,
        pages: Destination<'_>,
        stage: &Stage,
        len_bytes: u32,
    ) -> io::Result<()> {
        either!(self, queue => queue.scatter_from(pages, stage, len_bytes))
    }

    pub(crate) fn copy_stage(&mut self, from: &Stage, to: &Stage, range: Range<u32>) {
        either!(self, queue => queue.copy_stage(from, to, range));
    }

    pub(crate) fn load(
        &mut self,
        request: &Request,
        stage: &Stage,
        transfer: Transfer,
    ) -> io::Result<Submitted> {
        either!(self, queue => queue.load(request, stage, transfer))
    }

    pub(crate) fn save(
        &mut self,
        request: &Request,
        stage: &Stage,
        transfer: Transfer,
        durable: bool,
    ) -> io::Result<Submitted> {
        either!(self, queue => queue.save(request, stage, transfer, durable))
    }
}

/// What there is on ublk only.
impl Front {
    /// Brings a source request's payload to where the server reaches it; on NBD it came with the request.
    #[inline]
    pub(crate) fn gather(&self, request: &Request) -> io::Result<()> {
        match self {
            Self::Ublk(queue) => queue.gather(request),
            Self::Nbd(_) => Ok(()),
        }
    }

    /// Brings a destination request's payload to its pages; on NBD it goes with the answer.
    #[inline]
    pub(crate) fn scatter(&self, request: &Request, len_bytes: u32) -> io::Result<()> {
        match self {
            Self::Ublk(queue) => queue.scatter(request, len_bytes),
            Self::Nbd(_) => Ok(()),
        }
    }

    /// Sends what is noted; on NBD nothing is put off.
    pub(crate) fn submit_all(&mut self) -> io::Result<()> {
        match self {
            Self::Ublk(queue) => queue.submit_all(),
            Self::Nbd(_) => Ok(()),
        }
    }

    /// Whether protection information comes with the request, which NBD never has.
    pub(crate) fn is_protected(&self, request: &Request) -> bool {
        match self {
            Self::Ublk(queue) => queue.is_protected(request),
            Self::Nbd(_) => false,
        }
    }

    pub(crate) fn gather_protection(&self, request: &Request, into: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Ublk(queue) => queue.gather_protection(request, into),
            Self::Nbd(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn scatter_protection(&self, request: &Request, from: &[u8]) -> io::Result<()> {
        match self {
            Self::Ublk(queue) => queue.scatter_protection(request, from),
            Self::Nbd(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn staged(&mut self, request: &Request) -> Option<&[u8]> {
        match self {
            Self::Ublk(queue) => queue.staged(request),
            Self::Nbd(_) => None,
        }
    }
}
