//! Mappings: io descriptors, staging memory, memory-backed devices.
//!
//! The kernel reads and writes this memory while requests are in flight, so a mapping is reached by
//! raw copies only and lives as long as the queue that told the kernel about it.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A mapped range of memory, page aligned, unmapped on drop.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<std::ffi::c_void>,
    len_bytes: usize,
    is_private: bool,
}

// SAFETY: a mapping is plain memory that belongs to the process, not to a thread; every access goes
// through raw copies, which do not assume that nobody else writes.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods that change memory say that the kernel may change it as well.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Anonymous private memory; its pages are taken from the system at the first touch, so a large
    /// mapping costs nothing until it is used.
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn anonymous(len_bytes: usize) -> io::Result<Self> {
        let len = non_zero(len_bytes)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // A deep queue's staging memory may exceed the machine's; most of it is never touched.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap_anonymous(None, len, prot, flags) }?;
        Ok(Self {
            start,
            len_bytes,
            is_private: true,
        })
    }

    /// A shared mapping of `len_bytes` of a file from `offset_bytes` on.
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn shared(
        file: impl AsFd,
        offset_bytes: i64,
        len_bytes: usize,
        writable: bool,
    ) -> io::Result<Self> {
        let len = non_zero(len_bytes)?;
        let mut prot = ProtFlags::PROT_READ;
        prot.set(ProtFlags::PROT_WRITE, writable);
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, file, offset_bytes) }?;
        Ok(Self {
            start,
            len_bytes,
            is_private: false,
        })
    }

    /// The first byte.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// A part of the mapping.
    ///
    /// # Panics
    /// If the part does not lie within the mapping: that is a bug of the caller.
    #[must_use]
    pub fn span(&self, offset_bytes: usize, len_bytes: usize) -> Span<'_> {
        assert!(
            offset_bytes
                .checked_add(len_bytes)
                .is_some_and(|end| end <= self.len_bytes),
            "span {offset_bytes}+{len_bytes} lies outside a mapping of {} bytes",
            self.len_bytes
        );
        // SAFETY: the assertion keeps the pointer within the mapping.
        let start = unsafe { self.as_ptr().add(offset_bytes) };
        Span {
            start,
            len_bytes,
            mapping: std::marker::PhantomData,
        }
    }

    /// A part of memory that nobody else reaches: of a mapping that is neither shared nor given to the kernel.
    ///
    /// # Panics
    /// As [`Mapping::span`]; and if the mapping is shared.
    #[must_use]
    pub fn bytes_mut(&mut self, offset_bytes: usize, len_bytes: usize) -> &mut [u8] {
        assert!(
            self.is_private,
            "a shared mapping has no bytes of ours alone"
        );
        let span = self.span(offset_bytes, len_bytes);
        // SAFETY: the range is mapped and writable; the mapping is private and borrowed for as long as the
        // slice, and its raw pointer is given to the kernel by this crate only, which keeps such mappings.
        unsafe { std::slice::from_raw_parts_mut(span.as_ptr(), span.len_bytes()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by us and no span outlives the mapping.
        let _ = unsafe { munmap(self.start, self.len_bytes) };
    }
}

/// A part of a [`Mapping`], for raw copies.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    start: *mut u8,
    len_bytes: usize,
    mapping: std::marker::PhantomData<&'a Mapping>,
}

impl Span<'_> {
    /// A span of memory that is mapped otherwise.
    ///
    /// # Safety
    /// The range must be mapped, and writable if the span is written, for as long as the span lives.
    pub(crate) unsafe fn from_raw(start: *mut u8, len_bytes: usize) -> Self {
        Self {
            start,
            len_bytes,
            mapping: std::marker::PhantomData,
        }
    }

    /// The first byte.
    #[must_use]
    pub fn as_ptr(self) -> *mut u8 {
        self.start
    }

    /// The length in bytes.
    #[must_use]
    pub fn len_bytes(self) -> usize {
        self.len_bytes
    }

    /// Copies all of `from` to the start of this span.
    ///
    /// # Panics
    /// If `from` is longer than this span.
    pub fn copy_from(self, from: Span<'_>) {
        assert!(
            from.len_bytes <= self.len_bytes,
            "a span of {} cannot take {}",
            self.len_bytes,
            from.len_bytes
        );
        // SAFETY: both ranges are mapped for as long as the spans live, and the assertion keeps the
        // copy within the shorter one. `copy` allows them to overlap.
        unsafe { std::ptr::copy(from.start, self.start, from.len_bytes) };
    }

    /// Makes every byte zero.
    pub fn zero(self) {
        // SAFETY: the range is mapped and writable for as long as the span lives.
        unsafe { std::ptr::write_bytes(self.start, 0, self.len_bytes) };
    }
}

/// Memory with a file descriptor: the kernel reaches it as a file (zero copy), we as memory (copy).
#[derive(Debug)]
pub struct SharedMemory {
    file: OwnedFd,
    mapping: Mapping,
}

impl SharedMemory {
    /// A memfd of `len_bytes`, all zeroes; its pages are allocated when they are first written.
    ///
    /// # Errors
    /// `memfd_create(2)`, `ftruncate(2)` or `mmap(2)`.
    pub fn new(len_bytes: u64) -> io::Result<Self> {
        let file = memfd_create("bvecd-ram", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&file, i64::try_from(len_bytes).map_err(too_large)?)?;
        Self::of_file(file, len_bytes)
    }

    /// The first `len_bytes` of a file in memory (tmpfs). The file must stay at least as long as this
    /// lives: touching a page behind its end kills the process.
    ///
    /// # Errors
    /// `mmap(2)`.
    pub fn of_file(file: OwnedFd, len_bytes: u64) -> io::Result<Self> {
        let len = usize::try_from(len_bytes).map_err(too_large)?;
        let mapping = Mapping::shared(&file, 0, len, true)?;
        Ok(Self { file, mapping })
    }

    /// The memory.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The memory as a file.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn too_large(_: std::num::TryFromIntError) -> io::Error {
    io::Error::from_raw_os_error(libc::EFBIG)
}

fn non_zero(len_bytes: usize) -> io::Result<NonZeroUsize> {
    NonZeroUsize::new(len_bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_mapping_are_one() {
        let memory = SharedMemory::new(8192).unwrap();
        nix::sys::uio::pwrite(memory.file(), b"seen", 4096).unwrap();
        let copy = Mapping::anonymous(4).unwrap();
        copy.span(0, 4).copy_from(memory.mapping().span(4096, 4));
        // SAFETY: the mapping holds four initialised bytes and nobody else writes them.
        let bytes = unsafe { std::slice::from_raw_parts(copy.as_ptr(), 4) };
        assert_eq!(bytes, b"seen");
        memory.mapping().span(4096, 4).zero();
        let mut back = [1; 4];
        nix::sys::uio::pread(memory.file(), &mut back, 4096).unwrap();
        assert_eq!(back, [0; 4]);
    }

    #[test]
    #[should_panic(expected = "lies outside")]
    fn a_span_past_the_end_is_refused() {
        let _ = Mapping::anonymous(4096).unwrap().span(4095, 2);
    }
}
