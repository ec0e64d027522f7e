//! The bytes of a request on its course: between its pages, staging memory and the backing.

use ublk::{Request, Stage, Submitted, Transfer};

use super::super::{QueueError, QueueLoop};
use super::Faulted;
use crate::fault_steps::{Move, Piece, Todo};
use crate::front::Front;
use crate::target::Target;

impl QueueLoop {
    /// What takes no operation on the backing. Fails with a positive errno.
    pub(in crate::queue) fn do_now(
        &mut self,
        request: &Request,
        faulted: &mut Faulted,
        todo: Todo,
    ) -> Result<(), i32> {
        let len = faulted.steps.course().len_bytes();
        match todo {
            Todo::Gather => {
                self.gather(request)
                    .map_err(|answer| answer.result(request).saturating_neg())?;
                let stage = self.payload_stage(faulted)?;
                if let Some(pages) = request.source() {
                    self.queue.gather_into(pages, stage).map_err(errno)?;
                }
            }
            Todo::Zero => {
                let stage = self.payload_stage(faulted)?;
                self.queue.stage_bytes(stage, len).fill(0);
            }
            Todo::Damage => {
                self.give_staged_tags(request, faulted)?;
                self.damage(request, faulted)?;
            }
            Todo::Merge => {
                if let (Some(payload), Some(before)) = (&faulted.payload, &faulted.before) {
                    for range in faulted.steps.course().keep.ranges() {
                        let end = range.end.min(len);
                        if range.start < end {
                            self.queue.copy_stage(payload, before, range.start..end);
                        }
                    }
                }
            }
            Todo::Poke { len_bytes } => {
                self.give_staged_tags(request, faulted)?;
                if let (Some(pages), Some(stage)) = (request.destination(), &faulted.payload) {
                    self.queue
                        .scatter_from(pages, stage, len_bytes)
                        .map_err(errno)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets the rules damage the payload, and tells what they changed.
    fn damage(&mut self, request: &Request, faulted: &mut Faulted) -> Result<(), i32> {
        let len = faulted.steps.course().len_bytes();
        let Some(stage) = &faulted.payload else {
            return Err(libc::EIO);
        };
        let bytes = self.queue.stage_bytes(stage, len);
        let rules = &faulted.published.set;
        for touch in faulted.touches.iter() {
            let direction = faulted.subject.op.direction();
            let changed = rules.corrupt(touch.rule, touch.draw, direction, &faulted.subject, bytes);
            self.device.report_damage(
                &self.shared,
                request,
                &faulted.published,
                touch.rule,
                &changed,
            );
        }
        Ok(())
    }

    /// Starts an operation between staging memory and the backing.
    pub(in crate::queue) fn transfer(
        &mut self,
        request: &Request,
        faulted: &mut Faulted,
        todo: Todo,
    ) -> Result<Submitted, QueueError> {
        let (moved, durable) = match todo {
            Todo::Load(moved) => (moved, None),
            Todo::Save { moved, durable } => (moved, Some(durable)),
            _ => return Ok(Submitted::Ended(-libc::EIO)),
        };
        let slot = match moved.piece {
            Piece::Payload => &mut faulted.payload,
            Piece::Before => &mut faulted.before,
        };
        let stage = match take_stage(&mut self.queue, slot) {
            Ok(stage) => &*stage,
            Err(errno) => return Ok(Submitted::Ended(-errno)),
        };
        if let Target::Null(_) = self.target {
            if durable.is_none() {
                self.queue
                    .stage_bytes(stage, moved.at_bytes + moved.len_bytes)
                    .fill(0);
            }
            return Ok(Submitted::Ended(
                i32::try_from(moved.len_bytes).unwrap_or(i32::MAX),
            ));
        }
        let (queue, transfer) = (self.shared.queue, part(moved));
        match durable {
            None => self.queue.load(request, stage, transfer),
            Some(durable) => self.queue.save(request, stage, transfer, durable),
        }
        .map_err(|source| QueueError::Ring { queue, source })
    }

    pub(in crate::queue) fn give_stages_back(&mut self, faulted: &mut Faulted) {
        let stages = [faulted.payload.take(), faulted.before.take()];
        for stage in stages.into_iter().flatten() {
            self.queue.unstage(stage);
        }
    }

    fn payload_stage<'f>(&mut self, faulted: &'f mut Faulted) -> Result<&'f Stage, i32> {
        take_stage(&mut self.queue, &mut faulted.payload).map(|stage| &*stage)
    }
}

/// The staging memory in a slot, fetched when it is first needed.
fn take_stage<'s>(queue: &mut Front, slot: &'s mut Option<Stage>) -> Result<&'s mut Stage, i32> {
    if slot.is_none() {
        *slot = Some(queue.stage().map_err(errno)?);
    }
    slot.as_mut().ok_or(libc::ENOMEM)
}

fn part(moved: Move) -> Transfer {
    Transfer {
        backing_offset_bytes: moved.offset_bytes,
        stage_offset_bytes: moved.at_bytes,
        len_bytes: moved.len_bytes,
    }
}

fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
