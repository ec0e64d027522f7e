//! What protection information adds to the way of a request: a source request is checked before the target
//! sees it, a destination request before its payload goes to its pages.

use std::io;

use ublk::{Answer, Op, Request, RequestFlags};

use super::QueueLoop;
use crate::integrity::{Integrity, Mismatch};

impl QueueLoop {
    /// The same loop for a device with protection information, if it has.
    #[must_use]
    pub fn with_integrity(mut self, integrity: Option<Integrity>) -> Self {
        self.integrity = integrity;
        self
    }

    /// Brings what a source request supplies to where the server reaches it, and checks it on devices that
    /// have protection information.
    #[inline]
    pub(super) fn gather(&mut self, request: &Request) -> Result<(), Answer> {
        self.queue
            .gather(request)
            .map_err(|error| Answer::from(&error))?;
        match self.integrity.take() {
            None => Ok(()),
            Some(mut integrity) => {
                let checked = match request.op() {
                    Op::Write => self.fetch(&mut integrity, request),
                    _ => Ok(Ok(())),
                };
                self.integrity = Some(integrity);
                self.outcome(request, checked)
            }
        }
    }

    /// Completes what the target has done: keeps the tags of what was stored, or checks what was filled and
    /// gives its tags to the client.
    #[inline]
    pub(super) fn settle(&mut self, request: &Request, answer: Answer) -> Answer {
        if answer != Answer::Done {
            return answer;
        }
        match self.integrity.take() {
            None => answer,
            Some(mut integrity) => {
                let settled = self.settle_with(&mut integrity, request);
                self.integrity = Some(integrity);
                match self.outcome(request, settled) {
                    Ok(()) => answer,
                    Err(failed) => failed,
                }
            }
        }
    }

    fn settle_with(
        &mut self,
        integrity: &mut Integrity,
        request: &Request,
    ) -> io::Result<Result<(), Mismatch>> {
        let (sector, len) = (request.sector(), request.len_bytes());
        match request.op() {
            Op::Read => return self.give(integrity, request),
            Op::Write => {
                // Fetched again: other requests were looked at meanwhile.
                if let Err(mismatch) = self.fetch(integrity, request)? {
                    return Ok(Err(mismatch));
                }
                integrity.keep(sector, payload(len))?;
                if request.flags().contains(RequestFlags::FUA) {
                    integrity.sync()?;
                }
            }
            Op::Discard | Op::WriteZeroes => integrity.forget(sector, len)?,
            Op::Flush => integrity.sync()?,
            Op::Other(_) => {}
        }
        Ok(Ok(()))
    }

    /// Brings the tags of a source request and holds its payload against them; makes them where the client's
    /// side has none, so that the block is protected from here on.
    fn fetch(
        &mut self,
        integrity: &mut Integrity,
        request: &Request,
    ) -> io::Result<Result<(), Mismatch>> {
        let protected = self.queue.is_protected(request);
        if protected {
            let tuples = integrity.tuples_mut(payload(request.len_bytes()));
            self.queue.gather_protection(request, tuples)?;
        }
        let data = self
            .queue
            .staged(request)
            .ok_or(io::ErrorKind::Unsupported)?;
        if protected {
            return Ok(integrity.verify(request.sector(), data));
        }
        integrity.generate(request.sector(), data);
        Ok(Ok(()))
    }

    /// Holds what a destination request will get against its tags, and gives it these.
    fn give(
        &mut self,
        integrity: &mut Integrity,
        request: &Request,
    ) -> io::Result<Result<(), Mismatch>> {
        let len = payload(request.len_bytes());
        let kept = integrity.load(request.sector(), len)?;
        let data = self
            .queue
            .staged(request)
            .ok_or(io::ErrorKind::Unsupported)?;
        if !kept {
            integrity.generate(request.sector(), data);
        } else if let Err(mismatch) = integrity.verify(request.sector(), data) {
            return Ok(Err(mismatch));
        }
        if self.queue.is_protected(request) {
            let tuples = integrity.tuples_mut(len);
            self.queue.scatter_protection(request, tuples)?;
        }
        Ok(Ok(()))
    }

    /// A mismatch is told, and fails the request with what clients know as a protection error.
    fn outcome(
        &self,
        request: &Request,
        checked: io::Result<Result<(), Mismatch>>,
    ) -> Result<(), Answer> {
        match checked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(mismatch)) => {
                self.device.report_mismatch(&self.shared, request, mismatch);
                Err(Answer::failed(libc::EILSEQ))
            }
            Err(error) => Err(Answer::from(&error)),
        }
    }
}

/// A payload is at most 32 MiB.
fn payload(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).unwrap_or(0)
}
