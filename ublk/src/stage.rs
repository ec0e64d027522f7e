//! Staging memory for requests that leave the fast path: a small pool of a queue, each piece as long as the
//! longest payload. Requests that need none pay nothing for it.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use crate::backing_op::BACKING_FILE;
use crate::memory::Mapping;

/// How many pieces are kept for the next request that needs one.
const KEPT: usize = 8;

/// A piece of staging memory, taken from a queue. Not `Clone`: it has one user.
#[derive(Debug)]
#[must_use]
pub struct Stage(u16);

impl Stage {
    pub(crate) fn index(&self) -> u16 {
        self.0
    }
}

/// The part of staging memory that one operation on the backing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Where on the backing, in bytes.
    pub backing_offset_bytes: u64,
    /// Where in the staging memory, in bytes.
    pub stage_offset_bytes: u32,
    /// How much, in bytes.
    pub len_bytes: u32,
}

/// One queue's staging memory.
#[derive(Debug)]
pub(crate) struct Stages {
    pieces: Vec<Piece>,
    piece_bytes: u32,
}

#[derive(Debug)]
struct Piece {
    memory: Option<Mapping>,
    state: State,
    /// The tag whose operation is under way.
    used_by: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Taken,
    /// Given back while an operation was under way.
    Leaving,
}

impl Stages {
    pub(crate) fn new(piece_bytes: u32) -> Self {
        Self {
            pieces: Vec::new(),
            piece_bytes,
        }
    }

