//! Data path `shared-memory`: a request whose pages are in a buffer that the client shares with the
//! server is served from the server's mapping of it, without a copy; any other is copied, by pread and
//! pwrite on the character device as on `user-copy`.
//!
//! The driver compares the frame numbers of a request's pages with those of the registered buffers when
//! it delivers the request (`ublk_try_buf_match`). Copying by the server rather than by the driver has a
//! reason: the driver copies nothing for a request that it recognised, also if the server does not know
//! the buffer (yet, or since it is not the one that registered it). User copy reaches every request.

use std::io;

use super::{Pages, UserCopy};
use crate::direction::{Destination, Part, Source};
use crate::memory::Span;
use crate::request::{Op, Request};
use crate::shared_buffers::{Place, SharedQueue};

/// One queue's shared buffers, and staging memory for what is not in them.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    staged: UserCopy,
    shared: SharedQueue,
    /// Where the payload of each tag's request lies; none: in the staging memory.
    places: Box<[Option<Place>]>,
}

impl SharedMemory {
    pub(crate) fn new(staged: UserCopy, depth: u16, shared: SharedQueue) -> Self {
        // The first look of a thread at a published pointer allocates; no request shall.
        let _ = shared.buffers.locate(0, 0, false);
        Self {
            staged,
            shared,
            places: vec![None; usize::from(depth)].into(),
        }
    }

    /// Finds where the payload of a request lies.
    pub(crate) fn arrived(&mut self, request: &Request) {
        let destination = match request.op() {
            Op::Read => true,
            Op::Write => false,
            _ => return,
        };
        // A payload is at most 32 MiB.
        let len = u32::try_from(request.len_bytes()).unwrap_or(u32::MAX);
        let place = request
            .shared_address()
            .and_then(|address| self.shared.buffers.locate(address, len, destination));
        self.places[usize::from(request.tag())] = place;
        self.shared.counts.count(place.is_some());
    }

    /// Fetches a source request's payload, if it has to be copied.
    pub(crate) fn gather(&self, source: Source<'_>) -> io::Result<()> {
        match self.place(source.request().tag()) {
            Some(_) => Ok(()),
            None => self.staged.gather(source),
        }
    }

    /// Stores a destination request's payload, if it was staged.
    pub(crate) fn scatter(&self, destination: Destination<'_>, len_bytes: u32) -> io::Result<()> {
        match self.place(destination.request().tag()) {
            Some(_) => Ok(()),
            None => self.staged.scatter(destination, len_bytes),
        }
    }

    /// Where a part of a payload lies, for the kernel to move.
    #[inline]
    pub(crate) fn part_of(&self, tag: u16, part: Part) -> *mut u8 {
        match self.place(tag) {
            // The part lies within the payload, which is mapped as a whole.
            Some(place) => place
                .start
                .wrapping_add(part.request_offset_bytes() as usize),
            None => self.staged.staging().part_of(tag, part),
        }
    }

    /// The payload as memory; none where only the kernel may touch it.
    pub(crate) fn payload(&self, tag: u16, len_bytes: u32) -> Option<Span<'_>> {
        match self.place(tag) {
            Some(place) if place.touchable => {
                // SAFETY: `locate` found a whole payload mapped here, and it stays mapped until the
                // request is committed (`crate::shared_buffers`); the span is used for that request.
                Some(unsafe { Span::from_raw(place.start, len_bytes as usize) })
            }
            Some(_) => None,
            None => Some(self.staged.staging().span(tag, len_bytes)),
        }
    }

    /// The way to a request's pages, whether they are shared or not.
    pub(crate) fn pages(&self) -> Pages {
        self.staged.pages()
    }

    fn place(&self, tag: u16) -> Option<Place> {
        self.places[usize::from(tag)]
    }
}
