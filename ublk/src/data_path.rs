//! How a request's payload moves between its pages and the server. Each way is one file; the queue
//! asks them three questions: what a tag's next request is provided with, which entry moves the
//! payload between the request and the backing, and where the payload lies as memory, if it does.

mod auto_zero_copy;
mod copy;
mod registered;
mod user_copy;
mod zero_copy;

use std::io;
use std::os::fd::AsRawFd;

use io_uring::squeue::Entry;

pub(crate) use auto_zero_copy::AutoZeroCopy;
pub(crate) use copy::{Copy, Staging};
pub(crate) use registered::Registered;
pub(crate) use user_copy::UserCopy;
pub(crate) use zero_copy::ZeroCopy;

use crate::Features;
use crate::command::Provision;
use crate::direction::{Destination, Part, Source};
use crate::memory::Span;
use crate::queue::QueueConfig;
use crate::request::Request;

/// The data paths of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPathKind {
    /// The driver copies between the request's pages and the server's memory.
    Copy,
    /// The server copies, by pread and pwrite on the character device.
    UserCopy,
    /// The server registers the request's pages with its ring when it needs them: nothing is copied.
    ZeroCopy,
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
            Self::ZeroCopy => Features::SUPPORT_ZERO_COPY,
            // A request that the driver could not register is registered by hand.
            Self::AutoZeroCopy => Features::AUTO_BUF_REG | Features::SUPPORT_ZERO_COPY,
        }
    }

    /// Whether the request's own pages reach the backing.
    #[must_use]
    pub fn reaches_client_pages(self) -> bool {
        matches!(self, Self::ZeroCopy | Self::AutoZeroCopy)
    }

    /// How many slots the ring's buffer table needs for a queue of `depth` tags; 0 for none.
    pub(crate) fn slots(self, depth: u16) -> u32 {
        match self {
            Self::Copy | Self::UserCopy => 0,
            Self::ZeroCopy => depth.into(),
            Self::AutoZeroCopy => AutoZeroCopy::slots(depth),
        }
    }
}

/// One queue's data path.
#[derive(Debug)]
pub(crate) enum DataPath {
    Copy(Copy),
    UserCopy(UserCopy),
    ZeroCopy(ZeroCopy),
    AutoZeroCopy(AutoZeroCopy),
}

impl DataPath {
    pub(crate) fn new(config: &QueueConfig) -> io::Result<Self> {
        let (queue, depth, longest) = (config.queue, config.depth, config.max_io_bytes);
        let char_device = config.char_device.as_raw_fd();
        Ok(match config.data_path {
            DataPathKind::Copy => Self::Copy(Copy::new(depth, longest)?),
            DataPathKind::UserCopy => {
                Self::UserCopy(UserCopy::new(queue, depth, longest, char_device)?)
            }
            DataPathKind::ZeroCopy => Self::ZeroCopy(ZeroCopy::new(queue, depth)),
            DataPathKind::AutoZeroCopy => {
                Self::AutoZeroCopy(AutoZeroCopy::new(queue, depth, config.automatic_tags))
            }
        })
    }

    /// What the tag's next request is provided with.
    #[inline]
    pub(crate) fn provision(&self, tag: u16) -> Provision {
        match self {
            Self::Copy(path) => Provision::Memory(path.address(tag)),
            Self::UserCopy(_) | Self::ZeroCopy(_) => Provision::Nothing,
            Self::AutoZeroCopy(path) => path.provision(tag),
        }
    }

    /// Sees a request before anything is done about it.
    #[inline]
    pub(crate) fn arrived(&mut self, request: &Request) {
        match self {
            Self::Copy(_) | Self::UserCopy(_) => {}
            Self::ZeroCopy(path) => path.arrived(request),
            Self::AutoZeroCopy(path) => path.arrived(request),
        }
    }

    /// The buffer table, where requests' own pages are named.
    #[inline]
    pub(crate) fn registered(&mut self) -> Option<&mut Registered> {
        match self {
            Self::Copy(_) | Self::UserCopy(_) => None,
            Self::ZeroCopy(path) => Some(&mut path.registered),
            Self::AutoZeroCopy(path) => Some(&mut path.registered),
        }
    }

    /// The entry that fills the request's payload from the backing.
    #[inline]
    pub(crate) fn destination_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => path.staging().destination_entry(tag, part),
            Self::UserCopy(path) => path.staging().destination_entry(tag, part),
            Self::ZeroCopy(path) => path.registered.destination_entry(tag, part),
            Self::AutoZeroCopy(path) => path.registered.destination_entry(tag, part),
        }
    }

    /// The entry that stores the request's payload on the backing.
    #[inline]
    pub(crate) fn source_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => path.staging().source_entry(tag, part),
            Self::UserCopy(path) => path.staging().source_entry(tag, part),
            Self::ZeroCopy(path) => path.registered.source_entry(tag, part),
            Self::AutoZeroCopy(path) => path.registered.source_entry(tag, part),
        }
    }

    /// The memory of the server that payloads pass through, where they do.
    #[inline]
    pub(crate) fn staging(&self) -> Option<&Staging> {
        match self {
            Self::Copy(path) => Some(path.staging()),
            Self::UserCopy(path) => Some(path.staging()),
            Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => None,
        }
    }

    /// Brings a source request's payload to where the server reaches it.
    #[inline]
    pub(crate) fn gather(&self, source: Source<'_>) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.gather(source),
            Self::Copy(_) | Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// Brings a destination request's payload from the server to the request's pages.
    #[inline]
    pub(crate) fn scatter(&self, destination: Destination<'_>, len_bytes: u32) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.scatter(destination, len_bytes),
            Self::Copy(_) | Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// The payload as memory of the server; none where it stays in the request's own pages.
    #[inline]
    pub(crate) fn payload(&self, tag: u16, len_bytes: u32) -> Option<Span<'_>> {
        Some(self.staging()?.span(tag, len_bytes))
    }
}
