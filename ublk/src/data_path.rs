//! How a request's payload moves between its pages and the server. Each way is one file; the queue
//! asks them three questions: what a tag's next request is provided with, which entry moves the
//! payload between the request and the backing, and where the payload lies as memory, if it does.

mod auto_zero_copy;
mod copy;
mod registered;
mod shared_memory;
mod user_copy;
mod zero_copy;

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;

pub(crate) use auto_zero_copy::AutoZeroCopy;
pub(crate) use copy::{Copy, bytes_or_errno};
pub(crate) use registered::Registered;
pub(crate) use shared_memory::SharedMemory;
pub(crate) use user_copy::{Pages, UserCopy, position};
pub(crate) use zero_copy::ZeroCopy;

use crate::Features;
use crate::backing_op::BackingOp;
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
    /// The client and the server share the pages; what is not shared, the server copies.
    SharedMemory,
}

impl DataPathKind {
    /// The features that a device with this data path needs.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::Copy => Features::empty(),
            Self::UserCopy => Features::USER_COPY,
            // User copy is for the few requests whose payload must be looked at or changed.
            Self::ZeroCopy => Features::SUPPORT_ZERO_COPY | Features::USER_COPY,
            // A request that the driver could not register is registered by hand.
            Self::AutoZeroCopy => {
                Features::AUTO_BUF_REG | Features::SUPPORT_ZERO_COPY | Features::USER_COPY
            }
            Self::SharedMemory => Features::SHMEM_ZC | Features::USER_COPY,
        }
    }

    /// Whether the request's own pages reach the backing.
    #[must_use]
    pub fn reaches_client_pages(self) -> bool {
        matches!(
            self,
            Self::ZeroCopy | Self::AutoZeroCopy | Self::SharedMemory
        )
    }

    /// Whether [`Queue::peek`](crate::Queue::peek) sees what a client does to a source request's pages after
    /// the request has arrived. Under `copy` it does not: the driver has copied them by then.
    #[must_use]
    pub fn sees_later_changes(self) -> bool {
        self != Self::Copy
    }

    /// How many slots the ring's buffer table needs for a queue of `depth` tags; 0 for none.
    pub(crate) fn slots(self, depth: u16) -> u32 {
        match self {
            Self::Copy | Self::UserCopy | Self::SharedMemory => 0,
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
    SharedMemory(SharedMemory),
}

impl DataPath {
    pub(crate) fn new(config: &QueueConfig) -> io::Result<Self> {
        let (queue, depth, longest) = (config.queue, config.depth, config.max_io_bytes);
        let char_device = config.char_device.as_raw_fd();
        let pages = Pages::new(queue, char_device);
        Ok(match config.data_path {
            DataPathKind::Copy => Self::Copy(Copy::new(depth, longest)?),
            DataPathKind::UserCopy => {
                Self::UserCopy(UserCopy::new(queue, depth, longest, char_device)?)
            }
            DataPathKind::ZeroCopy => Self::ZeroCopy(ZeroCopy::new(pages, queue, depth)),
            DataPathKind::AutoZeroCopy => {
                let automatic_tags = config.automatic_tags;
                Self::AutoZeroCopy(AutoZeroCopy::new(pages, queue, depth, automatic_tags))
            }
            DataPathKind::SharedMemory => {
                let staged = UserCopy::new(queue, depth, longest, char_device)?;
                Self::SharedMemory(SharedMemory::new(staged, depth, config.shared.clone()))
            }
        })
    }

    /// What the tag's next request is provided with.
    #[inline]
    pub(crate) fn provision(&self, tag: u16) -> Provision {
        match self {
            Self::Copy(path) => Provision::Memory(path.address(tag)),
            Self::UserCopy(_) | Self::ZeroCopy(_) | Self::SharedMemory(_) => Provision::Nothing,
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
            Self::SharedMemory(path) => path.arrived(request),
        }
    }

    /// The buffer table, where requests' own pages are named.
    #[inline]
    pub(crate) fn registered(&mut self) -> Option<&mut Registered> {
        match self {
            Self::Copy(_) | Self::UserCopy(_) | Self::SharedMemory(_) => None,
            Self::ZeroCopy(path) => Some(&mut path.registered),
            Self::AutoZeroCopy(path) => Some(&mut path.registered),
        }
    }

    /// The entry that fills the request's payload from the backing.
    #[inline]
    pub(crate) fn destination_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => copy::destination_entry(path.staging().part_of(tag, part), part),
            Self::UserCopy(path) => {
                copy::destination_entry(path.staging().part_of(tag, part), part)
            }
            Self::SharedMemory(path) => copy::destination_entry(path.part_of(tag, part), part),
            Self::ZeroCopy(path) => path.registered.destination_entry(tag, part),
            Self::AutoZeroCopy(path) => path.registered.destination_entry(tag, part),
        }
    }

    /// The entry that stores the request's payload on the backing.
    #[inline]
    pub(crate) fn source_entry(&self, tag: u16, part: Part) -> Entry {
        match self {
            Self::Copy(path) => copy::source_entry(path.staging().part_of(tag, part), part),
            Self::UserCopy(path) => copy::source_entry(path.staging().part_of(tag, part), part),
            Self::SharedMemory(path) => copy::source_entry(path.part_of(tag, part), part),
            Self::ZeroCopy(path) => path.registered.source_entry(tag, part),
            Self::AutoZeroCopy(path) => path.registered.source_entry(tag, part),
        }
    }

    /// Moves a part of a payload between memory of the server and a backing in memory, without the ring: bytes
    /// or a negative errno; none where the payload is not in memory of the server.
    #[inline]
    pub(crate) fn at_once(&self, backing: RawFd, tag: u16, op: BackingOp) -> Option<i32> {
        let (BackingOp::Fill(part) | BackingOp::Store(part)) = op else {
            return None;
        };
        let memory = match self {
            Self::Copy(path) => path.staging().part_of(tag, part),
            Self::UserCopy(path) => path.staging().part_of(tag, part),
            Self::SharedMemory(path) => path.part_of(tag, part),
            Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => return None,
        };
        // SAFETY: the part lies there, in the tag's own staging memory or in a shared buffer, which stays
        // mapped until the request is committed; writable if the request is a destination.
        Some(unsafe {
            match op {
                BackingOp::Fill(_) => copy::fill_at_once(backing, memory, part),
                _ => copy::store_at_once(backing, memory, part),
            }
        })
    }

    /// Brings a source request's payload to where the server reaches it.
    #[inline]
    pub(crate) fn gather(&self, source: Source<'_>) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.gather(source),
            Self::SharedMemory(path) => path.gather(source),
            Self::Copy(_) | Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// Brings a destination request's payload from the server to the request's pages.
    #[inline]
    pub(crate) fn scatter(&self, destination: Destination<'_>, len_bytes: u32) -> io::Result<()> {
        match self {
            Self::UserCopy(path) => path.scatter(destination, len_bytes),
            Self::SharedMemory(path) => path.scatter(destination, len_bytes),
            Self::Copy(_) | Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => Ok(()),
        }
    }

    /// Copies a part of a source request's payload to memory of the server.
    pub(crate) fn peek(&self, source: Source<'_>, at: u32, into: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Copy(path) => {
                path.peek(source, at, into);
                Ok(())
            }
            Self::UserCopy(path) => path.pages().peek(source, at, into),
            Self::SharedMemory(path) => path.pages().peek(source, at, into),
            Self::ZeroCopy(path) => path.pages.peek(source, at, into),
            Self::AutoZeroCopy(path) => path.pages.peek(source, at, into),
        }
    }

    /// Copies memory of the server to a part of a destination request's payload.
    pub(crate) fn poke(&self, pages: Destination<'_>, at: u32, from: &[u8]) -> io::Result<()> {
        match self {
            Self::Copy(path) => {
                path.poke(pages, at, from);
                Ok(())
            }
            Self::UserCopy(path) => path.pages().poke(pages, at, from),
            Self::SharedMemory(path) => path.pages().poke(pages, at, from),
            Self::ZeroCopy(path) => path.pages.poke(pages, at, from),
            Self::AutoZeroCopy(path) => path.pages.poke(pages, at, from),
        }
    }

    /// The payload in staging memory that nobody but the server touches; none on other data paths.
    pub(crate) fn staged(&self, tag: u16, len_bytes: u32) -> Option<Span<'_>> {
        match self {
            Self::UserCopy(path) => Some(path.staging().span(tag, len_bytes)),
            _ => None,
        }
    }

    /// The payload as memory of the server; none where it stays in the request's own pages.
    #[inline]
    pub(crate) fn payload(&self, tag: u16, len_bytes: u32) -> Option<Span<'_>> {
        match self {
            Self::Copy(path) => Some(path.staging().span(tag, len_bytes)),
            Self::UserCopy(path) => Some(path.staging().span(tag, len_bytes)),
            Self::SharedMemory(path) => path.payload(tag, len_bytes),
            Self::ZeroCopy(_) | Self::AutoZeroCopy(_) => None,
        }
    }
}
