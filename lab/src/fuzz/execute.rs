//! Doing a vector, and judging what came of it.

mod judge;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use pages::PageScope;
use serde::Serialize;

use super::vector::{How, MEMORY_BYTES, Spoilt, Vector, WINDOW_BYTES, WINDOW_START, Wrong};
use super::{Plant, Settings};
use crate::census::{Counter, SETTLE};
use crate::error::io_error;
use crate::huge_pages::HugePages;
use crate::sys::PAGE_BYTES;
use crate::sys::buffer::{Buffer, Segment};
use crate::sys::vectors::{AioContext, VectorRing, transfer};
use crate::{Direction, Memory, Result};

/// The frames of every such vector are looked at after it.
const FRAMES_EVERY: u64 = 16;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Problem {
    /// Pins were taken and not given back, or more given back than taken.
    Pins {
        /// Taken less given back.
        outstanding: i64,
    },
    /// A frame of the vector is pinned after its memory was unmapped.
    Frame {
        /// The frame.
        pfn: u64,
        /// Its pins.
        pin_count: u32,
    },
    /// The pool of huge pages lacks some.
    HugePages {
        /// How many.
        missing: i64,
    },
    /// Memory does not hold what it must.
    Memory {
        /// Offset of the first wrong byte in the memory.
        at: usize,
        /// Whether a segment that the transfer stored to holds it.
        stored: bool,
    },
    /// The medium does not hold what it must.
    Medium {
        /// Offset of the first wrong byte in the window.
        at: usize,
    },
    /// More was moved than there is, or than may be used.
    TooMuch {
        /// Bytes that the kernel says it moved.
        moved: usize,
        /// Bytes that could be.
        most: usize,
    },
    /// A vector with nothing wrong was refused or taken in part.
    Refused {
        /// Bytes moved, or the negative errno.
        result: i64,
    },
}

impl Problem {
    /// Whether it is of the same kind as another.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What came of a vector.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Bytes, or why none.
    pub(super) moved: io::Result<usize>,
    pub(super) problem: Option<Problem>,
}

/// Where vectors are done.
pub(super) struct Bench {
    /// For the vectors, with O_DIRECT.
    file: File,
    counter: Counter,
    scope: Option<PageScope>,
    ring: VectorRing,
    aio: AioContext,
    /// A file to map.
    backing: File,
    pool: HugePages,
    /// What the window holds.
    medium: Vec<u8>,
    /// Memory for reading it back.
    back: Buffer,
    /// Bytes that memory is filled from, another part each time.
    noise: Vec<u8>,
    done: u64,
    faulty: bool,
    logical_block_bytes: u64,
    plant: Option<Plant>,
    /// How long pins may outlive their transfer.
    settle: Duration,
}

/// The same while a vector that leaves pins is made shorter: each try waits for it.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);

