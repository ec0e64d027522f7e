//! What a rule does to a request.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Status;
use crate::span::format_ns;

/// How long a hold lasts if nobody says: 60 s.
pub const DEFAULT_HOLD_NS: u64 = 60_000_000_000;

/// The longest hold or delay that is accepted: 1 h. A privileged ublk device has no I/O timeout
/// (`ublk_timeout`, drivers/block/ublk_drv.c), so nothing but this limit ends a forgotten one.
pub const MAX_PARK_NS: u64 = 3_600_000_000_000;

/// What happens to a request when the rule fires.
///
/// `fail` and `hold` are terminal: the first of them decides. `delay` is a modifier: delays add up, and
/// the terminal action follows when they are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The request fails without touching the medium.
    Fail {
        /// The error it fails with; `IOERR` if absent.
        #[serde(default)]
        #[schema(default = "IOERR")]
        status: Status,
    },
    /// The request waits before it goes on.
    Delay {
        /// How long, in nanoseconds; 1 ns to 1 h.
        ns: u64,
    },
    /// The request is kept uncommitted until it is released.
    Hold {
        /// How long at most, in nanoseconds; 1 ns to 1 h, 60 s if absent.
        #[serde(default = "default_hold_ns")]
        #[schema(default = 60_000_000_000_u64)]
        max_ns: u64,
        /// What happens when that time is over; `release` if absent.
        #[serde(default)]
        then: Then,
    },
}

const fn default_hold_ns() -> u64 {
    DEFAULT_HOLD_NS
}

/// What becomes of a held request that nobody released in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It goes on as if it had never been held.
    #[default]
    Release,
    /// It fails with this error.
    Fail(Status),
}

impl Action {
    /// The action's word, such as `fail`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Fail { .. } => "fail",
            Self::Delay { .. } => "delay",
            Self::Hold { .. } => "hold",
        }
    }

    /// Whether the action decides what becomes of the request, so that later terminal actions are
    /// shadowed.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Delay { .. })
    }

    /// Whether it takes time, so that whoever carries it out must know the time.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        matches!(self, Self::Delay { .. } | Self::Hold { .. })
    }
}

/// The canonical words, which [`crate::words::parse`] reads back.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail { status } => write!(f, "fail:status={status}"),
            Self::Delay { ns } => write!(f, "delay:{}", format_ns(*ns)),
            Self::Hold { max_ns, then } => {
                write!(f, "hold:max={}", format_ns(*max_ns))?;
                match then {
                    Then::Release => Ok(()),
                    Then::Fail(status) => write!(f, ",then=fail:{status}"),
                }
            }
        }
    }
}
