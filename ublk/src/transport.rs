//! How requests are fetched and answers committed, one way a file. The queue asks a transport four
//! things: to begin, to note an answer, to send what it has noted, and what a completion means.

mod batch;
mod per_io;
mod tag_buffers;

use std::io;

use batch::Batch;
use per_io::PerIo;

use crate::Features;
use crate::data_path::DataPath;
use crate::ring::{Event, Ring};

/// The transports of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// One command a request: its completion is a request, and it is sent again with the answer.
    PerIo,
    /// One command for many requests in each direction.
    Batch,
}

impl TransportKind {
    /// The features that a device with this transport needs.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::PerIo => Features::empty(),
            Self::Batch => Features::BATCH_IO,
        }
    }
}

/// What a completion of the transport's own commands means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The request with this tag has arrived.
    Request(u16),
    /// Nothing that the loop must know.
    Nothing,
    /// The driver refused a command, with this negative errno; about this tag, if about one.
    Refused(Option<u16>, i32),
}

/// The driver takes no more of this: the device stops, or is quiesced (`UBLK_IO_RES_ABORT`).
const ABORTED: i32 = -libc::ENODEV;

/// One queue's transport.
#[derive(Debug)]
pub(crate) enum Transport {
    PerIo(PerIo),
    Batch(Batch),
}

impl Transport {
    pub(crate) fn new(
        kind: TransportKind,
        queue: u16,
        depth: u16,
        ring: &Ring,
    ) -> io::Result<Self> {
        Ok(match kind {
            TransportKind::PerIo => Self::PerIo(PerIo::new(queue, depth)),
            TransportKind::Batch => Self::Batch(Batch::new(queue, depth, ring)?),
        })
    }

    /// Tells the driver of every tag. START_DEV waits for this, and so does END_USER_RECOVERY.
    pub(crate) fn start(&mut self, ring: &mut Ring, path: &DataPath) -> io::Result<()> {
        match self {
            Self::PerIo(transport) => transport.start(ring, path),
            Self::Batch(transport) => transport.start(ring, path),
        }
    }

    /// Notes the answer to a tag's request.
    #[inline]
    pub(crate) fn commit(
        &mut self,
        ring: &mut Ring,
        path: &DataPath,
        tag: u16,
        result: i32,
    ) -> io::Result<()> {
        match self {
            Self::PerIo(transport) => transport.commit(ring, path, tag, result),
            Self::Batch(transport) => {
                transport.commit(path, tag, result);
                Ok(())
            }
        }
    }

    /// Puts what is noted into the ring, which is about to be submitted.
    #[inline]
    pub(crate) fn flush(&mut self, ring: &mut Ring) -> io::Result<()> {
        match self {
            Self::PerIo(_) => Ok(()),
            Self::Batch(transport) => transport.flush(ring),
        }
    }

    /// A request that a completion brought beside the one that it was heard as.
    #[inline]
    pub(crate) fn next_tag(&mut self) -> Option<u16> {
        match self {
            Self::PerIo(_) => None,
            Self::Batch(transport) => transport.next_tag(),
        }
    }

    /// What a completion of the transport's own commands means.
    #[inline]
    pub(crate) fn hear(&mut self, event: Event) -> Heard {
        match self {
            Self::PerIo(transport) => transport.hear(event),
            Self::Batch(transport) => transport.hear(event),
        }
    }

    /// Whether the driver may still send requests, or waits for answers.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::PerIo(transport) => transport.is_open(),
            Self::Batch(transport) => transport.is_open(),
        }
    }

    /// Whether the driver has every answer that was noted before the ring was last submitted.
    pub(crate) fn is_settled(&self) -> bool {
        match self {
            // Each is a command of its own, which the driver reads as it is submitted.
            Self::PerIo(_) => true,
            Self::Batch(transport) => transport.is_settled(),
        }
    }
}

/// Sends what is queued for a start and fails with the first refusal among the completions that are
/// there then. The driver answers what it refuses at once. A request is not among them, even of a device that
/// is recovered: the task work that would bring it is deferred to the first wait.
fn submit_and_check(ring: &mut Ring) -> io::Result<()> {
    ring.submit()?;
    while let Some(event) = ring.next() {
        if event.result < 0 {
            return Err(io::Error::from_raw_os_error(-event.result));
        }
    }
    Ok(())
}
