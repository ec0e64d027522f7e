//! Target `null`: nothing. Source requests are forgotten; destination requests read as zeroes on the
//! data paths that copy, and leave the pages as they were on `auto-zero-copy`, where not touching
//! them is the point (as with the kernel's null_blk and other ublk servers).

use ublk::{Op, Payload, Request, RequestFlags};

use super::file_steps::{Keep, PUNCH, ZERO_RANGE};
use super::{Step, Zeroing, payload_bytes};

/// Nothing is zeroed easily; the modes only say that both kinds are offered.
pub(crate) const ZEROING: Zeroing = Zeroing {
    unmap: Some(PUNCH),
    keep: Some(Keep::Range(ZERO_RANGE)),
};

/// One queue's null target.
#[derive(Debug)]
pub struct Null {
    /// For each tag, how much of its staging memory a source request has filled: that much must be
    /// zeroed before a destination request may show it to another client.
    filled_bytes: Vec<u32>,
}

impl Null {
    /// A target for a queue of `depth` tags.
    #[must_use]
    pub fn new(depth: u16) -> Self {
        Self {
            filled_bytes: vec![0; usize::from(depth)],
        }
    }

    #[inline]
    pub(super) fn arrived(&mut self, request: &Request) {
        if request.op() == Op::Write {
            let filled = &mut self.filled_bytes[usize::from(request.tag())];
            *filled = (*filled).max(payload_bytes(request));
        }
    }

    #[inline]
    pub(super) fn start(&mut self, request: &Request, payload: Option<Payload<'_>>) -> Step {
        let len = payload_bytes(request);
        let filled = &mut self.filled_bytes[usize::from(request.tag())];
        match (request.op(), payload) {
            (Op::Write, _) => Step::DONE,
            // The payload may be the client's own memory, so the staging memory stays noted.
            (Op::Read, Some(Payload::Destination(payload)))
                if request.flags().contains(RequestFlags::SHARED) =>
            {
                payload.zero();
                Step::DONE
            }
            (Op::Read, Some(Payload::Destination(payload))) => {
                if *filled > 0 {
                    // The tail beyond this request stays dirty, and stays noted.
                    payload.zero();
                    *filled = if len >= *filled { 0 } else { *filled };
                }
                Step::DONE
            }
            (Op::Read, _) => Step::DONE,
            (Op::Other(_), _) => Step::fail(libc::EOPNOTSUPP),
            (Op::Flush | Op::Discard | Op::WriteZeroes, _) => Step::DONE,
        }
    }
}
