//! What a request is answered with, typed so that an answer that would never end cannot be given.
//!
//! A commit carries one `i32`: bytes moved, or a negative errno. A source request committed with 0 is
//! sent to the server again, and again, for ever (`__ublk_complete_rq`, drivers/block/ublk_drv.c: no
//! byte is done, so the whole of it is requeued); a destination request with 0 fails with `EIO`. Neither
//! is an [`Answer`]: a part is at least one byte, and all of a request is [`Answer::Done`].

use std::num::NonZeroU32;

use crate::request::{Op, Request};

/// What a request is answered with.
///
/// "Nothing moved" has no word here:
///
/// ```compile_fail,E0308
/// let nothing = ublk::Answer::Moved(0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// All of it was done.
    Done,
    /// Of a read or write, only the first bytes were moved; the kernel sends the rest again as a new
    /// request.
    Moved(NonZeroU32),
    /// It failed.
    Failed(Errno),
}

impl Answer {
    /// A read or write that moved the first `bytes`; none, because nothing was moved, is `EIO`.
    #[inline]
    pub fn moved(bytes: u32) -> Self {
        NonZeroU32::new(bytes).map_or(Self::Failed(Errno::EIO), Self::Moved)
    }

    /// A failure with this positive errno.
    #[inline]
    pub fn failed(errno: i32) -> Self {
        Self::Failed(Errno::new(errno))
    }

    /// The number that answers this request: bytes, 0 for a request without a payload, or a negative
    /// errno. It is never 0 for a read or write, and never more than the request's length.
    #[inline]
    #[must_use]
    pub fn result(self, request: &Request) -> i32 {
        // A payload is at most 32 MiB (`UBLK_IO_BUF_BITS`).
        let payload = i32::try_from(request.len_bytes()).unwrap_or(i32::MAX);
        match (self, request.op()) {
            (Self::Failed(errno), _) => -errno.get(),
            // The block layer has no empty reads and writes; one would be sent again for ever.
            (_, Op::Read | Op::Write) if payload == 0 => -libc::EIO,
            (Self::Done, Op::Read | Op::Write) => payload,
            (Self::Moved(bytes), Op::Read | Op::Write) => {
                i32::try_from(bytes.get()).map_or(payload, |bytes| bytes.min(payload))
            }
            // The driver takes every result that is not negative as success of these.
            (Self::Done | Self::Moved(_), _) => 0,
        }
    }
}

impl From<&std::io::Error> for Answer {
    fn from(error: &std::io::Error) -> Self {
        Self::failed(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// A positive errno of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// `EIO`: an error that says nothing about its cause.
    pub const EIO: Self = Self(libc::EIO);

    /// The largest errno (`MAX_ERRNO`, include/linux/err.h).
    const MAX: i32 = 4095;

    /// This errno; `EIO` for a number that is none.
    #[inline]
    #[must_use]
    pub fn new(errno: i32) -> Self {
        if (1..=Self::MAX).contains(&errno) {
            Self(errno)
        } else {
            Self::EIO
        }
    }

    /// The number, positive.
    #[inline]
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestFlags;

    fn result(answer: Answer, op: Op, sectors: u32) -> i32 {
        let request = Request::new(0, op, RequestFlags::empty(), 0, sectors);
        let result = answer.result(&request);
        request.abandon();
        result
    }

    #[test]
    fn no_answer_to_a_payload_is_nothing() {
        let answers = [Answer::Done, Answer::moved(0), Answer::failed(0)];
        for op in [Op::Read, Op::Write] {
            for answer in answers {
                for sectors in [0, 1, 8] {
                    assert_ne!(result(answer, op, sectors), 0, "{answer:?} to {op:?}");
                }
            }
        }
    }

    #[test]
    fn done_is_the_length_of_a_payload_and_zero_otherwise() {
        assert_eq!(result(Answer::Done, Op::Read, 8), 4096);
        assert_eq!(result(Answer::Done, Op::Write, 65536), 32 << 20);
        for op in [Op::Flush, Op::Discard, Op::WriteZeroes] {
            assert_eq!(result(Answer::Done, op, 8), 0);
        }
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        assert_eq!(result(Answer::moved(512), Op::Write, 8), 512);
        assert_eq!(result(Answer::moved(u32::MAX), Op::Read, 8), 4096);
    }

    #[test]
    fn an_errno_is_negated_and_nonsense_is_an_error() {
        assert_eq!(
            result(Answer::failed(libc::ENOSPC), Op::Write, 8),
            -libc::ENOSPC
        );
        for nonsense in [0, -libc::EIO, 4096, i32::MIN] {
            assert_eq!(
                result(Answer::failed(nonsense), Op::Read, 8),
                -libc::EIO,
                "{nonsense}"
            );
        }
    }
}
