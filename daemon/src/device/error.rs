//! What can go wrong in a device's life.

use crate::backing::BackingError;
use crate::kept_memory::KeptMemoryError;
use crate::state::StateError;

/// Why a device could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Its backing was refused.
    #[error(transparent)]
    Backing(#[from] BackingError),
    /// The driver or the system refused something.
    #[error(transparent)]
    Ublk(#[from] ublk::Error),
    /// A rule was refused.
    #[error(transparent)]
    Rule(#[from] fault::RuleError),
    /// The configuration asks for what this server cannot do.
    #[error("{field}: {reason}")]
    Config {
        /// Where in the body.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The configuration asks for what no kernel or not this release can do.
    #[error("{field}: {reason}")]
    Unsupported {
        /// Where in the body.
        field: &'static str,
        /// What there is instead.
        reason: String,
    },
    /// The memory of a `ram` device that outlives the daemon was refused.
    #[error(transparent)]
    Memory(#[from] KeptMemoryError),
    /// Its file in the state directory cannot be written or used.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is asked for does not fit what the device is, or what it is doing.
    #[error("{0}")]
    Conflict(String),
    /// The daemon is on its way out.
    #[error("the daemon is stopping and makes no more devices")]
    Stopping,
    /// The system is out of something.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}
