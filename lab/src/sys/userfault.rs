//! userfaultfd(2), as far as it moves pages.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::request_code_readwrite;

use super::Span;

/// `UFFD_API` (include/uapi/linux/userfaultfd.h).
const API: u64 = 0xaa;
/// `UFFD_FEATURE_MOVE`, since 6.8.
const FEATURE_MOVE: u64 = 1 << 16;
/// `UFFDIO_REGISTER_MODE_MISSING`.
const MODE_MISSING: u64 = 1;

/// `UFFDIO_API`, `UFFDIO_REGISTER`, `UFFDIO_MOVE`.
const IOCTL_API: libc::Ioctl = request_code_readwrite!(0xaa, 0x3f, size_of::<ApiOf>());
const IOCTL_REGISTER: libc::Ioctl = request_code_readwrite!(0xaa, 0x00, size_of::<Register>());
const IOCTL_MOVE: libc::Ioctl = request_code_readwrite!(0xaa, 0x05, size_of::<Move>());

/// `struct uffdio_api`.
#[repr(C)]
struct ApiOf {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    bytes: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_move`.
#[repr(C)]
struct Move {
    to: u64,
    from: u64,
    bytes: u64,
    mode: u64,
    moved: i64,
}

/// Moves the pages of one span to another, which must have none.
pub(crate) fn move_pages(from: Span, to: Span) -> io::Result<()> {
    // SAFETY: the call takes flags only and returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut api = ApiOf {
        api: API,
        features: FEATURE_MOVE,
        ioctls: 0,
    };
    call(&fd, IOCTL_API, &mut api)?;
    let mut register = Register {
        start: to.address() as u64,
        bytes: to.bytes() as u64,
        mode: MODE_MISSING,
        ioctls: 0,
    };
    call(&fd, IOCTL_REGISTER, &mut register)?;
    let mut pages = Move {
        to: to.address() as u64,
        from: from.address() as u64,
        bytes: from.bytes() as u64,
        mode: 0,
        moved: 0,
    };
    call(&fd, IOCTL_MOVE, &mut pages)
}

fn call<T>(fd: &OwnedFd, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: each request is used with its own structure, whose size it names. The ranges in it are spans of
    // areas, to whose bytes no reference exists and which are never given back.
    match unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Area;

    #[test]
    fn requests_are_those_of_the_kernel() {
        assert_eq!(IOCTL_API, 0xc018_aa3f);
        assert_eq!(IOCTL_REGISTER, 0xc020_aa00);
        assert_eq!(IOCTL_MOVE, 0xc028_aa05);
    }

    #[test]
    fn a_page_is_moved_where_the_kernel_lets_us() {
        let [from, to] = [(); 2].map(|()| Area::anonymous(4096, false).unwrap());
        from.fill(0, 4096, 0x5a).unwrap();
        let span = |area| Span::of(area, 0, 4096).unwrap();
        match move_pages(span(from), span(to)) {
            Ok(()) => {
                assert_eq!(to.load(4095, 1).unwrap(), [0x5a]);
                assert_eq!(from.load(0, 1).unwrap(), [0]);
            }
            // No such call, not ours to make, or older than 6.8.
            Err(error) => assert!(
                matches!(
                    error.raw_os_error(),
                    Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::EACCES)
                ),
                "{error}"
            ),
        }
    }
}
