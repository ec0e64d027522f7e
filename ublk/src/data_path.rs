//! How a request's payload moves between its pages and the server. Each way is one file; the queue
//! asks them three questions: what a FETCH or COMMIT must name as its address, which entry moves the
//! payload between the request and the backing, and where the payload lies as memory, if it does.

mod auto_zero_copy;
mod copy;
mod user_copy;

use std::io;
use std::os::fd::RawFd;

use io_uring::squeue::Entry;

pub(crate) use auto_zero_copy::AutoZeroCopy;
pub(crate) use copy::Copy;
pub(crate) use user_copy::UserCopy;

use crate::Features;
use crate::direction::{Destination, Part, Source};
use crate::memory::Span;

/// The data paths of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPathKind {
    /// The driver copies between the request's pages and the server's memory.
    Copy,
    /// The server copies, by pread and pwrite on the character device.
    UserCopy,
    /// The driver registers the request's pages with the server's ring: nothing is copied.
    AutoZeroCopy,
}

impl DataPathKind {
    /// The features that a device with this data path needs.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::Copy => Features::empty(),
            Self::UserCopy => Features::USER_COPY,
            Self::AutoZeroCopy => Features::AUTO_BUF_REG,
        }
    }

    /// Whether the request's own pages reach the backing.
    #[must_use]
    pub fn reaches_client_pages(self) -> bool {
        self == Self::AutoZeroCopy
    }
}

/// One queue's data path.
#[derive(Debug)]
pub(crate) enum DataPath {
    Copy(Copy),
    UserCopy(UserCopy),
    AutoZeroCopy(AutoZeroCopy),
}

impl DataPath {
    pub(crate) fn new(
        kind: DataPathKind,
        queue: u16,
        depth: u16,
        max_io_bytes: u32,
        char_device: RawFd,
    ) -> io::Result<Self> {
        Ok(match kind {
            DataPathKind::Copy => Self::Copy(Copy::new(depth, max_io_bytes)?),
            DataPathKind::UserCopy => {
                Self::UserCopy(UserCopy::new(queue, depth, max_io_bytes, char_device)?)
            }
            DataPathKind::AutoZeroCopy => Self::AutoZeroCopy(AutoZeroCopy),
        })
    }

    /// What FETCH and COMMIT carry as their address, in the command and in the entry.
    #[inline]
    pub(crate) fn address(&self, tag: u16) -> CommandAddress {
        match self {
            Self::Copy(path) => CommandAddress {
                command: path.address(tag),
                entry: None,
            },
            Self::UserCopy(_) => CommandAddress {
                command: 0,
                entry: None,
            },
            Self::AutoZeroCopy(path) => CommandAddress {
                command: 0,
                entry: Some(path.registration(tag)),
            },
        }
    }

    /// The entry that fills the request's payload from the backing.
    #[inline]
    pub(crate) fn destination_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => path.staging().destination_entry(tag, part),
            Self::UserCopy(path) => path.staging().destination_entry(tag, part),
            Self::AutoZeroCopy(path) => path.destination_entry(tag, part),
        }
    }

    /// The entry that stores the request's payload on the backing.
    #[inline]
    pub(crate) fn source_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => path.staging().source_entry(tag, part),
            Self::UserCopy(path) => path.staging().source_entry(tag, part),
            Self::AutoZeroCopy(path) => path.source_entry(tag, part),
        }
    }

    /// Brings a source request's payload to where the server reaches it.
    #[inline]
    pub(crate) fn gather(&self, source: Source<'_>) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.gather(source),
            Self::Copy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// Brings a destination request's payload from the server to the request's pages.
    #[inline]
    pub(crate) fn scatter(&self, destination: Destination<'_>, len_bytes: u32) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.scatter(destination, len_bytes),
            Self::Copy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// The payload as memory of the server; none where it stays in the request's own pages.
    #[inline]
    pub(crate) fn payload(&self, tag: u16, len_bytes: u32) -> Option<Span<'_>> {
        match self {
            Self::Copy(path) => Some(path.staging().span(tag, len_bytes)),
            Self::UserCopy(path) => Some(path.staging().span(tag, len_bytes)),
            Self::AutoZeroCopy(_) => None,
        }
    }
}

/// The address fields of a FETCH or COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandAddress {
    /// `ublksrv_io_cmd.addr`.
    pub(crate) command: u64,
    /// `sqe->addr`.
    pub(crate) entry: Option<u64>,
}
