//! Reaching the payload of one request beside its way, as `queue/staging.rs` does for ublk. On NBD that is memory of
//! the server and nothing else: a peek sees what came with the request, a poke is seen with the answer.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use super::queue::{Queue, done};
use crate::direction::{Destination, Source};
use crate::queue::{Submitted, payload_bytes, within};
use crate::request::Request;
use crate::stage::{Stage, Transfer};

impl Queue {
    /// As [`crate::Queue::peek`] on `copy`.
    ///
    /// # Errors
    /// `EINVAL` if the part does not lie within the payload.
    pub fn peek(&self, source: Source<'_>, offset_bytes: u32, into: &mut [u8]) -> io::Result<()> {
        within(source.request(), offset_bytes, into.len())?;
        self.memory.peek(source, offset_bytes, into);
        Ok(())
    }

    /// As [`crate::Queue::poke`] on `copy`.
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
        self.memory.poke(destination, offset_bytes, from);
        Ok(())
    }

    /// As [`crate::Queue::stage`].
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn stage(&mut self) -> io::Result<Stage> {
        self.stages.take()
    }

    /// As [`crate::Queue::unstage`].
    pub fn unstage(&mut self, stage: Stage) {
        self.stages.give_back(stage);
    }

    /// As [`crate::Queue::stage_bytes`].
    ///
    /// # Panics
    /// As there.
    pub fn stage_bytes(&mut self, stage: &Stage, len_bytes: u32) -> &mut [u8] {
        self.stages.bytes(stage, len_bytes)
    }

    /// As [`crate::Queue::gather_into`].
    ///
    /// # Errors
    /// As [`Queue::peek`].
    pub fn gather_into(&mut self, source: Source<'_>, stage: &Stage) -> io::Result<()> {
        let len = payload_bytes(source.request()).unwrap_or(0);
        self.memory.peek(source, 0, self.stages.bytes(stage, len));
        Ok(())
    }

    /// As [`crate::Queue::scatter_from`].
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
        self.memory.poke(destination, 0, from);
        Ok(())
    }

    /// As [`crate::Queue::copy_stage`].
    ///
    /// # Panics
    /// As there.
    pub fn copy_stage(&mut self, from: &Stage, to: &Stage, range: Range<u32>) {
        self.stages.copy(from, to, range);
    }

    /// As [`crate::Queue::load`], at once.
    ///
    /// # Errors
    /// None; those of the backing are in what is returned.
    pub fn load(
        &mut self,
        _request: &Request,
        stage: &Stage,
        transfer: Transfer,
    ) -> io::Result<Submitted> {
        let Some(backing) = self.backing() else {
            return Ok(Submitted::Ended(-libc::EIO));
        };
        let moved = self.stages.load_at_once(stage, backing, transfer);
        Ok(Submitted::Ended(moved))
    }

    /// As [`crate::Queue::save`], at once.
    ///
    /// # Errors
    /// None; those of the backing are in what is returned.
    pub fn save(
        &mut self,
        _request: &Request,
        stage: &Stage,
        transfer: Transfer,
        durable: bool,
    ) -> io::Result<Submitted> {
        let Some(backing) = self.backing() else {
            return Ok(Submitted::Ended(-libc::EIO));
        };
        let mut moved = self.stages.save_at_once(stage, backing, transfer);
        if durable && moved > 0 {
            // SAFETY: a plain number is handed over.
            let synced = done(unsafe { libc::fdatasync(backing) });
            moved = if synced < 0 { synced } else { moved };
        }
        Ok(Submitted::Ended(moved))
    }

    fn backing(&self) -> Option<RawFd> {
        self.backing.as_ref().map(|file| file.as_raw_fd())
    }
}
