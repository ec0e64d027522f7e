//! Why an experiment has no answer.

use std::io;
use std::time::Duration;

use api::ClientError;
use api::fault::WordsError;
use pages::PagesError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why an experiment could not be done. The messages fit "failed to ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The daemon cannot be reached or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Pages cannot be looked at.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The experiment's rule is not one, which is a bug of the experiment.
    #[error("write the rule of the experiment: {0}")]
    Rule(#[from] WordsError),
    /// The device ends before the sectors that the experiment reads.
    #[error("use {device}: it has {sectors} sectors, should have at least {needed}")]
    TooSmall {
        /// The device.
        device: String,
        /// Its size in sectors of 512 bytes.
        sectors: u64,
        /// The size that would do.
        needed: u64,
    },
    /// A sector that an experiment cannot be asked about.
    #[error("use sector {sector}: it should be a multiple of 8 and not 0")]
    Sector {
        /// The sector.
        sector: u64,
    },
    /// The read came back although a rule should have held it.
    #[error("hold a read of sector {sector}: it came back at once ({outcome})")]
    NotHeld {
        /// First sector of the read.
        sector: u64,
        /// Bytes read or error, in words.
        outcome: String,
    },
    /// The daemon did not list the hold in time.
    #[error("see the read of sector {sector} held: not listed within {} s", limit.as_secs())]
    NotListed {
        /// First sector of the read.
        sector: u64,
        /// The limit.
        limit: Duration,
    },
    /// The hold ended before the experiment did, so that the observations are of no held request.
    #[error("keep the read of sector {sector} held: it was released by something else")]
    HoldEnded {
        /// First sector of the read.
        sector: u64,
    },
    /// A released read did not come back.
    #[error("get the read of sector {sector} back: not within {} s of its release", limit.as_secs())]
    NotReturned {
        /// First sector of the read.
        sector: u64,
        /// The limit.
        limit: Duration,
    },
    /// A page that was just written has no frame.
    #[error("find the page of address {address:#x}: it is not present although it was written")]
    NoPage {
        /// Its virtual address.
        address: u64,
    },
    /// A transfer that must succeed did not.
    #[error("transfer by {what}: {source}")]
    Transfer {
        /// The way, the direction, the place.
        what: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl LabError {
    /// Whether the machine lacks something, as opposed to a failed experiment.
    #[must_use]
    pub fn is_missing_requirement(&self) -> bool {
        matches!(self, Self::Pages(error) if error.is_missing_requirement())
    }
}

/// Makes an error of what was tried.
pub(crate) fn io_error(action: &'static str) -> impl Fn(io::Error) -> LabError {
    move |source| LabError::Io { action, source }
}
