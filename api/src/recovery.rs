//! What becomes of a device and its requests when no daemon is there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::UnknownWord;

/// What becomes of a device whose daemon is gone. *In flight* are requests that the daemon had taken and
/// not committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// The block device goes; every request fails.
    #[default]
    Fail,
    /// The block device stays. Requests in flight fail, new ones wait (`UBLK_F_USER_RECOVERY`).
    Queue,
    /// The block device stays. Requests in flight are sent again to the next daemon, new ones wait
    /// (`UBLK_F_USER_RECOVERY_REISSUE`).
    Reissue,
    /// The block device stays. Requests in flight fail, and so do new ones
    /// (`UBLK_F_USER_RECOVERY_FAIL_IO`).
    FailIo,
}

impl Recovery {
    /// Every choice, in the order of listings.
    pub const ALL: [Self; 4] = [Self::Fail, Self::Queue, Self::Reissue, Self::FailIo];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Queue => "queue",
            Self::Reissue => "reissue",
            Self::FailIo => "fail-io",
        }
    }

    /// Whether the block device outlives its daemon, so that another can take it over.
    #[must_use]
    pub const fn outlives_daemon(self) -> bool {
        !matches!(self, Self::Fail)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Recovery {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownWord::among(text, &Self::ALL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json_are_the_same() {
        for kind in Recovery::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("requeue".parse::<Recovery>().is_err());
    }
}