impl Bench {
    pub(super) fn new(path: &Path, settings: &Settings) -> Result<Self> {
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
                .open(path)
        };
        let make = || -> io::Result<(File, VectorRing, AioContext, File, Buffer)> {
            let backing = tempfile::tempfile()?;
            backing.write_all_at(&vec![0; MEMORY_BYTES], 0)?;
            let back = Buffer::new(Memory::Malloc, WINDOW_BYTES, None)?;
            Ok((
                open()?,
                VectorRing::new()?,
                AioContext::new()?,
                backing,
                back,
            ))
        };
        let (file, ring, aio, backing, back) = make().map_err(io_error("prepare vectors"))?;
        let mut bench = Self {
            file,
            counter: Counter::new()?,
            scope: PageScope::open().ok(),
            ring,
            aio,
            backing,
            pool: HugePages::fill(),
            medium: vec![0; WINDOW_BYTES],
            back,
            noise: noise(settings.seed),
            done: 0,
            faulty: settings.faulty,
            logical_block_bytes: settings.logical_block_bytes,
            plant: settings.plant,
            settle: SETTLE,
        };
        bench.medium = bench.read_back(0, WINDOW_BYTES)?;
        Ok(bench)
    }

    /// Vectors that are expected to fail follow.
    pub(super) fn be_quick(&mut self) {
        self.settle = SETTLE_AGAIN;
    }

    pub(super) fn has_huge_pages(&self) -> bool {
        self.pool.free() > 0
    }

    /// Does a vector and says what it broke.
    pub(super) fn judge(&mut self, vector: &Vector) -> Result<Outcome> {
        let before = self.counter.now()?.outstanding();
        let free = self.pool.free();
        self.done += 1;
        let buffer = self
            .buffer(vector)
            .map_err(io_error("map memory for a vector"))?;
        let frames = self.frames(&buffer)?;
        let moved = self.transfer(vector, &buffer);
        self.plant(vector, &buffer, &moved)
            .map_err(io_error("plant a defect"))?;
        let mut problem = judge::size(vector, &moved);
        if problem.is_none() {
            problem = self.judge_data(vector, &buffer, &moved)?;
        }
        if problem.is_none() && !self.faulty {
            problem = judge::refusal(vector, &moved, self.logical_block_bytes);
        }
        drop(buffer);
        let outstanding = self.counter.settled(before, self.settle)?.outstanding() - before;
        if outstanding != 0 {
            problem = Some(Problem::Pins { outstanding });
        }
        if problem.is_none() {
            problem = self.left_pinned(&frames).or_else(|| self.lost(free));
        }
        Ok(Outcome { moved, problem })
    }

    fn buffer(&self, vector: &Vector) -> io::Result<Buffer> {
        let buffer = Buffer::new(vector.memory, MEMORY_BYTES, Some(&self.backing))?;
        buffer.store(0, self.fill());
        for Spoilt { page, wrong } in &vector.spoilt {
            let at = page * PAGE_BYTES;
            match wrong {
                Wrong::ReadOnly => buffer.protect(at, PAGE_BYTES, libc::PROT_READ)?,
                Wrong::NoAccess => buffer.protect(at, PAGE_BYTES, libc::PROT_NONE)?,
                // Before 6.13, and before 6.15 in files, there are none.
                Wrong::Guard if buffer.guard(at, PAGE_BYTES).is_err() => {
                    buffer.protect(at, PAGE_BYTES, libc::PROT_NONE)?;
                }
                Wrong::Guard => {}
                Wrong::Unmapped => buffer.unmap(at, PAGE_BYTES)?,
            }
        }
        Ok(buffer)
    }

    /// What memory is filled with this time.
    fn fill(&self) -> &[u8] {
        let start = usize::try_from(self.done * 509 % 4096).unwrap_or(0);
        &self.noise[start..start + MEMORY_BYTES]
    }

    fn transfer(&mut self, vector: &Vector, buffer: &Buffer) -> io::Result<usize> {
        let segments: Vec<Segment<'_>> = vector
            .submitted()
            .iter()
            .enumerate()
            .map(|(number, piece)| match vector.kernel_segment {
                Some(kernel) if kernel == number => Segment::of_the_kernel(piece.bytes),
                _ => buffer.segment(piece.at, piece.bytes),
            })
            .collect();
        let (file, direction) = (&self.file, vector.direction);
        let offset = WINDOW_START + vector.offset;
        let signed = i64::try_from(offset).map_err(io::Error::other)?;
        match (vector.how, segments.first()) {
            (How::Sync, _) => transfer(file, direction, &segments, signed),
            (How::Aio, _) => self.aio.transfer(file, direction, &segments, signed),
            (How::IoUring, _) => self.ring.transfer(file, direction, &segments, offset),
            (How::Fixed, None) => Ok(0),
            (How::Fixed, Some(first)) => {
                self.ring.register(&[buffer.segment(0, MEMORY_BYTES)])?;
                let moved = self.ring.transfer_fixed(file, direction, *first, 0, offset);
                self.ring.unregister()?;
                moved
            }
        }
    }

    fn plant(&self, vector: &Vector, buffer: &Buffer, moved: &io::Result<usize>) -> io::Result<()> {
        match self.plant {
            Some(Plant::Leak) if vector.segments.len() >= 2 => {
                let page = Buffer::new(Memory::Malloc, PAGE_BYTES, None)?;
                let ring = VectorRing::new()?;
                ring.register(&[page.segment(0, PAGE_BYTES)])?;
                std::mem::forget(ring);
            }
            Some(Plant::Data) if vector.direction == Direction::Destination => {
                let first = vector.segments.first().filter(|segment| segment.bytes > 0);
                if let (Some(first), Ok(PAGE_BYTES..)) = (first, moved) {
                    let wrong = !buffer.load(first.at, 1)[0];
                    buffer.store(first.at, &[wrong]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge_data(
        &mut self,
        vector: &Vector,
        buffer: &Buffer,
        moved: &io::Result<usize>,
    ) -> Result<Option<Problem>> {
        let offset = usize::try_from(vector.offset).unwrap_or(WINDOW_BYTES);
        let count = moved.as_ref().map_or(0, |count| *count);
        if vector.direction == Direction::Destination {
            let data = &self.medium[offset..offset + count];
            return Ok(judge::memory(vector, buffer, self.fill(), data));
        }
        if let Some(problem) = judge::memory(vector, buffer, self.fill(), &[]) {
            return Ok(Some(problem));
        }
        if vector.bytes() == 0 {
            return Ok(None);
        }
        let supplied = gathered(vector, self.fill());
        // Whole pages around it: what lies beside must be as it was.
        let start = offset - offset % PAGE_BYTES;
        let end = (offset + supplied.len())
            .next_multiple_of(PAGE_BYTES)
            .min(WINDOW_BYTES);
        let found = self.read_back(start, end - start)?;
        let mut wanted = self.medium[start..end].to_vec();
        wanted[offset - start..][..count].copy_from_slice(&supplied[..count]);
        let mut problem = None;
        if found != wanted {
            // What was not accepted may be on the medium or not, block by block.
            let mut rest = wanted.clone();
            rest[offset - start..][..supplied.len()].copy_from_slice(&supplied);
            let wrong =
                (0..found.len()).find(|at| found[*at] != wanted[*at] && found[*at] != rest[*at]);
            problem = wrong.map(|at| Problem::Medium { at: start + at });
        }
        self.medium[start..end].copy_from_slice(&found);
        Ok(problem)
    }

    /// What the window holds, by plain reads of whole pages.
    fn read_back(&mut self, start: usize, bytes: usize) -> Result<Vec<u8>> {
        let piece = [self.back.segment(start, bytes)];
        let offset = i64::try_from(WINDOW_START).unwrap_or(0) + i64::try_from(start).unwrap_or(0);
        let moved = transfer(&self.file, Direction::Destination, &piece, offset)
            .map_err(io_error("read the medium back"))?;
        if moved != bytes {
            let error = io::Error::other(format!("{moved} of {bytes} bytes"));
            return Err(io_error("read the medium back")(error));
        }
        Ok(self.back.load(start, bytes))
    }

    /// The frames that a vector's memory has, now and then.
    fn frames(&self, buffer: &Buffer) -> Result<Vec<u64>> {
        let Some(scope) = self
            .scope
            .as_ref()
            .filter(|_| self.done.is_multiple_of(FRAMES_EVERY))
        else {
            return Ok(Vec::new());
        };
        let views = scope.snapshot(std::process::id(), buffer.address(), MEMORY_BYTES as u64)?;
        Ok(views
            .into_iter()
            .filter_map(|view| view.pagemap.pfn)
            .collect())
    }

    /// Huge pages that were free and are not any more.
    fn lost(&self, before: u64) -> Option<Problem> {
        let missing = before.cast_signed() - self.pool.free().cast_signed();
        (missing != 0).then_some(Problem::HugePages { missing })
    }

    fn left_pinned(&self, frames: &[u64]) -> Option<Problem> {
        let scope = self.scope.as_ref()?;
        frames.iter().find_map(|pfn| {
            let state = scope.page_state(*pfn).ok()?;
            (state.pin_count > 0).then_some(Problem::Frame {
                pfn: *pfn,
                pin_count: state.pin_count,
            })
        })
    }
}

/// The bytes of the submitted segments, in the order of the data.
fn gathered(vector: &Vector, memory: &[u8]) -> Vec<u8> {
    let segments = vector.submitted().iter();
    segments
        .flat_map(|segment| &memory[segment.at..segment.at + segment.bytes])
        .copied()
        .collect()
}

/// Bytes without a pattern that a shift would hide.
fn noise(seed: u64) -> Vec<u8> {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut bytes = vec![0; MEMORY_BYTES + PAGE_BYTES];
    ChaCha8Rng::seed_from_u64(!seed).fill_bytes(&mut bytes);
    bytes
}
