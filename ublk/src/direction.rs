//! The two directions of a payload as types, so that the wrong one does not compile.
//!
//! The pages of a *destination* request (`REQ_OP_READ`) receive data; those of a *source* request
//! (`REQ_OP_WRITE`) supply it. A [`Destination`] can only be filled, a [`Source`] only be stored:
//!
//! ```
//! # use ublk::{BackingOp, Request};
//! fn first_block(request: &Request) -> Option<BackingOp> {
//!     match (request.destination(), request.source()) {
//!         (Some(pages), _) => Some(pages.fill(0, 0, 512)),
//!         (_, Some(pages)) => Some(pages.store(0, 0, 512, false)),
//!         _ => None,
//!     }
//! }
//! ```
//!
//! The pages of a destination request cannot be stored, they hold nothing yet:
//!
//! ```compile_fail,E0599
//! fn wrong(request: &ublk::Request) {
//!     request.destination().map(|pages| pages.store(0, 0, 512, false));
//! }
//! ```
//!
//! and those of a source request cannot be filled, they are somebody's data:
//!
//! ```compile_fail,E0599
//! fn wrong(request: &ublk::Request) {
//!     request.source().map(|pages| pages.fill(0, 0, 512));
//! }
//! ```
//!
//! An operation that moves a payload comes from one of the two only, so there is no way around them:
//!
//! ```compile_fail,E0451
//! let at = ublk::direction::Part { backing_offset_bytes: 0, request_offset_bytes: 0, len_bytes: 512, durable: false };
//! ```
//!
//! The same holds for a payload that lies in memory of the server:
//!
//! ```compile_fail,E0599
//! fn wrong(payload: ublk::direction::SourceMemory<'_>, mine: ublk::memory::Span<'_>) {
//!     payload.fill_from(mine);
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn wrong(payload: ublk::direction::DestinationMemory<'_>, mine: ublk::memory::Span<'_>) {
//!     payload.copy_to(mine);
//! }
//! ```
//!
//! and where a request is looked at or changed beside the fast path ([`Queue::peek`](crate::Queue::peek),
//! [`Queue::poke`](crate::Queue::poke)):
//!
//! ```compile_fail,E0308
//! fn wrong(queue: &ublk::Queue, pages: ublk::Destination<'_>, into: &mut [u8]) {
//!     queue.peek(pages, 0, into);
//! }
//! ```
//!
//! ```compile_fail,E0308
//! fn wrong(queue: &ublk::Queue, pages: ublk::Source<'_>, from: &[u8]) {
//!     queue.poke(pages, 0, from);
//! }
//! ```
//!
//! docs/design/direction.md says what the kernel refuses beyond that, on each data path.

use crate::backing_op::BackingOp;
use crate::memory::Span;
use crate::request::Request;

/// The pages of a destination request that is not yet committed: they may be filled.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'r>(&'r Request);

/// The pages of a source request that is not yet committed: they may be stored.
#[derive(Debug, Clone, Copy)]
pub struct Source<'r>(&'r Request);

impl<'r> Destination<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        Self(request)
    }

    /// The request.
    #[must_use]
    pub fn request(self) -> &'r Request {
        self.0
    }

    /// An operation that fills `len_bytes` of the pages, from `request_offset_bytes` on, with what the
    /// backing has at `backing_offset_bytes`.
    #[inline]
    #[must_use]
    pub fn fill(
        self,
        backing_offset_bytes: u64,
        request_offset_bytes: u32,
        len_bytes: u32,
    ) -> BackingOp {
        BackingOp::Fill(Part {
            backing_offset_bytes,
            request_offset_bytes,
            len_bytes,
            durable: false,
        })
    }
}

impl<'r> Source<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        Self(request)
    }

    /// The request.
    #[must_use]
    pub fn request(self) -> &'r Request {
        self.0
    }

    /// An operation that stores `len_bytes` of the pages, from `request_offset_bytes` on, at
    /// `backing_offset_bytes` of the backing; `durable` before it completes (`RWF_DSYNC`), or not.
    #[inline]
    #[must_use]
    pub fn store(
        self,
        backing_offset_bytes: u64,
        request_offset_bytes: u32,
        len_bytes: u32,
        durable: bool,
    ) -> BackingOp {
        BackingOp::Store(Part {
            backing_offset_bytes,
            request_offset_bytes,
            len_bytes,
            durable,
        })
    }
}

/// The part of a payload that one operation on the backing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    backing_offset_bytes: u64,
    request_offset_bytes: u32,
    len_bytes: u32,
    durable: bool,
}

impl Part {
    /// Where on the backing, in bytes.
    #[inline]
    #[must_use]
    pub fn backing_offset_bytes(self) -> u64 {
        self.backing_offset_bytes
    }

    /// Where in the request, in bytes.
    #[inline]
    #[must_use]
    pub fn request_offset_bytes(self) -> u32 {
        self.request_offset_bytes
    }

    /// How much, in bytes.
    #[inline]
    #[must_use]
    pub fn len_bytes(self) -> u32 {
        self.len_bytes
    }

    /// The flags of the read or write: `RWF_DSYNC` for FUA, else 0.
    #[inline]
    #[must_use]
    pub(crate) fn rw_flags(self) -> i32 {
        if self.durable { libc::RWF_DSYNC } else { 0 }
    }
}

/// A payload that lies in memory of the server, with its direction.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Goes to the request's pages when it is committed.
    Destination(DestinationMemory<'a>),
    /// Came from the request's pages.
    Source(SourceMemory<'a>),
}

/// Memory of the server that goes to a destination request's pages.
#[derive(Debug, Clone, Copy)]
pub struct DestinationMemory<'a>(Span<'a>);

/// Memory of the server that holds what a source request's pages supplied.
#[derive(Debug, Clone, Copy)]
pub struct SourceMemory<'a>(Span<'a>);

impl<'a> Payload<'a> {
    /// The payload of a request in this memory; none if it has no payload.
    #[inline]
    pub(crate) fn of(request: &Request, memory: Span<'a>) -> Option<Self> {
        if request.destination().is_some() {
            return Some(Self::Destination(DestinationMemory(memory)));
        }
        request.source().map(|_| Self::Source(SourceMemory(memory)))
    }
}

impl DestinationMemory<'_> {
    /// Fills the payload from other memory of the server.
    ///
    /// # Panics
    /// If `from` is longer than the payload.
    #[inline]
    pub fn fill_from(self, from: Span<'_>) {
        self.0.copy_from(from);
    }

    /// Makes every byte zero.
    #[inline]
    pub fn zero(self) {
        self.0.zero();
    }
}

impl SourceMemory<'_> {
    /// Copies the payload to other memory of the server.
    ///
    /// # Panics
    /// If `to` is shorter than the payload.
    #[inline]
    pub fn copy_to(self, to: Span<'_>) {
        to.copy_from(self.0);
    }
}
