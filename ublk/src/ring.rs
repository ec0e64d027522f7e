//! The io_uring of one queue thread, and what its completions mean.

mod number;

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, squeue, types};

use number::RingNumber;

/// What an entry of the ring was for; travels in its user data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A FETCH or COMMIT_AND_FETCH of a tag.
    Command(u16),
    /// An operation on the backing, for the request with a tag.
    Backing(u16),
    /// Putting the request with a tag into the buffer table by hand, or taking it out.
    Registration(u16),
    /// An operation on the backing with staging memory, by the number of that.
    Staged(u16),
    /// The eventfd that wakes the queue.
    Wake,
    /// The command that brings tags (`batch`).
    Fetch,
    /// A command that answers many (`batch`).
    Commit,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// What it was for.
    pub(crate) token: Token,
    /// A number that depends on what it was for, or a negative errno.
    pub(crate) result: i32,
    /// `IORING_CQE_F_*`.
    pub(crate) flags: u32,
}

impl Token {
    const BACKING: u64 = 1 << 16;
    const REGISTRATION: u64 = 2 << 16;
    const WAKE: u64 = 3 << 16;
    const FETCH: u64 = 4 << 16;
    const COMMIT: u64 = 5 << 16;
    const STAGED: u64 = 6 << 16;

    pub(crate) fn pack(self) -> u64 {
        match self {
            Self::Command(tag) => u64::from(tag),
            Self::Backing(tag) => u64::from(tag) | Self::BACKING,
            Self::Registration(tag) => u64::from(tag) | Self::REGISTRATION,
            Self::Staged(index) => u64::from(index) | Self::STAGED,
            Self::Wake => Self::WAKE,
            Self::Fetch => Self::FETCH,
            Self::Commit => Self::COMMIT,
        }
    }

    pub(crate) fn unpack(user_data: u64) -> Self {
        // The low sixteen bits are the tag, or another number, by construction.
        let tag = u16::try_from(user_data & 0xffff).unwrap_or(0);
        match user_data & !0xffff {
            0 => Self::Command(tag),
            Self::BACKING => Self::Backing(tag),
            Self::REGISTRATION => Self::Registration(tag),
            Self::STAGED => Self::Staged(tag),
            Self::FETCH => Self::Fetch,
            Self::COMMIT => Self::Commit,
            _ => Self::Wake,
        }
    }
}

/// The io_uring of one queue thread.
///
/// The number is given back before the ring is closed: the fields are dropped in their order.
pub(crate) struct Ring {
    /// By this number the thread waits for its ring, which saves looking up the descriptor.
    number: Option<RingNumber>,
    ring: IoUring,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring with room for one command and one backing operation of each of `depth` tags.
    pub(crate) fn new(depth: u16) -> io::Result<Self> {
        let entries = u32::from(depth).max(8).next_power_of_two();
        // Kernels before 6.1 have no deferred task work; the ring works without, only dearer.
        let ring = Self::build(entries, true).or_else(|_| Self::build(entries, false))?;
        let number = RingNumber::register(ring.as_raw_fd()).ok();
        Ok(Self { ring, number })
    }

    fn build(entries: u32, deferred: bool) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder
            .dontfork()
            .setup_cqsize(entries * 4)
            .setup_coop_taskrun();
        if deferred {
            // The thread that builds the ring is the only one that uses it.
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        builder.build(entries)
    }

    pub(crate) fn io_uring(&self) -> &IoUring {
        &self.ring
    }

    /// Queues an entry; sends what is queued first when the ring is full.
    ///
    /// # Safety
    /// Memory and descriptors that the entry names must stay valid until its completion.
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: handed on from the caller.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            retry_interrupted(self.ring.submit())?;
        }
        Ok(())
    }

    /// Sends what is queued.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        retry_interrupted(self.ring.submit())
    }

    /// Sends what is queued and waits for a completion, at most `timeout` if one is given.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(timeout) = timeout else {
            let Some(number) = &self.number else {
                return retry_interrupted(self.ring.submit_and_wait(1));
            };
            let queued = self.ring.submission().len();
            return retry_interrupted(number.submit_and_wait(queued));
        };
        let limit = types::Timespec::from(timeout);
        let args = types::SubmitArgs::new().timespec(&limit);
        match self.ring.submitter().submit_with_args(1, &args) {
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(()),
            other => retry_interrupted(other),
        }
    }

    /// Takes the next completion, if there is one.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Event> {
        let completion = self.ring.completion().next()?;
        Some(Event {
            token: Token::unpack(completion.user_data()),
            result: completion.result(),
            flags: completion.flags(),
        })
    }
}

/// A wait that a signal or a full completion queue ended early is no failure: the caller looks at
/// the completions and comes back.
fn retry_interrupted(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        for token in [
            Token::Command(0),
            Token::Command(4095),
            Token::Backing(7),
            Token::Registration(4095),
            Token::Staged(9),
            Token::Wake,
            Token::Fetch,
            Token::Commit,
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
