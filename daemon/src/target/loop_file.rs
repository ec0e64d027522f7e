//! Target `loop`: a file or a block device, buffered or O_DIRECT. FUA becomes `RWF_DSYNC`, flush
//! becomes `fdatasync`, so a volatile cache is advertised and honoured down to the medium.

use ublk::Request;

use super::{Progress, Step, Zeroing, file_steps};

/// One queue's loop target.
#[derive(Debug)]
pub struct LoopFile {
    zeroing: Zeroing,
}

impl LoopFile {
    /// A target whose backing zeroes ranges in this way.
    #[must_use]
    pub fn new(zeroing: Zeroing) -> Self {
        Self { zeroing }
    }

    #[inline]
    pub(super) fn start(&mut self, request: &Request) -> Step {
        file_steps::start(request, self.zeroing)
    }

    #[inline]
    pub(super) fn advance(
        &mut self,
        request: &Request,
        progress: &mut Progress,
        result: i32,
    ) -> Step {
        file_steps::advance(request, progress, self.zeroing, result)
    }
}
