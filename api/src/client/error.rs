//! What can go wrong between a client and the daemon.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::problem::Problem;

/// Why a call got no answer of its type.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error("reach bvecd at {path}: {source}; {}", advice(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended in the middle of a call.
    #[error(
        "get an answer to {path}: the connection to bvecd was lost ({source}); its log says why"
    )]
    Lost {
        /// The path of the call.
        path: String,
        /// What was wrong with the connection.
        source: hyper::Error,
    },
    /// The daemon did not answer in time.
    #[error("get an answer to {path}: bvecd took more than {seconds} s")]
    TimedOut {
        /// The path of the call.
        path: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The daemon refused.
    #[error("{0}")]
    Problem(#[from] Box<Problem>),
    /// The answer is not what this client knows.
    #[error("understand the answer to {path}: {why}; are bvecd and this program of one version?")]
    Garbled {
        /// The path of the call.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The call itself cannot be written down.
    #[error("send {path}: {why}")]
    Unsendable {
        /// The path of the call.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client's own runtime cannot be made.
    #[error("start the client's runtime: {0}")]
    Runtime(#[source] io::Error),
}

impl ClientError {
    /// The documented exit code of a program that ends by this error: 5 if the daemon cannot be reached, that
    /// of the problem if it refused, 125 if its answer makes no sense.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::TimedOut { .. } => 5,
            Self::Problem(problem) => problem.code.exit_code(),
            Self::Unsendable { .. } => 2,
            Self::Garbled { .. } | Self::Runtime(_) => 125,
        }
    }
}

/// What to do about a socket that cannot be connected to.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "only the user that runs bvecd may connect: try again as root"
        }
        _ => "is bvecd running? start it with `bvecd`, or name its socket with --socket PATH",
    }
}
