//! One small client a flavour.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use nix::fcntl::{FallocateFlags, SpliceFFlags, fallocate, splice, vmsplice};
use nix::sys::sendfile::sendfile;
use nix::unistd::pipe;
use serde::{Deserialize, Serialize};

use super::place::Place;
use super::{IOS, PAGES, word};
use crate::sys::PAGE_BYTES;
use crate::sys::buffer::{Buffer, Memory, map_file, memory_file};
use crate::sys::vectors::{AioContext, VectorRing, transfer};
use crate::{Direction, LabError};

/// Which system calls reach the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// pread(2), pwrite(2).
    Pread,
    /// preadv(2), pwritev(2).
    Preadv,
    /// The kernel's AIO, as libaio uses it.
    Aio,
    /// io_uring.
    IoUring,
    /// io_uring with a registered buffer.
    IoUringFixed,
    /// splice(2) between a pipe and the device opened with O_DIRECT.
    Splice,
    /// vmsplice(2) of memory into a pipe, and from there splice(2) to the device.
    Vmsplice,
    /// sendfile(2) from or to the device opened with O_DIRECT.
    Sendfile,
    /// A shared mapping of the device.
    Mmap,
    /// pread(2), pwrite(2) and fsync(2) through the page cache.
    Buffered,
    /// fallocate(2) that punches a hole: discard or write zeroes.
    Discard,
}

impl Flavour {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Pread,
        Self::Preadv,
        Self::Aio,
        Self::IoUring,
        Self::IoUringFixed,
        Self::Splice,
        Self::Vmsplice,
        Self::Sendfile,
        Self::Mmap,
        Self::Buffered,
        Self::Discard,
    ];

    /// Whether there is such a thing in this direction: vmsplice puts pages into a pipe and takes none
    /// out, discard moves no data and is counted as what it is on the medium, a change.
    #[must_use]
    pub fn has(self, direction: Direction) -> bool {
        direction == Direction::Source || !matches!(self, Self::Vmsplice | Self::Discard)
    }

    fn is_direct(self) -> bool {
        !matches!(self, Self::Mmap | Self::Buffered | Self::Discard)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "four pages are far below 2^32"
)]
const BYTES: usize = PAGES as usize * PAGE_BYTES;

type Step = Box<dyn FnMut(&File, u64) -> io::Result<usize>>;

/// A client that is ready to transfer; what it registered goes when it is dropped.
pub(super) struct Client {
    step: Step,
    file: File,
}

impl Client {
    pub(super) fn prepare(
        flavour: Flavour,
        direction: Direction,
        memory: Memory,
        place: &Place,
    ) -> io::Result<Self> {
        let flags = if flavour.is_direct() {
            libc::O_DIRECT
        } else {
            0
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags | libc::O_CLOEXEC)
            .open(place.path())?;
        let step = match flavour {
            Flavour::Pread => plain(direction, buffer(memory)?),
            Flavour::Preadv => vectored(direction, buffer(memory)?),
            Flavour::Aio => aio(direction, buffer(memory)?)?,
            Flavour::IoUring => ring(direction, buffer(memory)?)?,
            Flavour::IoUringFixed => fixed(direction, buffer(memory)?)?,
            Flavour::Splice => spliced(direction)?,
            Flavour::Vmsplice => vmspliced()?,
            Flavour::Sendfile => sent(direction)?,
            Flavour::Mmap => mapped(direction, &file)?,
            Flavour::Buffered => buffered(direction),
            Flavour::Discard => Box::new(punch),
        };
        Ok(Self { step, file })
    }

    /// Does transfer `number`.
    pub(super) fn transfer(&mut self, number: u64) -> io::Result<()> {
        let moved = (self.step)(&self.file, number * BYTES as u64)?;
        if moved == BYTES {
            return Ok(());
        }
        Err(io::Error::other(format!("{moved} of {BYTES} bytes")))
    }
}

/// The error of a transfer that must not fail.
pub(super) fn failed(
    flavour: Flavour,
    direction: Direction,
    place: &Place,
    source: io::Error,
) -> LabError {
    let what = format!(
        "{} ({direction}) on {}",
        word(&flavour),
        place.path().display()
    );
    LabError::Transfer { what, source }
}

fn buffer(memory: Memory) -> io::Result<Buffer> {
    let file = match memory {
        Memory::FileShared | Memory::FilePrivate => {
            let file = tempfile::tempfile()?;
            file.write_all_at(&[1; BYTES], 0)?;
            Some(file)
        }
        _ => None,
    };
    Buffer::new(memory, BYTES, file.as_ref())
}

fn signed(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(io::Error::other)
}

fn plain(direction: Direction, buffer: Buffer) -> Step {
    Box::new(move |file: &File, offset: u64| {
        transfer(
            file,
            direction,
            &[buffer.segment(0, BYTES)],
            signed(offset)?,
        )
    })
}

