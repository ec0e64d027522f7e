//! Reaching the payload of one request beside the fast path: its bytes are looked at, changed, or brought to
//! and from memory of the server, on every data path, while the request is uncommitted.
//!
//! | data path | source ([`Queue::peek`]) | destination ([`Queue::poke`]) |
//! |---|---|---|
//! | `copy` | the tag's own memory: what the driver copied when it delivered the request | that memory, which reaches the pages when the request is committed |
//! | all others | the pages, as they are now (`ublk_user_copy`) | the pages, at once |
//!
//! The zero copies have user copy beside their registration for this: the driver allows both on one device
//! and asks for it nowhere in the path of a request (`ublk_ctrl_add_dev`, `ublk_need_req_ref`; Linux 6.15 to
//! 7.3). On `shared-memory` it reaches the shared pages too, without touching a mapping whose owner may
//! shorten it.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use super::{Queue, Submitted, payload_bytes};
use crate::backing_op::BackingOp;
use crate::direction::{Destination, Source};
use crate::request::Request;
use crate::ring::Token;
use crate::stage::{Stage, Transfer};

impl Queue {
    /// Copies a part of what a source request supplies, from `offset_bytes` of its payload on, to `into`. It
    /// may be asked again and again until the request is committed.
    ///
    /// On `copy` the answer never changes: see [`DataPathKind::sees_later_changes`].
    ///
    /// [`DataPathKind::sees_later_changes`]: crate::DataPathKind::sees_later_changes
    ///
    /// # Errors
    /// `EINVAL` if the part does not lie within the payload; the driver's, such as `EACCES` when the device is
    /// gone.
    pub fn peek(&self, source: Source<'_>, offset_bytes: u32, into: &mut [u8]) -> io::Result<()> {
        within(source.request(), offset_bytes, into.len())?;
        self.path.peek(source, offset_bytes, into)
    }

    /// Copies `from` into a destination request's pages, at `offset_bytes` of its payload; on `copy` into the
    /// tag's memory, which the driver brings to the pages when the request is committed with success.
    ///
    /// What the target or [`Queue::scatter`] moves afterwards goes over it.
    ///
    /// # Errors
    /// As [`Queue::peek`].
    pub fn poke(
        &self,
        destination: Destination<'_>,
        offset_bytes: u32,
        from: &[u8],
    ) -> io::Result<()> {
        within(destination.request(), offset_bytes, from.len())?;
        self.path.poke(destination, offset_bytes, from)
    }

    /// Memory of the server for one payload of a request, all zeroes where it is new; else with what was left
    /// there. To be given back with [`Queue::unstage`].
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn stage(&mut self) -> io::Result<Stage> {
        self.stages.take()
    }

    /// Gives staging memory back. An operation that is still under way keeps it until its end.
    pub fn unstage(&mut self, stage: Stage) {
        self.stages.give_back(stage);
    }

    /// The first `len_bytes` of staging memory.
    ///
    /// # Panics
    /// If an operation on it is under way, or if it is shorter: these are bugs of the caller.
    pub fn stage_bytes(&mut self, stage: &Stage, len_bytes: u32) -> &mut [u8] {
        self.stages.bytes(stage, len_bytes)
    }

    /// Brings all of a source request's payload into staging memory, as [`Queue::peek`] does.
    ///
    /// # Errors
    /// As [`Queue::peek`].
    pub fn gather_into(&mut self, source: Source<'_>, stage: &Stage) -> io::Result<()> {
        let len = payload_bytes(source.request()).unwrap_or(0);
        let into = self.stages.bytes(stage, len);
        self.path.peek(source, 0, into)
    }

    /// Brings the first `len_bytes` of staging memory into a destination request's pages, as [`Queue::poke`] does.
    ///
    /// # Errors
    /// As [`Queue::poke`].
    pub fn scatter_from(
        &mut self,
        destination: Destination<'_>,
        stage: &Stage,
        len_bytes: u32,
    ) -> io::Result<()> {
        within(destination.request(), 0, len_bytes as usize)?;
        let from = self.stages.bytes(stage, len_bytes);
        self.path.poke(destination, 0, from)
    }

    /// Copies a range of bytes from one piece of staging memory to the same place of another.
    ///
    /// # Panics
    /// As [`Queue::stage_bytes`].
    pub fn copy_stage(&mut self, from: &Stage, to: &Stage, range: Range<u32>) {
        self.stages.copy(from, to, range);
    }

    /// Fills a part of staging memory from any place of the backing; the end is told as that of an operation
    /// of the request with this tag.
    ///
    /// # Errors
    /// The ring's.
    pub fn load(
        &mut self,
        request: &Request,
        stage: &Stage,
        transfer: Transfer,
    ) -> io::Result<Submitted> {
        if let Some(backing) = self.backing_at_once() {
            return Ok(Submitted::Ended(
                self.stages.load_at_once(stage, backing, transfer),
            ));
        }
        let entry = self.stages.load(stage, request.tag(), transfer);
        self.push(&entry.user_data(Token::Staged(stage.index()).pack()))?;
        Ok(Submitted::UnderWay)
    }

    /// Stores a part of staging memory at any place of the backing, as [`Queue::load`] fills it; `durable`
    /// before it ends (`RWF_DSYNC`), or not.
    ///
    /// # Errors
    /// The ring's.
    pub fn save(
        &mut self,
        request: &Request,
        stage: &Stage,
        transfer: Transfer,
        durable: bool,
    ) -> io::Result<Submitted> {
        if let Some(backing) = self.backing_at_once() {
            return Ok(Submitted::Ended(
                self.stages.save_at_once(stage, backing, transfer),
            ));
        }
        let entry = self.stages.save(stage, request.tag(), transfer, durable);
        self.push(&entry.user_data(Token::Staged(stage.index()).pack()))?;
        Ok(Submitted::UnderWay)
    }

    /// Sends what is noted and queued, without waiting.
    ///
    /// # Errors
    /// The ring's.
    pub fn submit_all(&mut self) -> io::Result<()> {
        self.transport.flush(&mut self.ring)?;
        self.ring.submit()
    }

    /// The result of an operation that need not go through the ring.
    #[inline]
    pub(super) fn at_once(&self, tag: u16, op: BackingOp) -> Option<i32> {
        let backing = self.backing_at_once()?;
        self.path.at_once(backing, tag, op)
    }

    /// The backing, if it is used without the ring.
    #[inline]
    fn backing_at_once(&self) -> Option<RawFd> {
        if !self.config.backing_in_memory {
            return None;
        }
        self.config.backing.as_ref().map(|file| file.as_raw_fd())
    }
}

pub(crate) fn within(request: &Request, offset_bytes: u32, len: usize) -> io::Result<()> {
    let end = u64::from(offset_bytes).checked_add(len as u64);
    match end {
        Some(end) if end <= request.len_bytes() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Op, RequestFlags};

    #[test]
    fn a_part_lies_within_its_payload() {
        let request = Request::new(0, Op::Read, RequestFlags::empty(), 8, 8);
        for (offset, len, fits) in [
            (0, 4096, true),
            (4096, 0, true),
            (512, 3584, true),
            (512, 3585, false),
            (u32::MAX, 1, false),
        ] {
            assert_eq!(
                within(&request, offset, len).is_ok(),
                fits,
                "{offset}+{len}"
            );
        }
        request.abandon();
    }
}
