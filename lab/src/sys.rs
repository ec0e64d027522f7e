//! The system calls of experiments: memory that the kernel writes to from outside, and fork. What puppets do is in
//! the files below `sys/`.
//!
//! UNSAFE: mapping and unmapping pages, passing addresses of them to the kernel, forking.
#![expect(
    unsafe_code,
    reason = "experiments map, unmap and fork while the kernel writes to their pages"
)]

mod aio;
mod area;
pub(crate) mod buffer;
mod ring;
mod transfer;
mod userfault;
pub(crate) mod vectors;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

pub(crate) use area::Area;
pub(crate) use ring::Ring;
pub(crate) use transfer::{Aio, Span, Way, secret, transfer, vmsplice};
pub(crate) use userfault::move_pages;

/// Size of a page and of every read, in bytes.
pub(crate) const PAGE_BYTES: usize = 4096;

/// One page of anonymous memory of its own.
///
/// It is reached by address only: no reference to its bytes ever exists, so the kernel may write
/// to it at any time.
#[derive(Debug)]
pub(crate) struct Page {
    address: usize,
}

impl Page {
    /// Maps a page and writes `byte` all over it, so that it is present.
    pub(crate) fn filled_with(byte: u8) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is PAGE_BYTES long, writable, and nobody else knows it yet.
        unsafe { ptr::write_bytes(address.cast::<u8>(), byte, PAGE_BYTES) };
        Ok(Self {
            address: address as usize,
        })
    }

    /// The page's virtual address.
    pub(crate) fn address(&self) -> u64 {
        self.address as u64
    }

    /// Takes the page out of the address space and leaves an inaccessible reservation there.
    ///
    /// To the page this is munmap: `MAP_FIXED` unmaps what was there (mmap(2)). The reservation
    /// keeps the address from being given to somebody else while a read still has it.
    fn unmap(&mut self) -> io::Result<()> {
        // SAFETY: the range is this value's own mapping, to whose bytes no reference exists.
        let address = unsafe {
            libc::mmap(
                self.address as *mut libc::c_void,
                PAGE_BYTES,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own mapping (or reservation); no reference to its
        // bytes exists, and `InFlight` keeps the value while a read has the address.
        unsafe { libc::munmap(self.address as *mut libc::c_void, PAGE_BYTES) };
    }
}

/// A read of one page's length by a thread of its own.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// `None` once it is leaked, see `drop`.
    page: Option<Page>,
    outcome: Receiver<io::Result<usize>>,
    done: Option<io::Result<usize>>,
}

impl InFlight {
    /// Begins a read from `offset` bytes of `file` into `page`.
    pub(crate) fn begin(file: File, offset: i64, page: Page) -> io::Result<Self> {
        let address = page.address;
        let (sender, outcome) = mpsc::channel();
        let read = move || {
            // SAFETY: the address range is the page's mapping or its reservation for as long as
            // this call lasts: `InFlight` gives it up only after it has the outcome.
            let count = unsafe {
                libc::pread(
                    file.as_raw_fd(),
                    address as *mut libc::c_void,
                    PAGE_BYTES,
                    offset,
                )
            };
            let result = usize::try_from(count).map_err(|_| io::Error::last_os_error());
            // Nobody listens any more when the experiment has given up.
            let _ = sender.send(result);
        };
        thread::Builder::new()
            .name("direct-read".to_owned())
            .spawn(read)?;
        Ok(Self {
            page: Some(page),
            outcome,
            done: None,
        })
    }

    /// Waits at most `time` for the read to come back; bytes read or the error, once it has.
    pub(crate) fn wait(&mut self, time: Duration) -> Option<&io::Result<usize>> {
        if self.done.is_none() {
            self.done = match self.outcome.recv_timeout(time) {
                Ok(result) => Some(result),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    Some(Err(io::Error::other("the reading thread panicked")))
                }
            };
        }
        self.done.as_ref()
    }

    /// As [`InFlight::wait`], for a caller who wants nothing else of it.
    pub(crate) fn finish(mut self, time: Duration) -> Option<io::Result<usize>> {
        self.wait(time)?;
        self.done.take()
    }

    /// Unmaps the page while the read goes on; see [`Page::unmap`].
    pub(crate) fn unmap(&mut self) -> io::Result<()> {
        match &mut self.page {
            Some(page) => page.unmap(),
            None => Ok(()),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        const LAST_CHANCE: Duration = Duration::from_secs(5);
        if self.wait(LAST_CHANCE).is_none() {
            // The read still has the address, so the mapping must stay: leaking a page is sound.
            std::mem::forget(self.page.take());
        }
    }
}