fn vectored(direction: Direction, buffer: Buffer) -> Step {
    Box::new(move |file: &File, offset: u64| {
        let pieces: Vec<_> = (0..BYTES)
            .step_by(PAGE_BYTES)
            .map(|at| buffer.segment(at, PAGE_BYTES))
            .collect();
        transfer(file, direction, &pieces, signed(offset)?)
    })
}

fn aio(direction: Direction, buffer: Buffer) -> io::Result<Step> {
    let context = AioContext::new()?;
    Ok(Box::new(move |file: &File, offset: u64| {
        let pieces = [buffer.segment(0, BYTES)];
        context.transfer(file, direction, &pieces, signed(offset)?)
    }))
}

fn ring(direction: Direction, buffer: Buffer) -> io::Result<Step> {
    let mut ring = VectorRing::new()?;
    Ok(Box::new(move |file: &File, offset: u64| {
        ring.transfer(file, direction, &[buffer.segment(0, BYTES)], offset)
    }))
}

fn fixed(direction: Direction, buffer: Buffer) -> io::Result<Step> {
    let mut ring = VectorRing::new()?;
    ring.register(&[buffer.segment(0, BYTES)])?;
    Ok(Box::new(move |file: &File, offset: u64| {
        ring.transfer_fixed(file, direction, buffer.segment(0, BYTES), 0, offset)
    }))
}

/// Moves as much as there is between two descriptors, one of which is a pipe.
fn splice_all(from: (&impl AsFd, Option<i64>), to: (&impl AsFd, Option<i64>)) -> io::Result<usize> {
    let (mut source, mut destination) = (from.1, to.1);
    let mut moved = 0;
    while moved < BYTES {
        let count = splice(
            from.0,
            source.as_mut(),
            to.0,
            destination.as_mut(),
            BYTES - moved,
            SpliceFFlags::empty(),
        )?;
        if count == 0 {
            break;
        }
        moved += count;
    }
    Ok(moved)
}

fn spliced(direction: Direction) -> io::Result<Step> {
    let (from, to) = pipe()?;
    let sink = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(match direction {
        Direction::Destination => Box::new(move |file: &File, offset: u64| {
            let moved = splice_all((file, Some(signed(offset)?)), (&to, None))?;
            splice_all((&from, None), (&sink, None))?;
            Ok(moved)
        }),
        Direction::Source => Box::new(move |file: &File, offset: u64| {
            nix::unistd::write(&to, &[7; BYTES])?;
            splice_all((&from, None), (file, Some(signed(offset)?)))
        }),
    })
}

fn vmspliced() -> io::Result<Step> {
    let (from, to): (OwnedFd, OwnedFd) = pipe()?;
    // Whole pages, as O_DIRECT wants them: a piece of a page would become one of the pipe's.
    let memory = vec![7_u8; BYTES + PAGE_BYTES];
    let start = memory.as_ptr().align_offset(PAGE_BYTES);
    Ok(Box::new(move |file: &File, offset: u64| {
        let pages = [IoSlice::new(&memory[start..start + BYTES])];
        let moved = vmsplice(&to, &pages, SpliceFFlags::empty())?;
        if moved != BYTES {
            return Ok(moved);
        }
        splice_all((&from, None), (file, Some(signed(offset)?)))
    }))
}

fn sent(direction: Direction) -> io::Result<Step> {
    let sink = OpenOptions::new().write(true).open("/dev/null")?;
    let supply = memory_file(BYTES)?;
    supply.write_all_at(&[7; BYTES], 0)?;
    Ok(Box::new(move |file: &File, offset: u64| {
        let mut at = signed(offset)?;
        match direction {
            Direction::Destination => Ok(sendfile(&sink, file, Some(&mut at), BYTES)?),
            Direction::Source => {
                // sendfile(2) has no offset of the file that it stores to.
                nix::unistd::lseek(file, at, nix::unistd::Whence::SeekSet)?;
                Ok(sendfile(file, &supply, Some(&mut 0), BYTES)?)
            }
        }
    }))
}

fn mapped(direction: Direction, file: &File) -> io::Result<Step> {
    #[expect(clippy::cast_possible_truncation, reason = "a few pages")]
    let map = map_file(file, BYTES * IOS as usize)?;
    Ok(Box::new(move |_: &File, offset: u64| {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        match direction {
            Direction::Destination => Ok(map.load(offset, BYTES).len()),
            Direction::Source => {
                map.store(offset, &[7; BYTES]);
                map.sync()?;
                Ok(BYTES)
            }
        }
    }))
}

fn buffered(direction: Direction) -> Step {
    Box::new(move |file: &File, offset: u64| match direction {
        Direction::Destination => {
            // From the device, not from what the page cache still has.
            nix::fcntl::posix_fadvise(
                file,
                0,
                0,
                nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED,
            )?;
            file.read_at(&mut [0; BYTES], offset)
        }
        Direction::Source => {
            let moved = file.write_at(&[7; BYTES], offset)?;
            file.sync_all()?;
            Ok(moved)
        }
    })
}

fn punch(file: &File, offset: u64) -> io::Result<usize> {
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, mode, signed(offset)?, signed(BYTES as u64)?)?;
    Ok(BYTES)
}
