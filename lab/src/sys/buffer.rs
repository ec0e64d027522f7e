//! Memory of each kind that a direct I/O can be given, reached by address only.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::PAGE_BYTES;

/// Size of a huge page of x86-64, in bytes.
pub(crate) const HUGE_BYTES: usize = 2 << 20;
/// `MADV_GUARD_INSTALL`, since 6.13 (include/uapi/asm-generic/mman-common.h).
const MADV_GUARD_INSTALL: i32 = 102;

/// Where the pages of a buffer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Private anonymous memory in small pages, as malloc gives.
    Malloc,
    /// Shared anonymous memory.
    SharedAnonymous,
    /// A transparent huge page.
    Thp,
    /// A page of the pool of huge pages.
    Hugetlb,
    /// A file of memory, mapped shared.
    Memfd,
    /// A file, mapped shared.
    FileShared,
    /// A file, mapped private and stored to, so that its pages are copies.
    FilePrivate,
}

/// A mapping of one kind, every page of which is present; unmapped when dropped.
///
/// No reference to its bytes ever exists: the kernel may store to them at any time.
#[derive(Debug)]
pub(crate) struct Buffer {
    address: usize,
    bytes: usize,
    /// Start and length of what was mapped to get an aligned start.
    mapped: (usize, usize),
}