/// A copy of this process that does nothing; ended when dropped.
#[derive(Debug)]
pub(crate) struct Fork {
    pid: Pid,
}

impl Fork {
    /// Forks. The child shares or copies the parent's pages as the kernel sees fit and then waits.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = std::process::id();
        // SAFETY: the child of a process with threads may only make async-signal-safe calls:
        // prctl, pause and _exit are plain system calls.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => sleep_until_killed(parent),
            pid => Ok(Self {
                pid: Pid::from_raw(pid),
            }),
        }
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        // It is this process's child and not waited for, so the id is still its own.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// Forks a puppet: the child's process id in the parent, nothing in the child, which goes on as a puppet.
pub(crate) fn split() -> io::Result<Option<u32>> {
    // SAFETY: a puppet's other threads are in one system call each, on areas, and otherwise only send into a
    // channel of their own that the child does not use; glibc's fork takes the allocator's locks, so that the
    // child may allocate.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(pid.cast_unsigned())),
    }
}

/// Ends a forked child of a test without running what its parent registered for its end.
#[cfg(test)]
pub(crate) fn leave() -> ! {
    // SAFETY: a plain system call.
    unsafe { libc::_exit(0) }
}

/// The child's whole life.
fn sleep_until_killed(parent: u32) -> ! {
    // SAFETY: plain system calls without pointers. The first has the child killed with the parent's
    // thread, so that it cannot be left behind; the exit is for a parent that died before it.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid().cast_unsigned() != parent {
            libc::_exit(0);
        }
        loop {
            libc::pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    /// The bytes of a page, copied.
    fn bytes(page: &Page) -> Vec<u8> {
        let mut copy = vec![0_u8; PAGE_BYTES];
        // SAFETY: the page is mapped readable and PAGE_BYTES long, and no read is in flight.
        unsafe {
            ptr::copy_nonoverlapping(page.address as *const u8, copy.as_mut_ptr(), PAGE_BYTES);
        }
        copy
    }

    fn is_mapped(address: u64) -> Option<String> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            (number(start)..number(end))
                .contains(&address)
                .then(|| rest[..4].to_owned())
        })
    }

    fn file_of(byte: u8) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[byte; 2 * PAGE_BYTES]).unwrap();
        file
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_read_lands_in_the_page() {
        let page = Page::filled_with(1).unwrap();
        assert_eq!(bytes(&page), [1; PAGE_BYTES]);
        let mut read = InFlight::begin(file_of(7), 4096, page).unwrap();
        assert_eq!(*read.wait(LONG).unwrap().as_ref().unwrap(), PAGE_BYTES);
        assert_eq!(bytes(read.page.as_ref().unwrap()), [7; PAGE_BYTES]);
    }

    #[test]
    fn a_failed_read_tells_its_errno() {
        let write_only = File::options().write(true).open("/dev/null").unwrap();
        let page = Page::filled_with(1).unwrap();
        let mut read = InFlight::begin(write_only, 0, page).unwrap();
        let error = read.wait(LONG).unwrap().as_ref().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn unmapping_leaves_a_reservation_until_the_page_is_dropped() {
        let mut page = Page::filled_with(1).unwrap();
        let address = page.address();
        assert_eq!(is_mapped(address).as_deref(), Some("rw-p"));
        page.unmap().unwrap();
        assert_eq!(is_mapped(address).as_deref(), Some("---p"));
        let read = InFlight::begin(file_of(7), 0, page).unwrap();
        // Dropping waits for the read, which fails with EFAULT on the reservation.
        drop(read);
    }

    #[test]
    fn a_fork_is_another_process_and_ends_when_dropped() {
        let fork = Fork::new().unwrap();
        let directory = format!("/proc/{}", fork.pid());
        let status = fs::read_to_string(format!("{directory}/status")).unwrap();
        let parent = format!("PPid:\t{}\n", std::process::id());
        assert!(status.contains(&parent), "{status}");
        drop(fork);
        assert!(!std::path::Path::new(&directory).exists());
    }
}
