//! What protection information adds to the way of a request: a source request is checked before the target
//! sees it, a destination request before its payload goes to its pages.

use std::io;

use ublk::{Answer, Op, Request, RequestFlags};

use super::{Faulted, QueueLoop};
use crate::fault_steps::{Answered, Medium};
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

    /// The same for a source request whose payload was stored from this sector on.
    pub(super) fn settle_at(&mut self, request: &Request, answer: Answer, sector: u64) -> Answer {
        if answer != Answer::Done {
            return answer;
        }
        let Some(mut integrity) = self.integrity.take() else {
            return answer;
        };
        let settled = self.fetch(&mut integrity, request).and_then(|checked| {
            if checked.is_ok() {
                let len = u32::try_from(request.len_bytes()).unwrap_or(0);
                integrity.keep_part(sector, 0..len)?;
                if request.flags().contains(RequestFlags::FUA) {
                    integrity.sync()?;
                }
            }
            Ok(checked)
        });
        self.integrity = Some(integrity);
        match self.outcome(request, settled) {
            Ok(()) => answer,
            Err(failed) => failed,
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

    /// Keeps the tags of what was stored from staging memory: those of the blocks that reached the medium as a
    /// whole, with each place where they did.
    pub(super) fn keep_staged_tags(
        &mut self,
        request: &Request,
        faulted: &Faulted,
        answered: Answered,
    ) -> Result<(), Answer> {
        let course = faulted.course();
        let stored = course.medium == Medium::Staged && course.is_source();
        if !stored || matches!(answered, Answered::Errno(_)) {
            return Ok(());
        }
        let Some(mut integrity) = self.integrity.take() else {
            return Ok(());
        };
        let kept = self.fetch(&mut integrity, request).and_then(|checked| {
            if checked.is_ok() {
                faulted.damage_tags(integrity.tuples_mut(payload(request.len_bytes())));
                for place in (0..).map_while(|turn| course.place(turn)) {
                    for range in course.keep.ranges() {
                        let end = range.end.min(course.len_bytes());
                        integrity.keep_part(place.sector, range.start..end)?;
                    }
                }
            }
            Ok(checked)
        });
        self.integrity = Some(integrity);
        self.outcome(request, kept)
    }

    /// Gives a destination request the tags of what is in staging memory, before that is damaged. Fails with a
    /// positive errno.
    pub(super) fn give_staged_tags(
        &mut self,
        request: &Request,
        faulted: &mut Faulted,
    ) -> Result<(), i32> {
        let Some(mut integrity) = self.integrity.take() else {
            return Ok(());
        };
        let is_zero = faulted.course().medium == Medium::Zeroes;
        let given = match faulted.wants_tags(request) {
            None => Ok(Ok(())),
            Some((place, stage)) => {
                let len = u32::try_from(request.len_bytes()).unwrap_or(0);
                let data = self.queue.stage_bytes(stage, len);
                let made = match is_zero {
                    // A disk that has nothing to say says it consistently.
                    true => {
                        integrity.generate(place.sector, data);
                        Ok(Ok(()))
                    }
                    false => tags_of(&mut integrity, place.sector, data),
                };
                made.and_then(|checked| match checked {
                    Ok(()) => {
                        faulted.damage_tags(integrity.tuples_mut(len as usize));
                        self.hand_tags(&mut integrity, request).map(Ok)
                    }
                    Err(mismatch) => Ok(Err(mismatch)),
                })
            }
        };
        self.integrity = Some(integrity);
        self.outcome(request, given)
            .map_err(|answer| answer.result(request).saturating_neg())
    }

    /// Holds what a destination request will get against its tags, and gives it these.
    fn give(
        &mut self,
        integrity: &mut Integrity,
        request: &Request,
    ) -> io::Result<Result<(), Mismatch>> {
        let data = self
            .queue
            .staged(request)
            .ok_or(io::ErrorKind::Unsupported)?;
        match tags_of(integrity, request.sector(), data)? {
            Ok(()) => self.hand_tags(integrity, request).map(Ok),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    fn hand_tags(&self, integrity: &mut Integrity, request: &Request) -> io::Result<()> {
        if self.queue.is_protected(request) {
            let tuples = integrity.tuples_mut(payload(request.len_bytes()));
            self.queue.scatter_protection(request, tuples)?;
        }
        Ok(())
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

/// Brings the tags of blocks that were read from this sector on, and holds the blocks against them; makes them
/// where none are kept.
fn tags_of(
    integrity: &mut Integrity,
    sector: u64,
    data: &[u8],
) -> io::Result<Result<(), Mismatch>> {
    if integrity.load(sector, data.len())? {
        return Ok(integrity.verify(sector, data));
    }
    integrity.generate(sector, data);
    Ok(Ok(()))
}

/// A payload is at most 32 MiB.
fn payload(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).unwrap_or(0)
}
