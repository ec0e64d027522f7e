//! A lane: a part of the disk that one client has to itself, with a model of its own. The lanes of a
//! cell run at the same time, each on another CPU, so that several requests are in flight while what
//! each lane must see stays certain.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};

use crate::client_io::{Aligned, Disk};
use crate::model::{Model, Step, Way, first_difference, pattern};
use crate::sys::{self, SharedMap};

/// What a destination's memory holds before it is read into.
const BEFORE: u8 = 0xa5;

/// The longest step, and where it may begin.
const MEMORY: usize = (128 << 10) + 8 * 4096;

/// What a disk must return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// What was written to it.
    Data,
    /// Nothing: zeroes, or the memory stays as it was; never what somebody else wrote.
    Nothing,
}

/// One client of a disk.
pub(crate) struct Lane {
    ways: Ways,
    memory: Memory,
    base: u64,
    keeps: Keeps,
    model: Model,
}

/// The disk, open in each way that a step may take.
struct Ways {
    direct: Disk,
    durable: Disk,
    cached: Disk,
    /// Whether the kernel sends write zeroes at all; without them zeroes that may unmap are refused.
    can_unmap_zeroes: bool,
}

/// The client's memory for a step's data.
struct Memory {
    /// Its own.
    own: Aligned,
    /// What it shares with the daemon.
    shared: Option<SharedMap>,
    /// What memory must be aligned to for O_DIRECT, in bytes.
    alignment: u64,
}

/// Where in which memory a step's data is.
#[derive(Clone, Copy)]
struct Place {
    shared: bool,
    start: usize,
}

impl Ways {
    fn open(path: &str) -> Self {
        let cached = Disk::open_with(path, 0);
        // Without read-ahead: it would fetch pages of the next lane while that one writes past the cache.
        posix_fadvise(&cached.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM).unwrap();
        Self {
            can_unmap_zeroes: sys::queue_limit(path, "write_zeroes_max_bytes") > 0,
            direct: Disk::open(path),
            durable: Disk::open_with(path, libc::O_DIRECT | libc::O_DSYNC),
            cached,
        }
    }

    fn file(&self, way: Way) -> &File {
        match way {
            Way::Direct => &self.direct.file,
            Way::Durable => &self.durable.file,
            Way::Cached => &self.cached.file,
        }
    }
}

impl Memory {
    /// Anywhere that the device says it takes, and half of the time in what is shared, if something is.
    fn place(&self, way: Way, model: &mut Model) -> Place {
        let unit = if way == Way::Cached {
            1
        } else {
            self.alignment
        };
        let start = usize::try_from(model.below(8) * unit).unwrap();
        let shared = self.shared.is_some() && model.below(2) == 0;
        Place { shared, start }
    }

    fn part(&mut self, place: Place, len: usize) -> &mut [u8] {
        let bytes = match &mut self.shared {
            Some(map) if place.shared => map.bytes_mut(),
            _ => self.own.bytes_mut(),
        };
        &mut bytes[place.start..place.start + len]
    }
}

impl Lane {
    /// A client with the model's part of the disk, from `base` on.
    pub(crate) fn open(
        path: &str,
        base: u64,
        keeps: Keeps,
        model: Model,
        shared: Option<SharedMap>,
    ) -> Self {
        let memory = Memory {
            own: Aligned::new(MEMORY),
            shared,
            alignment: sys::memory_alignment(path),
        };
        Self {
            ways: Ways::open(path),
            memory,
            base,
            keeps,
            model,
        }
    }

    /// Runs `steps` random steps and gives the model as it is then.
    ///
    /// # Errors
    /// What went wrong, at which step.
    pub(crate) fn run(mut self, steps: usize) -> Result<Model, String> {
        for number in 0..steps {
            let step = self.model.next_step();
            self.step(step).map_err(|what| {
                let unit = self.memory.alignment;
                format!("step {number}, {step:?}, memory aligned to {unit}: {what}")
            })?;
            self.model.apply(step);
        }
        self.ways
            .cached
            .file
            .sync_all()
            .map_err(|e| e.to_string())?;
        Ok(self.model)
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        let done = match step {
            Step::Read { offset, len, way } => return self.read(offset, len, way),
            Step::Write {
                offset,
                len,
                fill,
                way,
            } => {
                let place = self.memory.place(way, &mut self.model);
                let part = self.memory.part(place, len);
                part.copy_from_slice(&pattern(fill, len));
                self.ways.file(way).write_all_at(part, self.base + offset)
            }
            Step::Flush => self.ways.direct.file.sync_data(),
            Step::Discard { offset, len } => {
                sys::discard(&self.ways.direct.file, self.base + offset, len)
            }
            Step::Zero { offset, len, keep } => {
                let keep = keep || !self.ways.can_unmap_zeroes;
                zero(&self.ways.direct.file, self.base + offset, len, keep)
            }
        };
        done.map_err(|error| error.to_string())
    }

    fn read(&mut self, offset: u64, len: usize, way: Way) -> Result<(), String> {
        let place = self.memory.place(way, &mut self.model);
        let part = self.memory.part(place, len);
        part.fill(BEFORE);
        let read = self.ways.file(way).read_exact_at(part, self.base + offset);
        read.map_err(|error| error.to_string())?;
        let wrong = match self.keeps {
            Keeps::Data => first_difference(part, self.model.part(offset, len)),
            // What the page cache was given is in the page cache, whatever the disk forgets.
            Keeps::Nothing if way == Way::Cached => None,
            Keeps::Nothing => part.iter().position(|byte| ![0, BEFORE].contains(byte)),
        };
        wrong.map_or(Ok(()), |at| {
            Err(format!("byte {at} of the read is {:#04x}", part[at]))
        })
    }
}

/// Write zeroes: ZERO_RANGE is the kind with NOUNMAP, PUNCH_HOLE the kind that may unmap
/// (`blkdev_fallocate`, block/fops.c).
pub(crate) fn zero(device: &File, offset: u64, len: u64, keep: bool) -> std::io::Result<()> {
    let mode = if keep {
        FallocateFlags::FALLOC_FL_ZERO_RANGE
    } else {
        FallocateFlags::FALLOC_FL_PUNCH_HOLE
    };
    let mode = mode | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let signed = |number: u64| i64::try_from(number).unwrap();
    fallocate(device, mode, signed(offset), signed(len)).map_err(Into::into)
}
