//! The raw system calls of the tests.
#![expect(
    unsafe_code,
    reason = "ioctls on block devices, mmap and entries of io_uring have no safe wrapper"
)]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use io_uring::{IoUring, opcode, squeue, types};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use ublk::memory::Mapping;

/// `_IO(0x12, 119)`, include/uapi/linux/fs.h.
const BLKDISCARD: libc::Ioctl = 0x1277;

/// Discards a range of a block device, in bytes.
pub(crate) fn discard(device: &File, offset: u64, len: u64) -> io::Result<()> {
    let range = [offset, len];
    // SAFETY: the request takes a pointer to two 64-bit numbers, which live until it returns.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKDISCARD, range.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct fiemap` with room for some extents, include/uapi/linux/fiemap.h.
#[repr(C)]
#[derive(Default)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [FiemapExtent; 32],
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct FiemapExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `_IOWR('f', 11, struct fiemap)`, whose size does not count the extents.
const FS_IOC_FIEMAP: libc::Ioctl = nix::request_code_readwrite!(b'f', 11, 32) as libc::Ioctl;

/// Where a file lies on its device: (start, length) of each extent in bytes. Of at most 32 extents.
pub(crate) fn extents(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let mut map = Fiemap {
        length: u64::MAX,
        extent_count: 32,
        ..Fiemap::default()
    };
    // SAFETY: the request takes a pointer to a struct with room for as many extents as it says.
    if unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let found = &map.extents[..map.mapped_extents as usize];
    Ok(found.iter().map(|one| (one.physical, one.length)).collect())
}

/// `struct io_uring_attr_pi`, include/uapi/linux/io_uring.h.
#[repr(C)]
struct ProtectionAttribute {
    flags: u16,
    application: u16,
    len: u32,
    address: u64,
    seed: u64,
    reserved: u64,
}

/// Reads or writes blocks of 512 bytes past the page cache, with protection information of the client's own
/// (`IORING_RW_ATTR_FLAG_PI`, Linux 6.14). Returns bytes or a negative errno.
pub(crate) fn protected_io(
    disk: &File,
    write: bool,
    offset: u64,
    memory: &mut [u8],
    tags: &mut [u8],
) -> i32 {
    let (start, len) = (memory.as_mut_ptr(), u32::try_from(memory.len()).unwrap());
    let attribute = ProtectionAttribute {
        // IO_INTEGRITY_CHK_GUARD and IO_INTEGRITY_CHK_REFTAG, include/uapi/linux/fs.h.
        flags: 3,
        application: 0,
        len: u32::try_from(tags.len()).unwrap(),
        address: tags.as_mut_ptr() as u64,
        seed: offset / 512,
        reserved: 0,
    };
    let fd = types::Fd(disk.as_raw_fd());
    let entry = match write {
        true => opcode::Write::new(fd, start, len).offset(offset).build(),
        false => opcode::Read::new(fd, start, len).offset(offset).build(),
    };
    // SAFETY: an entry is 64 bytes of integers.
    let mut raw: [u64; 8] = unsafe { std::mem::transmute::<squeue::Entry, [u64; 8]>(entry) };
    // `attr_ptr` and `attr_type_mask`, which the crate does not know.
    raw[6] = (&raw const attribute) as u64;
    raw[7] = 1;
    // SAFETY: as above.
    let entry = unsafe { std::mem::transmute::<[u64; 8], squeue::Entry>(raw) };
    let mut ring = IoUring::new(4).unwrap();
    // SAFETY: memory, tags and attribute live until the entry has completed, below.
    unsafe { ring.submission().push(&entry) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    let completion = ring.completion().next();
    completion.unwrap().result()
}

/// A direct write that is under way, with its memory, which can be changed meanwhile.
pub(crate) struct WriteInFlight {
    ring: IoUring,
    memory: Mapping,
}

impl WriteInFlight {
    /// Begins to write `len` bytes of `fill`.
    pub(crate) fn start(disk: &File, offset: u64, fill: u8, len: usize) -> Self {
        Self::from_memory(disk, offset, fill, Mapping::anonymous(len).unwrap())
    }

    /// Begins to write all of this memory, filled with `fill`.
    pub(crate) fn from_memory(disk: &File, offset: u64, fill: u8, memory: Mapping) -> Self {
        let len = memory.len_bytes();
        let mut write = Self {
            ring: IoUring::new(4).unwrap(),
            memory,
        };
        write.change(0, len, fill);
        let fd = types::Fd(disk.as_raw_fd());
        let len = u32::try_from(len).unwrap();
        let entry = opcode::Write::new(fd, write.memory.as_ptr(), len)
            .offset(offset)
            .build();
        // SAFETY: the memory lives as long as the ring, which is waited for in `wait` and otherwise closed
        // before the memory goes (the fields' order).
        unsafe { write.ring.submission().push(&entry) }.unwrap();
        write.ring.submit().unwrap();
        write
    }

    /// Fills a part of the memory.
    pub(crate) fn change(&mut self, at: usize, len: usize, fill: u8) {
        let span = self.memory.span(at, len);
        for offset in 0..len {
            // SAFETY: the byte lies within the span. Volatile, as the kernel may look at it meanwhile.
            unsafe { span.as_ptr().add(offset).write_volatile(fill) };
        }
    }

    /// Waits for its end: bytes or a negative errno.
    pub(crate) fn wait(mut self) -> i32 {
        self.ring.submit_and_wait(1).unwrap();
        self.ring.completion().next().unwrap().result()
    }
}

/// A file of memory, mapped shared.
pub(crate) struct SharedMap {
    start: NonNull<u8>,
    len: usize,
}

impl SharedMap {
    /// Maps all of a file.
    pub(crate) fn of(file: &File, writable: bool) -> Self {
        let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
        let mut prot = ProtFlags::PROT_READ;
        prot.set(ProtFlags::PROT_WRITE, writable);
        let size = NonZeroUsize::new(len).unwrap();
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, size, prot, MapFlags::MAP_SHARED, file, 0) }.unwrap();
        Self {
            start: start.cast(),
            len,
        }
    }

    /// The memory. The daemon changes it only during a read into it, which the caller waits for.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped for as long as `self` lives; see above for who else writes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// As [`SharedMap::bytes`], to be changed; only of a mapping that was made writable.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by us, and no slice outlives `self`.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for SharedMap {}

/// What the memory of a direct request must be aligned to, in bytes.
pub(crate) fn memory_alignment(path: &str) -> u64 {
    // A mask (`queue_dma_alignment`, block/blk-sysfs.c).
    queue_limit(path, "dma_alignment") + 1
}

/// A limit of a block device's queue, as sysfs has it.
pub(crate) fn queue_limit(path: &str, name: &str) -> u64 {
    let device = path.trim_start_matches("/dev/");
    let text = std::fs::read_to_string(format!("/sys/block/{device}/queue/{name}"));
    text.unwrap().trim().parse().unwrap()
}

/// Private memory of the test's own, reached by address only.
pub(crate) struct Area {
    address: usize,
    len: usize,
    /// What was mapped, which is more where the start had to be aligned.
    mapped: (usize, usize),
}

const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

impl Area {
    /// Small pages, each present.
    pub(crate) fn small(pages: usize) -> Self {
        let area = Self::map(pages * PAGE, PAGE, 0);
        area.advise(0, area.len, libc::MADV_NOHUGEPAGE).unwrap();
        area.store(7);
        area
    }

    /// One transparent huge page, if the kernel gives one.
    pub(crate) fn transparent_huge() -> Self {
        let area = Self::map(HUGE, HUGE, 0);
        area.advise(0, area.len, libc::MADV_HUGEPAGE).unwrap();
        area.store(7);
        area
    }

    /// One page of the pool of huge pages.
    pub(crate) fn huge() -> Self {
        let area = Self::map(HUGE, PAGE, libc::MAP_HUGETLB);
        area.store(7);
        area
    }

    fn map(len: usize, alignment: usize, flags: i32) -> Self {
        let room = if alignment > PAGE {
            len + alignment
        } else {
            len
        };
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                room,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
                -1,
                0,
            )
        };
        assert!(start != libc::MAP_FAILED, "{}", io::Error::last_os_error());
        let start = start as usize;
        Self {
            address: start.next_multiple_of(alignment),
            len,
            mapped: (start, room),
        }
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Stores to each page.
    pub(crate) fn store(&self, byte: u8) {
        for at in (0..self.len).step_by(PAGE) {
            // SAFETY: the byte lies within the mapping, to which no reference exists.
            unsafe { ((self.address + at) as *mut u8).write_volatile(byte) };
        }
    }

    /// madvise(2) of a part.
    pub(crate) fn advise(&self, at: usize, len: usize, advice: i32) -> io::Result<()> {
        assert!(at + len <= self.len);
        // SAFETY: the range lies within the mapping, whose bytes nobody relies on.
        match unsafe { libc::madvise((self.address + at) as *mut libc::c_void, len, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Has a ring pin parts of (offset, length); they stay pinned until it is dropped.
    pub(crate) fn pin(&self, parts: &[(usize, usize)]) -> io::Result<IoUring> {
        let vectors: Vec<libc::iovec> = parts
            .iter()
            .map(|(at, len)| {
                assert!(at + len <= self.len);
                libc::iovec {
                    iov_base: (self.address + at) as *mut libc::c_void,
                    iov_len: *len,
                }
            })
            .collect();
        let ring = IoUring::new(2)?;
        // SAFETY: the kernel pins the pages themselves; no entry of the ring ever uses them.
        unsafe { ring.submitter().register_buffers(&vectors) }?;
        Ok(ring)
    }

    /// Write-protects a part by userfaultfd, until the descriptor is closed.
    pub(crate) fn protect_by_userfaultfd(&self, at: usize, len: usize) -> io::Result<OwnedFd> {
        /// `struct uffdio_api`, and of the other two as much as is common.
        #[repr(C)]
        struct Numbers([u64; 4]);
        const UFFD_USER_MODE_ONLY: i32 = 1;
        const PAGEFAULT_FLAG_WP: u64 = 1;
        const REGISTER_MODE_WP: u64 = 2;
        const WRITEPROTECT_MODE_WP: u64 = 1;
        // SAFETY: a plain call without pointers, which returns a new descriptor.
        let fd =
            unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | UFFD_USER_MODE_ONLY) };
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let call = |request: libc::Ioctl, numbers: [u64; 4]| {
            let mut numbers = Numbers(numbers);
            // SAFETY: each request takes a pointer to at most four numbers.
            match unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut numbers) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        let (start, len) = ((self.address + at) as u64, len as u64);
        // include/uapi/linux/userfaultfd.h: type 0xaa; API 0x3f, REGISTER 0, WRITEPROTECT 6.
        let request = |number: u8, size: usize| nix::request_code_readwrite!(0xaa, number, size);
        call(
            request(0x3f, 24) as libc::Ioctl,
            [0xaa, PAGEFAULT_FLAG_WP, 0, 0],
        )?;
        call(
            request(0, 32) as libc::Ioctl,
            [start, len, REGISTER_MODE_WP, 0],
        )?;
        call(
            request(6, 24) as libc::Ioctl,
            [start, len, WRITEPROTECT_MODE_WP, 0],
        )?;
        Ok(fd)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let (start, len) = self.mapped;
        // SAFETY: our own mapping, to which no reference exists; a ring's pins keep the pages by themselves.
        unsafe { libc::munmap(start as *mut libc::c_void, len) };
    }
}