impl Buffer {
    /// Maps `bytes` of a kind and stores to each page. Huge pages come whole. `file` is an open file of
    /// at least that size for the kinds that want one.
    pub(crate) fn new(memory: Memory, bytes: usize, file: Option<&File>) -> io::Result<Self> {
        const ANONYMOUS: i32 = libc::MAP_ANONYMOUS;
        let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "no file to map");
        let whole = bytes.next_multiple_of(HUGE_BYTES);
        let buffer = match memory {
            Memory::Malloc => {
                let buffer = Self::map(bytes, PAGE_BYTES, libc::MAP_PRIVATE | ANONYMOUS, None)?;
                buffer.advise(0, bytes, libc::MADV_NOHUGEPAGE)?;
                buffer
            }
            Memory::SharedAnonymous => {
                Self::map(bytes, PAGE_BYTES, libc::MAP_SHARED | ANONYMOUS, None)?
            }
            Memory::Thp => {
                let buffer = Self::map(whole, HUGE_BYTES, libc::MAP_PRIVATE | ANONYMOUS, None)?;
                buffer.advise(0, whole, libc::MADV_HUGEPAGE)?;
                buffer
            }
            Memory::Hugetlb => {
                let flags = libc::MAP_PRIVATE | ANONYMOUS | libc::MAP_HUGETLB;
                Self::map(whole, PAGE_BYTES, flags, None)?
            }
            Memory::Memfd => {
                let file = memory_file(bytes)?;
                Self::map(bytes, PAGE_BYTES, libc::MAP_SHARED, Some(&file))?
            }
            Memory::FileShared => {
                let file = file.ok_or_else(no_file)?;
                Self::map(bytes, PAGE_BYTES, libc::MAP_SHARED, Some(file))?
            }
            Memory::FilePrivate => {
                let file = file.ok_or_else(no_file)?;
                Self::map(bytes, PAGE_BYTES, libc::MAP_PRIVATE, Some(file))?
            }
        };
        for at in (0..buffer.bytes).step_by(PAGE_BYTES) {
            buffer.store(at, &[0xa5]);
        }
        Ok(buffer)
    }

    fn map(bytes: usize, alignment: usize, flags: i32, file: Option<&File>) -> io::Result<Self> {
        let room = if alignment > PAGE_BYTES {
            bytes + alignment
        } else {
            bytes
        };
        let fd = file.map_or(-1, AsRawFd::as_raw_fd);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                room,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start as usize;
        Ok(Self {
            address: start.next_multiple_of(alignment),
            bytes,
            mapped: (start, room),
        })
    }

    /// Its first address.
    pub(crate) fn address(&self) -> u64 {
        self.address as u64
    }

    /// Panics, as indexing does, for what is not in the buffer: the offsets are the program's own.
    fn at(&self, at: usize, bytes: usize) -> usize {
        let fits = at.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(fits, "{at}+{bytes} is not within {} bytes", self.bytes);
        self.address + at
    }

    /// Stores bytes. The pages must be writable.
    pub(crate) fn store(&self, at: usize, bytes: &[u8]) {
        let to = self.at(at, bytes.len()) as *mut u8;
        // SAFETY: the range lies within the mapping, to whose bytes no reference exists.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// What is there. The pages must be readable.
    pub(crate) fn load(&self, at: usize, bytes: usize) -> Vec<u8> {
        let from = self.at(at, bytes) as *const u8;
        let mut copy = vec![0; bytes];
        // SAFETY: as above; the copy is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), bytes) };
        copy
    }

    /// mprotect(2) of a part.
    pub(crate) fn protect(&self, at: usize, bytes: usize, protection: i32) -> io::Result<()> {
        let start = self.at(at, bytes) as *mut libc::c_void;
        // SAFETY: the range lies within the mapping, to whose bytes no reference exists.
        zero(unsafe { libc::mprotect(start, bytes, protection) })
    }

    /// madvise(2) of a part.
    pub(crate) fn advise(&self, at: usize, bytes: usize, advice: i32) -> io::Result<()> {
        let start = self.at(at, bytes) as *mut libc::c_void;
        // SAFETY: as above; nobody relies on bytes that an advice discards.
        zero(unsafe { libc::madvise(start, bytes, advice) })
    }

    /// Makes a part a guard region, which faults like an unmapped one.
    pub(crate) fn guard(&self, at: usize, bytes: usize) -> io::Result<()> {
        self.advise(at, bytes, MADV_GUARD_INSTALL)
    }

    /// Gives the pages of a part back and leaves a reservation that cannot be accessed: to the pages
    /// `MAP_FIXED` is munmap (mmap(2)).
    pub(crate) fn unmap(&self, at: usize, bytes: usize) -> io::Result<()> {
        let start = self.at(at, bytes) as *mut libc::c_void;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range lies within the mapping, to whose bytes no reference exists.
        let done = unsafe { libc::mmap(start, bytes, libc::PROT_NONE, flags, -1, 0) };
        if done == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Stores to each page through a shared mapping, and has them written back.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let start = self.address as *mut libc::c_void;
        // SAFETY: the whole of this mapping.
        zero(unsafe { libc::msync(start, self.bytes, libc::MS_SYNC) })
    }

    /// A piece to transfer.
    pub(crate) fn segment(&self, at: usize, bytes: usize) -> Segment<'_> {
        Segment {
            address: self.at(at, bytes),
            bytes,
            buffer: PhantomData,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let (start, bytes) = self.mapped;
        // SAFETY: our own mapping; no reference to its bytes exists, and segments of transfers borrow it.
        unsafe { libc::munmap(start as *mut libc::c_void, bytes) };
    }
}

/// A piece of a buffer that a transfer may use for as long as the buffer is borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(super) address: usize,
    pub(super) bytes: usize,
    buffer: PhantomData<&'a Buffer>,
}

impl Segment<'_> {
    /// A piece at an address of the kernel's half, which no user may use: a transfer of it must fail.
    pub(crate) fn of_the_kernel(bytes: usize) -> Self {
        Self {
            address: 0xffff_8000_0000_0000,
            bytes,
            buffer: PhantomData,
        }
    }

    pub(super) fn vector(self) -> libc::iovec {
        libc::iovec {
            iov_base: self.address as *mut libc::c_void,
            iov_len: self.bytes,
        }
    }
}

/// A file of memory.
pub(crate) fn memory_file(bytes: usize) -> io::Result<File> {
    // SAFETY: the name is a string with a NUL; the call returns a new descriptor.
    let fd = unsafe { libc::memfd_create(c"lab".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// A mapping of a block device or file, without touching its pages.
pub(crate) fn map_file(file: &File, bytes: usize) -> io::Result<Buffer> {
    Buffer::map(bytes, PAGE_BYTES, libc::MAP_SHARED, Some(file))
}

fn zero(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
