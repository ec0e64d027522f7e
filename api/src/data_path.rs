//! How payload and requests move between the kernel and the daemon.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a request's payload moves between its pages and the daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataPath {
    /// The kernel copies between the pages and memory of the daemon.
    Copy,
    /// The daemon copies by pread and pwrite on the character device (`UBLK_F_USER_COPY`).
    UserCopy,
    /// The daemon registers the pages with its io_uring by hand (`UBLK_F_SUPPORT_ZERO_COPY`).
    ZeroCopy,
    /// The driver registers the pages before it delivers the request (`UBLK_F_AUTO_BUF_REG`).
    AutoZeroCopy,
    /// Client and daemon share the pages (`UBLK_F_SHMEM_ZC`).
    SharedMemory,
    /// The fastest one that this kernel and this target can do.
    #[default]
    Auto,
}

/// How requests are fetched and committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// One io_uring command a request.
    #[default]
    PerIo,
    /// One io_uring command for many requests (`UBLK_F_BATCH_IO`).
    Batch,
}

/// A word that names none of the choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected one of {expected}")]
pub struct UnknownWord {
    found: String,
    expected: String,
}

impl UnknownWord {
    pub(crate) fn among<T: fmt::Display>(found: &str, choices: &[T]) -> Self {
        let expected = choices
            .iter()
            .map(T::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        Self {
            found: found.to_owned(),
            expected,
        }
    }
}

impl DataPath {
    /// Every choice, in the order of listings.
    pub const ALL: [Self; 6] = [
        Self::Copy,
        Self::UserCopy,
        Self::ZeroCopy,
        Self::AutoZeroCopy,
        Self::SharedMemory,
        Self::Auto,
    ];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::UserCopy => "user-copy",
            Self::ZeroCopy => "zero-copy",
            Self::AutoZeroCopy => "auto-zero-copy",
            Self::SharedMemory => "shared-memory",
            Self::Auto => "auto",
        }
    }
}

impl Transport {
    /// Every choice, in the order of listings.
    pub const ALL: [Self; 2] = [Self::PerIo, Self::Batch];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerIo => "per-io",
            Self::Batch => "batch",
        }
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DataPath {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|path| path.name() == text);
        found.ok_or_else(|| UnknownWord::among(text, &Self::ALL))
    }
}

impl FromStr for Transport {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL
            .into_iter()
            .find(|transport| transport.name() == text);
        found.ok_or_else(|| UnknownWord::among(text, &Self::ALL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json_are_the_same() {
        for path in DataPath::ALL {
            assert_eq!(path.name().parse(), Ok(path));
            assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{path}\""));
        }
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
            assert_eq!(
                serde_json::to_string(&transport).unwrap(),
                format!("\"{transport}\"")
            );
        }
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let message = "fast".parse::<Transport>().unwrap_err().to_string();
        assert_eq!(message, "found `fast`, expected one of per-io, batch");
    }
}
