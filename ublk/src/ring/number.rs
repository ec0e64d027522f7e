//! A ring by number: the thread that waits for it thousands of times a second saves the lookup of its
//! descriptor (`IORING_REGISTER_RING_FDS`, Linux 5.18). It is about 100 instructions of a request at
//! depth 1. The io-uring crate can register a ring as well, but keeps the number in a borrow of it.

use std::io;
use std::os::fd::RawFd;

/// A number under which the calling thread has registered its ring.
#[derive(Debug)]
pub(super) struct RingNumber {
    number: u32,
    ring: RawFd,
}

/// `struct io_uring_rsrc_update` (include/uapi/linux/io_uring.h).
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_REGISTERED_RING: u32 = 1 << 4;

impl RingNumber {
    pub(super) fn register(ring: RawFd) -> io::Result<Self> {
        let mut update = RingUpdate {
            // The kernel chooses, and tells.
            offset: u32::MAX,
            reserved: 0,
            data: u64::try_from(ring).unwrap_or(0),
        };
        register(ring, REGISTER_RING_FDS, &mut update)?;
        Ok(Self {
            number: update.offset,
            ring,
        })
    }

    /// Sends what is queued and waits for a completion.
    #[inline]
    pub(super) fn submit_and_wait(&self, queued: usize) -> io::Result<usize> {
        let none = std::ptr::null::<u8>();
        let flags = ENTER_GETEVENTS | ENTER_REGISTERED_RING;
        // SAFETY: the call takes integers and no pointer; what the queued entries name is valid by the
        // contract of `Ring::push`.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.number,
                queued,
                1,
                flags,
                none,
                0,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for RingNumber {
    /// The registration is a reference to the ring, and would keep it until the thread ends.
    fn drop(&mut self) {
        let mut update = RingUpdate {
            offset: self.number,
            reserved: 0,
            data: 0,
        };
        if let Err(error) = register(self.ring, UNREGISTER_RING_FDS, &mut update) {
            tracing::warn!(%error, "a ring's number is given back late");
        }
    }
}

fn register(ring: RawFd, code: u32, update: &mut RingUpdate) -> io::Result<()> {
    let update: *mut RingUpdate = update;
    // SAFETY: the structure is the kernel's, and lives until the call returns.
    match unsafe { libc::syscall(libc::SYS_io_uring_register, ring, code, update, 1) } {
        // How many were registered.
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
