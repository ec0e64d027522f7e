//! What a request is answered with, typed so that no answer can lose bytes or never end.
//!
//! A commit carries one `i32`: bytes moved, or a negative errno. What the driver makes of fewer bytes than
//! were asked for depends on the kernel and the data path (`__ublk_complete_rq`, drivers/block/ublk_drv.c):
//! it may send the rest again as a new request, or take the whole for done, and the rest is lost. A source
//! request answered with 0 is sent again for ever, or lost. So there are two answers: all of it, and
//! an error; docs/design/conformance.md has what was measured. A backing that moves a part is asked for the
//! rest by the target. A third, [`Short`], is a fault to be planted, and says so where it is made.

use crate::request::{Op, Request};

/// What a request is answered with.
///
/// "Nothing" and "a part" have no words here:
///
/// ```compile_fail,E0599
/// let nothing = ublk::Answer::Moved(0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// All of it was done.
    Done,
    /// It failed.
    Failed(Errno),
    /// Less of it was done than was asked for: a fault.
    Short(Short),
}

/// An answer of too few bytes, which an honest server has no reason to give: the driver sends the rest
/// again, or takes the whole for done, and the rest is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    sectors: u32,
}

impl Short {
    /// The fault "only the first `sectors` of this request were done"; none unless that is less than all of
    /// a read or write, and not nothing.
    #[must_use]
    pub fn fault(request: &Request, sectors: u32) -> Option<Self> {
        let has_payload = matches!(request.op(), Op::Read | Op::Write);
        (has_payload && (1..request.sectors()).contains(&sectors)).then_some(Self { sectors })
    }
}

impl Answer {
    /// A failure with this positive errno.
    #[inline]
    pub fn failed(errno: i32) -> Self {
        Self::Failed(Errno::new(errno))
    }

    /// The number that answers this request: its length in bytes, 0 for a request without a payload, or
    /// a negative errno. It is never 0 for a read or write.
    #[inline]
    #[must_use]
    pub fn result(self, request: &Request) -> i32 {
        match (self, request.op()) {
            (Self::Failed(errno), _) => -errno.get(),
            // Made for a payload, which is at most 32 MiB; never 0.
            (Self::Short(short), _) => {
                i32::try_from(u64::from(short.sectors) << 9).unwrap_or(-libc::EIO)
            }
            // The block layer has no empty reads and writes; one could be sent again for ever.
            (Self::Done, Op::Read | Op::Write) if request.sectors() == 0 => -libc::EIO,
            // A payload is at most 32 MiB (`UBLK_IO_BUF_BITS`).
            (Self::Done, Op::Read | Op::Write) => {
                i32::try_from(request.len_bytes()).unwrap_or(i32::MAX)
            }
            // The driver takes every result that is not negative as success of these.
            (Self::Done, _) => 0,
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
        for op in [Op::Read, Op::Write] {
            for answer in [Answer::Done, Answer::failed(0)] {
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
    fn a_short_answer_is_less_than_all_and_more_than_nothing() {
        let request = Request::new(0, Op::Write, RequestFlags::empty(), 0, 8);
        for sectors in [0, 8, 9] {
            assert_eq!(Short::fault(&request, sectors), None);
        }
        for sectors in 1..8_u32 {
            let short = Short::fault(&request, sectors).unwrap();
            let bytes = i32::try_from(sectors * 512).unwrap();
            assert_eq!(Answer::Short(short).result(&request), bytes);
        }
        request.abandon();
        let flush = Request::new(0, Op::Discard, RequestFlags::empty(), 0, 8);
        assert_eq!(Short::fault(&flush, 1), None);
        flush.abandon();
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
