//! What a puppet can be told to do, and what it answers: one JSON object a line.

use std::path::PathBuf;

use api::Hex;
use serde::{Deserialize, Serialize};

use crate::sys::Way;

/// An open file of a puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId(pub(super) usize);

/// An operation that a puppet has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpId(pub(super) usize);

/// An io_uring of a puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RingId(pub(super) usize);

/// Memory of a puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mem {
    pub(super) area: usize,
    /// Its first virtual address.
    pub(crate) address: u64,
    /// Its length.
    pub(crate) bytes: usize,
}

impl Mem {
    #[cfg(test)]
    pub(super) const fn default_for_tests() -> Self {
        Self {
            area: 0,
            address: 0,
            bytes: 4096,
        }
    }

    /// All of it.
    pub(crate) const fn all(self) -> Part {
        self.part(0, self.bytes)
    }

    /// A part of it.
    pub(crate) const fn part(self, at: usize, bytes: usize) -> Part {
        Part {
            area: self.area,
            at,
            bytes,
        }
    }
}

/// A part of the memory of a puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(super) area: usize,
    pub(super) at: usize,
    pub(super) bytes: usize,
}

/// What memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Memory {
    /// Private and anonymous; small pages unless the system's default is huge ones and it is long enough.
    Private,
    /// Shared and anonymous, which is a file of shmem.
    Shared,
    /// Private and anonymous, on a boundary of 2 MiB, with `MADV_HUGEPAGE`.
    Thp,
    /// A page of the pool of huge pages.
    HugeTlb,
    /// A file, mapped shared.
    FileShared(FileId),
    /// A file, mapped privately.
    FilePrivate(FileId),
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mode {
    /// With `O_DIRECT`.
    pub(crate) direct: bool,
    /// For writing, too.
    pub(crate) write: bool,
}

impl Mode {
    /// For direct reads and writes.
    pub(crate) const DIRECT: Self = Self {
        direct: true,
        write: true,
    };
    /// For reads and writes through the page cache.
    pub(crate) const BUFFERED: Self = Self {
        direct: false,
        write: true,
    };
}

/// A read or a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// From or to where.
    pub(crate) file: FileId,
    /// Whether the memory receives or supplies.
    pub(crate) way: Way,
    /// The memory.
    pub(crate) parts: Vec<Part>,
    /// The place in the file, in bytes.
    pub(crate) offset: u64,
}

impl Transfer {
    /// A read: the memory is the destination.
    pub(crate) fn read(file: FileId, part: Part, offset: u64) -> Self {
        Self {
            file,
            way: Way::ToMemory,
            parts: vec![part],
            offset,
        }
    }

    /// A write: the memory is the source.
    pub(crate) fn write(file: FileId, part: Part, offset: u64) -> Self {
        Self {
            way: Way::FromMemory,
            ..Self::read(file, part, offset)
        }
    }
}

/// Something that may take its time: done at once, or by a thread of the puppet's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// pread(2), pwrite(2) and the like: bytes.
    Transfer(Transfer),
    /// Stores a byte all over memory.
    Fill(Part, u8),
    /// Loads memory: its bytes.
    Load(Part),
    /// munmap(2).
    Unmap(Part),
    /// mprotect(2) with `PROT_*`.
    Protect(Part, i32),
    /// madvise(2) with `MADV_*`.
    Advise(Part, i32),
    /// mlock(2), or munlock(2).
    Lock(Part, bool),
    /// msync(2).
    Sync(Part),
    /// fsync(2).
    Fsync(FileId),
    /// ftruncate(2).
    Truncate(FileId, u64),
    /// fallocate(2) with `FALLOC_FL_PUNCH_HOLE`: offset and length.
    Punch(FileId, u64, u64),
    /// splice(2) of at most so many bytes.
    Splice(FileId, FileId, usize),
    /// vmsplice(2).
    Vmsplice(FileId, Part),
    /// read(2) of at most so many bytes: them.
    Take(FileId, usize),
    /// move_pages(2) of the first page to a node: its node, or a negative errno.
    Migrate(Part, i32),
    /// `UFFDIO_MOVE` of pages from the first to the second, where none is.
    Move(Part, Part),
}

/// How a transfer is done that the puppet does not wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// By a thread in pread(2) or pwrite(2).
    Sync,
    /// io_submit(2).
    Aio,
    /// io_uring.
    Ring(RingId),
    /// io_uring, from or to the registered buffer of this number.
    Fixed(RingId, u16),
}

/// What a puppet is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    Open(PathBuf, Mode),
    /// A file of memory of so many bytes.
    MemoryFile(u64),
    /// A file of memory that the kernel has no mapping of.
    SecretFile(u64),
    /// Both ends of a pipe: two ids, the first to take from.
    Pipe,
    Close(FileId),
    /// vmsplice(2) of the same memory into a pipe, so many times.
    FillPipe(FileId, Part, usize),
    Map(Memory, usize),
    /// Moves memory to another address.
    Remap(Mem),
    /// Which pages are in memory.
    Resident(Part),
    Do(Job),
    Start(Job),
    Submit(Transfer, How),
    Ring,
    Register(RingId, Vec<Part>),
    Unregister(RingId),
    CloseRing(RingId),
    /// Asks io_uring to cancel an operation.
    Cancel(OpId),
    /// Waits for an operation, at most so many milliseconds.
    Wait(OpId, u64),
    /// Makes a child that is a puppet with the same memory, files and operations.
    Fork,
    /// Closes the ends of the child's pipes, which the controller has opened by now.
    Forked,
    /// Becomes a fresh puppet by execve(2).
    Exec,
}

/// What a puppet answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It waits for orders.
    Ready,
    Done(i64),
    Pending,
    Id(usize),
    Ids(usize, usize),
    Mem(Mem),
    Bytes(Hex),
    Pages(Vec<bool>),
    /// The child, and the descriptors to reach it by.
    Forked {
        pid: u32,
        orders: i32,
        answers: i32,
    },
}

/// An answer, or the errno of what failed.
pub(crate) type Said = Result<Answer, i32>;
