//! Memory of a puppet that the kernel may change at any time.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use super::PAGE_BYTES;

/// The size of a huge page of x86-64, in bytes.
const HUGE_BYTES: usize = 2 << 20;

/// A range of addresses that is this process's for the rest of its life.
///
/// It is reached by address only: no reference to its bytes ever exists, so the kernel may store into it at
/// any time. It is never given back, so an operation that still has the address cannot meet other memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    address: usize,
    bytes: usize,
}

impl Area {
    /// Anonymous memory, private or shared.
    pub(crate) fn anonymous(bytes: usize, shared: bool) -> io::Result<Self> {
        let visibility = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        Self::map(bytes, visibility | libc::MAP_ANONYMOUS, -1, true)
    }

    /// Anonymous private memory that begins on a boundary of 2 MiB.
    pub(crate) fn aligned(bytes: usize) -> io::Result<Self> {
        let wide = Self::anonymous(bytes + HUGE_BYTES, false)?;
        Ok(Self {
            address: wide.address.next_multiple_of(HUGE_BYTES),
            bytes,
        })
    }

    /// A page of the pool of huge pages (`vm.nr_hugepages`).
    pub(crate) fn huge(bytes: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        Self::map(bytes, flags, -1, true)
    }

    /// A file from its beginning.
    pub(crate) fn of_file(
        file: &File,
        bytes: usize,
        shared: bool,
        writable: bool,
    ) -> io::Result<Self> {
        let visibility = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        Self::map(bytes, visibility, file.as_raw_fd(), writable)
    }

    fn map(bytes: usize, flags: i32, file: RawFd, writable: bool) -> io::Result<Self> {
        let write = if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | write,
                flags,
                file,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            address: address as usize,
            bytes,
        })
    }

    /// Its first address.
    pub(crate) fn address(self) -> usize {
        self.address
    }

    /// Its length in bytes.
    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// The address of a range within it.
    pub(crate) fn span(self, at: usize, bytes: usize) -> io::Result<usize> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.bytes => Ok(self.address + at),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Stores `byte` all over a range, as a program would. Where the memory is not accessible, the process ends
    /// with SIGSEGV or SIGBUS, as a program would.
    pub(crate) fn fill(self, at: usize, bytes: usize, byte: u8) -> io::Result<()> {
        let start = self.span(at, bytes)?;
        // SAFETY: the range lies within the area, to whose bytes no reference exists; see above for a range that
        // is not accessible.
        unsafe { ptr::write_bytes(start as *mut u8, byte, bytes) };
        Ok(())
    }

    /// Loads a range, as a program would; see [`Area::fill`].
    pub(crate) fn load(self, at: usize, bytes: usize) -> io::Result<Vec<u8>> {
        let start = self.span(at, bytes)?;
        let mut copy = vec![0_u8; bytes];
        // SAFETY: the source lies within the area, the destination is a fresh vector of that length.
        unsafe { ptr::copy_nonoverlapping(start as *const u8, copy.as_mut_ptr(), bytes) };
        Ok(copy)
    }

    /// Unmaps a range and leaves an inaccessible reservation: to the pages `MAP_FIXED` is munmap (mmap(2)).
    pub(crate) fn unmap(self, at: usize, bytes: usize) -> io::Result<()> {
        let start = self.span(at, bytes)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range lies within the area, which nothing else uses.
        let done = unsafe {
            libc::mmap(
                start as *mut libc::c_void,
                bytes,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            )
        };
        if done == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Moves all pages to another address; the old range stays mapped and empty (`MREMAP_DONTUNMAP`).
    pub(crate) fn moved(self) -> io::Result<Self> {
        let new = Self::anonymous(self.bytes, false)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        // SAFETY: both ranges are areas, which nothing else uses.
        let done = unsafe {
            libc::mremap(
                self.address as *mut libc::c_void,
                self.bytes,
                self.bytes,
                flags,
                new.address as *mut libc::c_void,
            )
        };
        if done == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(new)
    }

    /// mprotect(2) of a range.
    pub(crate) fn protect(self, at: usize, bytes: usize, protection: i32) -> io::Result<()> {
        let start = self.span(at, bytes)?;
        // SAFETY: the range lies within the area, to whose bytes no reference exists.
        zero(unsafe { libc::mprotect(start as *mut libc::c_void, bytes, protection) })
    }

    /// madvise(2) of a range. Advice that discards bytes is fine: nobody relies on them.
    pub(crate) fn advise(self, at: usize, bytes: usize, advice: i32) -> io::Result<()> {
        let start = self.span(at, bytes)?;
        // SAFETY: as above.
        zero(unsafe { libc::madvise(start as *mut libc::c_void, bytes, advice) })
    }

    /// mlock(2) or munlock(2) of a range.
    pub(crate) fn lock(self, at: usize, bytes: usize, lock: bool) -> io::Result<()> {
        let start = self.span(at, bytes)? as *const libc::c_void;
        // SAFETY: the range lies within the area; its bytes are not touched.
        zero(unsafe {
            if lock {
                libc::mlock(start, bytes)
            } else {
                libc::munlock(start, bytes)
            }
        })
    }

    /// msync(2) with `MS_SYNC` of a range.
    pub(crate) fn sync(self, at: usize, bytes: usize) -> io::Result<()> {
        let start = self.span(at, bytes)?;
        // SAFETY: as above.
        zero(unsafe { libc::msync(start as *mut libc::c_void, bytes, libc::MS_SYNC) })
    }

    /// mincore(2): which pages of a range are in memory.
    pub(crate) fn resident(self, at: usize, bytes: usize) -> io::Result<Vec<bool>> {
        let start = self.span(at, bytes)?;
        let mut pages = vec![0_u8; bytes.div_ceil(PAGE_BYTES)];
        // SAFETY: the kernel writes one byte a page, for which the vector has room.
        zero(unsafe { libc::mincore(start as *mut libc::c_void, bytes, pages.as_mut_ptr()) })?;
        Ok(pages.into_iter().map(|page| page & 1 == 1).collect())
    }

    /// move_pages(2) of one page to a memory node: its new node, or a negative errno.
    pub(crate) fn migrate(self, at: usize, node: i32) -> io::Result<i32> {
        const MPOL_MF_MOVE: i32 = 2;
        let page = [self.span(at, 1)?];
        let (nodes, mut status) = ([node], [0_i32]);
        // SAFETY: one page is asked for; the arrays have an element each, and the kernel writes one status.
        let done = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                1_usize,
                page.as_ptr(),
                nodes.as_ptr(),
                status.as_mut_ptr(),
                MPOL_MF_MOVE,
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(status[0])
    }
}

fn zero(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
