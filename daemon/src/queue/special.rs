//! What is special about a device for a while. One test for each request tells that nothing is.

use bitflags::bitflags;
use fault::Status;
use ublk::{Answer, Op, Request};

use super::{QueueError, QueueLoop};
use crate::mailbox::{Outcome, Which};

bitflags! {
    /// What is special.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Special: u8 {
        /// Rules are left out: the device is about to stop or to be quiesced, or just starts.
        const PASSING = 1;
        /// The device has gone, as far as clients know: everything fails.
        const GONE = 1 << 1;
        /// What would change the medium fails.
        const READ_ONLY = 1 << 2;
    }
}

impl Special {
    /// Whether nothing is to wait any more.
    pub(super) fn is_passing(self) -> bool {
        self.intersects(Self::PASSING | Self::GONE)
    }
}

/// What a device that has gone answers.
const GONE: Status = Status::Offline;

/// What a medium answers that cannot be written: as for a disk, whose sense "data protect" is an error of
/// the target (`scsi_check_sense`, drivers/scsi/scsi_error.c).
const READ_ONLY: Status = Status::Target;

impl QueueLoop {
    /// Decides about a request while something is special.
    #[cold]
    pub(super) fn admit_specially(&mut self, request: Request) -> Result<(), QueueError> {
        let changes = matches!(request.op(), Op::Write | Op::Discard | Op::WriteZeroes);
        if self.special.contains(Special::GONE) {
            return self.commit(request, Answer::failed(GONE.errno()));
        }
        if changes && self.special.contains(Special::READ_ONLY) {
            return self.commit(request, Answer::failed(READ_ONLY.errno()));
        }
        if self.special.contains(Special::PASSING) {
            return self.begin(request);
        }
        self.decide(request)
    }

    /// The device has gone: what is parked fails, and so does what comes. What is with the backing fails when it
    /// comes back.
    pub(super) fn go(&mut self) -> Result<u64, QueueError> {
        self.special.insert(Special::GONE);
        let outcome = Outcome::Fail(GONE);
        Ok(self.release(&Which::Everything, outcome)?.count)
    }

    /// Completes a request while something is special: nothing succeeds on a device that has gone.
    #[cold]
    pub(super) fn complete_specially(
        &mut self,
        request: Request,
        answer: Answer,
    ) -> Result<(), QueueError> {
        match self.special.contains(Special::GONE) {
            true => self.commit(request, Answer::failed(GONE.errno())),
            false => self.complete(request, answer),
        }
    }
}
