//! What backs a device. A target is a leaf: it says what is to be done next for a request and never
//! waits, never commits, never parks; the queue loop does that.
//!
//! # Contract
//! The loop calls [`Target::start`] once per request, and [`Target::advance`] each time the operation
//! that the last step asked for has ended. For a source request the payload has been gathered
//! before `start`; for a destination request it is scattered after the step [`Step::Done`]. A target
//! must answer every operation and every result without panicking.

mod file_steps;
mod loop_file;
mod null;
mod ram;

pub use loop_file::LoopFile;
pub use null::Null;
pub(crate) use null::ZEROING as NULL_ZEROING;
pub use ram::Ram;
pub(crate) use ram::{KEPT_ZEROING as KEPT_RAM_ZEROING, ZEROING as RAM_ZEROING};

use ublk::{Answer, BackingOp, Payload, Request};

pub use file_steps::Zeroing;
pub(crate) use file_steps::{Keep, PUNCH, ZERO_RANGE};

/// What the loop is to do next for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Run this on the backing, then ask again.
    Submit(BackingOp),
    /// The request is finished.
    Done(Answer),
}

impl Step {
    pub(crate) const DONE: Self = Self::Done(Answer::Done);

    pub(crate) fn fail(errno: i32) -> Self {
        Self::Done(Answer::failed(errno))
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the payload that have been moved.
    pub done_bytes: u32,
    /// Which of the operation's phases is under way, from 0.
    pub phase: u8,
    /// How often the backing has asked to be asked again.
    pub retries: u8,
}

/// One queue's view of what backs the device.
#[derive(Debug)]
pub enum Target {
    /// A file or a block device.
    Loop(LoopFile),
    /// Memory.
    Ram(Ram),
    /// Nothing.
    Null(Null),
}

impl Target {
    /// Sees a request before anything is decided about it. On `copy` the driver has filled the tag's
    /// staging memory by then, whatever becomes of the request.
    #[inline]
    pub fn arrived(&mut self, request: &Request) {
        if let Self::Null(target) = self {
            target.arrived(request);
        }
    }

    /// The first step of a request.
    #[inline]
    pub fn start(&mut self, request: &Request, payload: Option<Payload<'_>>) -> Step {
        match self {
            Self::Loop(target) => target.start(request),
            Self::Ram(target) => target.start(request, payload),
            Self::Null(target) => target.start(request, payload),
        }
    }

    /// The step after the last one's operation ended with `result`: bytes or 0, or a negative errno.
    #[inline]
    pub fn advance(&mut self, request: &Request, progress: &mut Progress, result: i32) -> Step {
        match self {
            Self::Loop(target) => target.advance(request, progress, result),
            Self::Ram(target) => target.advance(request, progress, result),
            Self::Null(_) => Step::fail(libc::EIO),
        }
    }
}

/// The bytes of a read or write; its length always fits, the kernel's limit is 32 MiB.
pub(crate) fn payload_bytes(request: &Request) -> u32 {
    u32::try_from(request.len_bytes()).unwrap_or(u32::MAX)
}
