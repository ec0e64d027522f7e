//! How the server reaches a queue: a list of commands and an eventfd that wakes the queue's ring. The
//! queue looks here only after the eventfd fired, so requests that nobody asks about pay nothing.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use crate::target::Target;

/// Which parked requests are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Everything that is parked, delays included.
    Everything,
    /// Every held request.
    Held,
    /// The held requests of a rule.
    Rule(String),
    /// One held request.
    Hold(u64),
}

/// What becomes of a released request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on as if it had not been parked.
    GoOn,
    /// It fails.
    Fail(fault::Status),
    /// Only so many of its sectors are done, and answered.
    Short(u32),
}

/// What was let go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// How many requests, delayed ones included.
    pub count: u64,
    /// The numbers of those that were held.
    pub holds: Vec<u64>,
}

/// What the server asks of a queue.
#[derive(Debug)]
pub enum Command {
    /// Read the published rules now, and let go what rules parked that are gone. Answers with how many
    /// requests that were.
    Refresh(oneshot::Sender<u64>),
    /// Answer when no request is under way to which a rule has done something that is not in force any more.
    Drain(oneshot::Sender<()>),
    /// End at once, without waiting for the driver: another queue of the device has failed, and only
    /// closing the character device makes the driver fail what was under way.
    Quit,
    /// Leave rules out from now on, and let go everything that is parked; or heed them again. Answers with
    /// how many requests were let go.
    Pass {
        /// Whether rules are left out.
        on: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<u64>,
    },
    /// The device has gone, as far as clients know: fail everything that is parked, and what comes. Answers
    /// with how many requests were parked.
    Gone(oneshot::Sender<u64>),
    /// Fail what would change the medium from now on, or no more.
    ReadOnly {
        /// Which.
        on: bool,
        /// Where it is told that it is so.
        answer: oneshot::Sender<()>,
    },
    /// End once no request is under way. The driver must have been told to send no more.
    Leave,
    /// Serve by this target from now on; what it reaches must hold what the one before reached.
    Retarget(Target, oneshot::Sender<()>),
    /// Let parked requests go. Answers with which.
    Release {
        /// Which.
        which: Which,
        /// How.
        outcome: Outcome,
        /// Where the answer goes.
        answer: oneshot::Sender<LetGo>,
    },
    /// Read the data of a held source request. Answers with none if this queue does not hold it.
    Peek {
        /// Which.
        hold_id: u64,
        /// Where the data goes, whole.
        answer: oneshot::Sender<Option<Reached<Vec<u8>>>>,
    },
    /// Store into the pages of a held destination request. Answers with none if this queue does not hold it.
    Poke {
        /// Which.
        hold_id: u64,
        /// What, and where.
        poke: Poke,
        /// Where the number of bytes that were stored goes.
        answer: oneshot::Sender<Option<Reached<u32>>>,
    },
}

/// What came of reaching for the pages of a held request.
pub type Reached<T> = Result<T, Unreached>;

/// Why the pages of a held request were not reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// The data of the request moves the other way, or it has none.
    #[error("a {op:?} has no data that moves that way")]
    Direction {
        /// What it asks for.
        op: ublk::Op,
    },
    /// The place is not within the payload.
    #[error("its payload has {len_bytes} bytes")]
    Outside {
        /// How long it is.
        len_bytes: u32,
    },
    /// The kernel refused.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// What to store into the pages of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poke {
    /// Where in the payload, in bytes.
    pub offset: u32,
    /// What.
    pub content: Content,
}

/// Bytes to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These.
    Bytes(Vec<u8>),
    /// This byte, so often, or to the end of the payload.
    Fill(u8, Option<u32>),
}

/// The way to one queue.
#[derive(Debug)]
pub struct Mailbox {
    /// None once the queue has ended: a command that nobody will read is dropped, which its sender
    /// sees as a closed channel.
    commands: Mutex<Option<Vec<Command>>>,
    wake: Arc<OwnedFd>,
    event: EventFd,
}

impl Mailbox {
    /// A mailbox with an eventfd of its own.
    ///
    /// # Errors
    /// `eventfd(2)`'s.
    pub fn new() -> std::io::Result<Self> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?;
        let wake = Arc::new(std::os::fd::AsFd::as_fd(&event).try_clone_to_owned()?);
        Ok(Self {
            commands: Mutex::new(Some(Vec::with_capacity(8))),
            wake,
            event,
        })
    }

    /// The eventfd, for the queue's ring.
    #[must_use]
    pub fn wake_event(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.wake)
    }

    /// Leaves a command and wakes the queue.
    pub fn send(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = commands.as_mut() {
            list.push(command);
            // Fails only when the counter would overflow, that is after 2^64 commands.
            let _ = self.event.write(1);
        }
    }

    /// Takes all commands; for the queue.
    pub fn take(&self) -> Vec<Command> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes commands again, for a queue that is about to be served again.
    pub fn reopen(&self) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        *commands = Some(Vec::with_capacity(8));
    }

    /// Takes no further commands; what is there unread is dropped.
    pub fn close(&self) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_an_ended_queue_is_seen_as_closed() {
        let mailbox = Mailbox::new().unwrap();
        mailbox.close();
        let (sender, mut receiver) = oneshot::channel();
        mailbox.send(Command::Refresh(sender));
        assert!(receiver.try_recv().is_err());
        assert!(mailbox.take().is_empty());
        mailbox.reopen();
        mailbox.send(Command::Leave);
        assert_eq!(mailbox.take().len(), 1);
    }
}