    pub(crate) fn take(&mut self) -> io::Result<Stage> {
        let free = |piece: &Piece| piece.state == State::Free;
        // One with memory, if there is one.
        let found = self
            .pieces
            .iter()
            .position(|piece| free(piece) && piece.memory.is_some())
            .or_else(|| self.pieces.iter().position(free));
        let index = found.unwrap_or_else(|| {
            self.pieces.push(Piece {
                memory: None,
                state: State::Free,
                used_by: None,
            });
            self.pieces.len() - 1
        });
        let piece = &mut self.pieces[index];
        if piece.memory.is_none() {
            piece.memory = Some(Mapping::anonymous(self.piece_bytes as usize)?);
        }
        piece.state = State::Taken;
        // A queue has at most 4096 tags, each with a few pieces.
        u16::try_from(index)
            .map(Stage)
            .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    pub(crate) fn give_back(&mut self, stage: Stage) {
        let piece = &mut self.pieces[usize::from(stage.0)];
        piece.state = match piece.used_by {
            Some(_) => State::Leaving,
            None => State::Free,
        };
        self.trim();
    }

    /// An operation has ended. Returns the tag that it was for.
    pub(crate) fn ended(&mut self, index: u16) -> Option<u16> {
        let piece = self.pieces.get_mut(usize::from(index))?;
        let tag = piece.used_by.take();
        if piece.state == State::Leaving {
            piece.state = State::Free;
            self.trim();
        }
        tag
    }

    /// Gives the system back what is more than is kept.
    fn trim(&mut self) {
        let free = self
            .pieces
            .iter_mut()
            .filter(|piece| piece.state == State::Free && piece.memory.is_some());
        for piece in free.skip(KEPT) {
            piece.memory = None;
        }
    }

    pub(crate) fn bytes(&mut self, stage: &Stage, len_bytes: u32) -> &mut [u8] {
        let piece = &self.pieces[usize::from(stage.0)];
        assert!(piece.used_by.is_none(), "staging memory in use was touched");
        let span = self.memory(stage).span(0, len_bytes as usize);
        // SAFETY: the span is mapped and writable; nobody else has this piece, whose one handle the caller
        // lends, and no operation of the ring is under way on it; the pool is borrowed meanwhile.
        unsafe { std::slice::from_raw_parts_mut(span.as_ptr(), span.len_bytes()) }
    }

    /// Copies a range from one piece to another.
    pub(crate) fn copy(&mut self, from: &Stage, to: &Stage, range: Range<u32>) {
        for stage in [from, to] {
            let piece = &self.pieces[usize::from(stage.0)];
            assert!(piece.used_by.is_none(), "staging memory in use was touched");
        }
        let (start, len) = (range.start as usize, range.len());
        let to = self.memory(to).span(start, len);
        to.copy_from(self.memory(from).span(start, len));
    }

    pub(crate) fn load(&mut self, stage: &Stage, tag: u16, transfer: Transfer) -> Entry {
        let memory = self.begin(stage, tag, transfer);
        opcode::Read::new(types::Fixed(BACKING_FILE), memory, transfer.len_bytes)
            .offset(transfer.backing_offset_bytes)
            .build()
    }

    pub(crate) fn save(
        &mut self,
        stage: &Stage,
        tag: u16,
        transfer: Transfer,
        durable: bool,
    ) -> Entry {
        let memory = self.begin(stage, tag, transfer);
        opcode::Write::new(types::Fixed(BACKING_FILE), memory, transfer.len_bytes)
            .offset(transfer.backing_offset_bytes)
            .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
            .build()
    }

    pub(crate) fn load_at_once(&mut self, stage: &Stage, backing: RawFd, at: Transfer) -> i32 {
        let memory = self.part(stage, at);
        // SAFETY: the part is mapped, and nobody else's: see `bytes`.
        let moved = unsafe {
            let len = at.len_bytes as usize;
            libc::pread(backing, memory.cast(), len, offset(at))
        };
        crate::data_path::bytes_or_errno(moved)
    }

    pub(crate) fn save_at_once(&mut self, stage: &Stage, backing: RawFd, at: Transfer) -> i32 {
        let memory = self.part(stage, at);
        // SAFETY: the part is mapped, and nobody else's: see `bytes`.
        let moved = unsafe {
            let len = at.len_bytes as usize;
            libc::pwrite(backing, memory.cast(), len, offset(at))
        };
        crate::data_path::bytes_or_errno(moved)
    }

    fn begin(&mut self, stage: &Stage, tag: u16, transfer: Transfer) -> *mut u8 {
        let memory = self.part(stage, transfer);
        let piece = &mut self.pieces[usize::from(stage.0)];
        assert!(piece.used_by.is_none(), "staging memory in use was used");
        piece.used_by = Some(tag);
        memory
    }

    fn part(&self, stage: &Stage, transfer: Transfer) -> *mut u8 {
        let (offset, len) = (transfer.stage_offset_bytes, transfer.len_bytes);
        self.memory(stage)
            .span(offset as usize, len as usize)
            .as_ptr()
    }

    fn memory(&self, stage: &Stage) -> &Mapping {
        let piece = &self.pieces[usize::from(stage.0)];
        // A piece that is taken has memory.
        piece.memory.as_ref().unwrap_or_else(|| unreachable!())
    }
}

fn offset(transfer: Transfer) -> i64 {
    // A device ends before 2^63 bytes.
    i64::try_from(transfer.backing_offset_bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Transfer = Transfer {
        backing_offset_bytes: 0,
        stage_offset_bytes: 0,
        len_bytes: 4096,
    };

    #[test]
    fn a_piece_has_one_user_and_is_used_again() {
        let mut stages = Stages::new(4096);
        let (one, two) = (stages.take().unwrap(), stages.take().unwrap());
        stages.bytes(&one, 4096).fill(1);
        stages.bytes(&two, 4096).fill(2);
        assert_eq!(stages.bytes(&one, 4096), [1; 4096]);
        let index = one.index();
        stages.give_back(one);
        assert_eq!(stages.take().unwrap().index(), index);
        assert_eq!(stages.pieces.len(), 2);
    }

    #[test]
    fn a_piece_in_use_is_free_only_at_the_end_of_its_operation() {
        let mut stages = Stages::new(4096);
        let stage = stages.take().unwrap();
        let index = stage.index();
        let _entry = stages.load(&stage, 7, ALL);
        stages.give_back(stage);
        assert_ne!(stages.take().unwrap().index(), index);
        assert_eq!(stages.ended(index), Some(7));
        assert_eq!(stages.take().unwrap().index(), index);
        assert_eq!(stages.ended(index), None);
        assert_eq!(stages.ended(999), None);
    }

    #[test]
    fn a_range_is_copied_from_piece_to_piece() {
        let mut stages = Stages::new(4096);
        let (one, two) = (stages.take().unwrap(), stages.take().unwrap());
        stages.bytes(&one, 4096).fill(1);
        stages.copy(&one, &two, 100..200);
        let bytes = stages.bytes(&two, 4096);
        assert!(bytes[100..200].iter().all(|byte| *byte == 1));
        assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 3996);
    }

    #[test]
    #[should_panic(expected = "in use was touched")]
    fn memory_that_the_kernel_has_is_not_touched() {
        let mut stages = Stages::new(4096);
        let stage = stages.take().unwrap();
        let _entry = stages.save(&stage, 0, ALL, false);
        stages.bytes(&stage, 1);
    }

    #[test]
    fn only_a_few_pieces_are_kept() {
        let mut stages = Stages::new(4096);
        let taken: Vec<Stage> = (0..20).map(|_| stages.take().unwrap()).collect();
        for stage in taken {
            stages.give_back(stage);
        }
        let kept = stages.pieces.iter().filter(|piece| piece.memory.is_some());
        assert_eq!(kept.count(), KEPT);
        let again = stages.take().unwrap();
        assert_eq!(stages.bytes(&again, 4096).len(), 4096);
    }
}
