//! Direct I/O on a device, as a client does it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread::JoinHandle;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

const PAGE: usize = 4096;

/// Memory aligned to a page, as O_DIRECT wants it.
pub(crate) struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![0; len + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Self { memory, start, len }
    }

    pub(crate) fn filled(bytes: &[u8]) -> Self {
        let mut aligned = Self::new(bytes.len());
        aligned.bytes_mut().copy_from_slice(bytes);
        aligned
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// An open block device, bypassing the page cache.
pub(crate) struct Disk {
    pub(crate) file: File,
}

impl Disk {
    pub(crate) fn open(path: impl AsRef<Path>) -> Self {
        Self::open_with(path, libc::O_DIRECT)
    }

    pub(crate) fn open_with(path: impl AsRef<Path>, flags: i32) -> Self {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags | libc::O_CLOEXEC)
            .open(path)
            .unwrap_or_else(|error| panic!("open {}: {error}", path.display()));
        Self { file }
    }

    pub(crate) fn try_read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut memory = Aligned::new(len);
        self.file.read_exact_at(memory.bytes_mut(), offset)?;
        Ok(memory.bytes().to_vec())
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let read = self.try_read(offset, len);
        read.unwrap_or_else(|error| panic!("read {len} at {offset}: {error}"))
    }

    pub(crate) fn try_write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file
            .write_all_at(Aligned::filled(bytes).bytes(), offset)
    }

    /// Zeroes a range that stays allocated: write zeroes with NOUNMAP (`blkdev_fallocate`, block/fops.c).
    pub(crate) fn zero_keeping(&self, offset: u64, len: u64) -> io::Result<()> {
        self.allocate(libc::FALLOC_FL_ZERO_RANGE, offset, len)
    }

    /// Zeroes a range that may be deallocated: write zeroes without NOUNMAP.
    pub(crate) fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        self.allocate(libc::FALLOC_FL_PUNCH_HOLE, offset, len)
    }

    fn allocate(&self, mode: i32, offset: u64, len: u64) -> io::Result<()> {
        let mode = FallocateFlags::from_bits_retain(mode | libc::FALLOC_FL_KEEP_SIZE);
        let (offset, len) = (offset.try_into().unwrap(), len.try_into().unwrap());
        fallocate(&self.file, mode, offset, len).map_err(Into::into)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        let written = self.try_write(offset, bytes);
        written.unwrap_or_else(|error| panic!("write {} at {offset}: {error}", bytes.len()));
    }
}

/// The errno of an operation that must fail.
pub(crate) fn errno<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => panic!("it succeeded, but must fail"),
        Err(error) => error.raw_os_error().unwrap(),
    }
}

/// Reads in the background: for requests that are to be held.
pub(crate) fn read_in_background(
    path: &str,
    offset: u64,
    len: usize,
) -> JoinHandle<io::Result<Vec<u8>>> {
    let disk = Disk::open(path);
    std::thread::spawn(move || disk.try_read(offset, len))
}

/// Has the calling thread run on this CPU only, so that its requests come by one queue; counted round the CPUs.
pub(crate) fn pin_to(cpu: u64) {
    let cpus = std::thread::available_parallelism().unwrap().get();
    let mut set = CpuSet::new();
    set.set(usize::try_from(cpu).unwrap() % cpus).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}
