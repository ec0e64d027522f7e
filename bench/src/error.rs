//! Why a job could not be run.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pages::PagesError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Why there is no result. The messages fit "failed to ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Neither a job of this name nor such a file.
    #[error("find the job {name}: no such file, and the jobs here are {}", known.join(", "))]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The names that would do.
        known: Vec<&'static str>,
    },
    /// A job file that cannot be used.
    #[error("use the job {name}: {detail}")]
    BadJob {
        /// Name or path.
        name: String,
        /// What is wrong in which line, and what would be right.
        detail: String,
    },
    /// The device cannot be measured on.
    #[error("use {}: {detail}", path.display())]
    BadDevice {
        /// The device.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// fio is not installed.
    #[error("run {}: it is not installed (package fio, version 3.33 or later)", program.display())]
    NoFio {
        /// The program that was looked for.
        program: PathBuf,
    },
    /// fio is older than what this crate understands.
    #[error("use {}: it says it is `{version}`, should be fio 3.33 or later", program.display())]
    OldFio {
        /// The program.
        program: PathBuf,
        /// What it says it is.
        version: String,
    },
    /// fio's logs are not what fio 3.33 writes.
    #[error("understand fio's log {}: {detail}", path.display())]
    BadLog {
        /// The file.
        path: PathBuf,
        /// What was found, and what would be right.
        detail: String,
    },
    /// The device went away during a run.
    #[error("finish the run on {}: the device is gone; what was finished before is kept", path.display())]
    Vanished {
        /// The device.
        path: PathBuf,
    },
    /// A matrix file that cannot be used.
    #[error("use the matrix {name}: {detail}")]
    BadMatrix {
        /// Name or path.
        name: String,
        /// What is wrong where, and what would be right.
        detail: String,
    },
    /// A device for a cell cannot be made, or what was asked of it not done.
    #[error("{action}")]
    Device {
        /// What was tried.
        action: String,
        /// What the daemon answered.
        #[source]
        source: api::ClientError,
    },
    /// A peer's device cannot be made.
    #[error("make the peer's device: {0}")]
    Peer(String),
    /// fio ended without doing any I/O.
    #[error("run fio: it ended with {status} and did no I/O: {message}")]
    FioFailed {
        /// Its exit status in words.
        status: String,
        /// What it printed to standard error.
        message: String,
    },
    /// fio took longer than it may.
    #[error("run fio: it was not done within {} s and was killed", limit.as_secs())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The caller asked to stop.
    #[error("run fio: it was interrupted")]
    Interrupted,
    /// fio does not even end when it is killed.
    #[error(
        "end fio (process {pid}): its I/O does not return; is a request held or the server dead?"
    )]
    Stuck {
        /// The process.
        pid: u32,
    },
    /// fio's report is not what fio 3.33 writes.
    #[error("understand fio's report: {detail}")]
    BadReport {
        /// What was found, and what would be right.
        detail: String,
    },
    /// A result file that cannot be used.
    #[error("read the result file {}: {detail}", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// Result files that are not shards of one session.
    #[error("merge the result files: {detail}")]
    NotMergeable {
        /// What does not fit.
        detail: String,
    },
    /// A result file that could not be written. What was there before is still there.
    #[error("save {}", path.display())]
    NotSaved {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A verify job did not read back what it wrote.
    #[error("verify: fio read {read} of {written} blocks back, should be all (bound it by size)")]
    NotVerified {
        /// Blocks read back.
        read: u64,
        /// Blocks written.
        written: u64,
    },
    /// The pins cannot be counted.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The CPU time of the daemon cannot be read.
    #[error("read the CPU time of process {pid}")]
    Cpu {
        /// The daemon.
        pid: u32,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Any other failure around the child process.
    #[error("{action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

impl BenchError {
    /// Whether the machine lacks something, as opposed to a wrong input or a failed run.
    #[must_use]
    pub fn is_missing_requirement(&self) -> bool {
        match self {
            Self::NoFio { .. } | Self::OldFio { .. } => true,
            Self::Pages(error) => error.is_missing_requirement(),
            _ => false,
        }
    }
}

/// Makes an error of what was tried.
pub(crate) fn io_error(action: &'static str) -> impl Fn(io::Error) -> BenchError {
    move |source| BenchError::Io { action, source }
}
