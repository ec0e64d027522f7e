//! An address that only this machine reaches.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// An address and port of the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Loopback(SocketAddr);

/// Why an address is none of the loopback.
#[derive(Debug, thiserror::Error)]
pub enum NotLoopback {
    /// It is no address with a port.
    #[error("`{found}` is no address ({source}), should be like 127.0.0.1:9420 or [::1]:9420")]
    NoAddress {
        /// What was found.
        found: String,
        /// Why it is none.
        source: AddrParseError,
    },
    /// Others could reach it.
    #[error(
        "other machines could reach {0}, and whoever does is asked for no password; should be on the loopback, \
         like 127.0.0.1:9420, with a proxy in front for others"
    )]
    Reachable(SocketAddr),
}

impl Loopback {
    /// The address.
    #[must_use]
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Loopback {
    type Err = NotLoopback;

    fn from_str(text: &str) -> Result<Self, NotLoopback> {
        let address: SocketAddr = text.parse().map_err(|source| NotLoopback::NoAddress {
            found: text.to_owned(),
            source,
        })?;
        // `::ffff:127.0.0.1` is the loopback as well.
        if address.ip().to_canonical().is_loopback() {
            Ok(Self(address))
        } else {
            Err(NotLoopback::Reachable(address))
        }
    }
}

impl TryFrom<String> for Loopback {
    type Error = NotLoopback;

    fn try_from(text: String) -> Result<Self, NotLoopback> {
        text.parse()
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_taken() {
        for good in [
            "127.0.0.1:9420",
            "127.1.2.3:0",
            "[::1]:9420",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(
                good.parse::<Loopback>().unwrap().address(),
                good.parse().unwrap()
            );
        }
        for bad in ["0.0.0.0:9420", "192.168.0.1:9420", "[::]:1", "[fe80::1]:1"] {
            let error = bad.parse::<Loopback>().unwrap_err().to_string();
            assert!(error.contains("other machines"), "{error}");
        }
        for bad in ["", "9420", "127.0.0.1", "localhost:9420"] {
            let error = bad.parse::<Loopback>().unwrap_err().to_string();
            assert!(error.contains("should be like"), "{error}");
        }
    }
}
