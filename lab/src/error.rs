//! Why an experiment has no answer.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
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
    /// bvecd is nowhere to be found.
    #[error("find bvecd: it is neither {} nor on the PATH", beside.display())]
    NoDaemon {
        /// Where it should be.
        beside: PathBuf,
    },
    /// bvecd ended by itself.
    #[error("run bvecd: {words} ({status})")]
    DaemonEnded {
        /// What it said last.
        words: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The user wants it to end.
    #[error("finish: it was interrupted")]
    Interrupted,
    /// Something that was waited for did not happen in time.
    #[error("see {what}: not within {} s", limit.as_secs())]
    Stuck {
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// A request came back although a rule should have held it.
    #[error("hold a request by `{rule}`: its call came back at once with {outcome}")]
    NotStopped {
        /// The rule, in words.
        rule: String,
        /// Bytes, or a negative errno.
        outcome: i64,
    },
    /// A puppet could not do what an experiment relies on.
    #[error("have a puppet do {order}: {source}")]
    Refused {
        /// The order's word.
        order: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A puppet does not answer.
    #[error("hear from puppet {pid} after {order}: nothing within {} s", limit.as_secs())]
    Silent {
        /// Its process.
        pid: u32,
        /// The order's word.
        order: String,
        /// The limit.
        limit: Duration,
    },
    /// A puppet ended.
    #[error("hear from puppet {pid} after {order}: it has ended")]
    PuppetEnded {
        /// Its process.
        pid: u32,
        /// The order's word.
        order: String,
    },
    /// A puppet answered what does not fit the order, which is a bug.
    #[error("understand the answer to {order}: {answer}")]
    Odd {
        /// The order's word.
        order: String,
        /// The answer.
        answer: String,
    },
    /// A program that an experiment needs failed.
    #[error("run {program}: {said} ({status})")]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// Pages were to be counted although that is not possible here.
    #[error("count a page: the experiment should say that it needs counts")]
    NoCounts,
    /// The experiment found that something it needs is missing.
    #[error("have what it needs: {0}")]
    Lacking(String),
    /// A file that should have a table of experiments and kernels.
    #[error("read {}: {detail}", path.display())]
    BadMatrix {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Tables that do not belong together.
    #[error("put the tables together: {detail}")]
    NotMergeable {
        /// What does not fit.
        detail: String,
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
        match self {
            Self::Pages(error) => error.is_missing_requirement(),
            Self::NoDaemon { .. } | Self::Lacking(_) => true,
            // bvecd's own code for a kernel or a right that is missing.
            Self::DaemonEnded { status, .. } => status.code() == Some(4),
            _ => false,
        }
    }
}

/// Makes an error of what was tried.
pub(crate) fn io_error(action: &'static str) -> impl Fn(io::Error) -> LabError {
    move |source| LabError::Io { action, source }
}
