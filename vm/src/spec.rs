//! Which kernel the user asks for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;
use crate::version::Version;

/// A kernel SPEC as written on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Spec {
    /// `newest`: the newest kernel of the distribution's backports; the host's own kernel where no
    /// distribution is known.
    #[default]
    Newest,
    /// `host`: the kernel image that the host has installed for the kernel it runs.
    Host,
    /// A version prefix: `7.2` takes the newest 7.2.x there is.
    Version(String),
    /// `suite:NAME`: the newest kernel of one suite.
    Suite(String),
    /// A path to a kernel image.
    Image(PathBuf),
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Spec(text.to_owned());
        let plain = |c: char| c.is_ascii_alphanumeric() || ".~+-_".contains(c);
        match text {
            "newest" => return Ok(Self::Newest),
            "host" => return Ok(Self::Host),
            _ => {}
        }
        if let Some(suite) = text.strip_prefix("suite:") {
            let good =
                suite.starts_with(|c: char| c.is_ascii_lowercase()) && suite.chars().all(plain);
            return if good {
                Ok(Self::Suite(suite.to_owned()))
            } else {
                Err(wrong())
            };
        }
        if text.contains('/') {
            return Ok(Self::Image(PathBuf::from(text)));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(plain) {
            return Ok(Self::Version(text.to_owned()));
        }
        Err(wrong())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => write!(f, "newest"),
            Self::Host => write!(f, "host"),
            Self::Version(prefix) => write!(f, "{prefix}"),
            Self::Suite(suite) => write!(f, "suite:{suite}"),
            Self::Image(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Says whether a version prefix means this kernel, by its package version or its release.
#[must_use]
pub(crate) fn prefix_fits(prefix: &str, version: &Version, release: &str) -> bool {
    let fits = |whole: &str| {
        whole.strip_prefix(prefix).is_some_and(|rest| {
            // `7.1` must not take 7.10, but `7.3-rc` takes 7.3-rc7.
            !(rest.starts_with(|c: char| c.is_ascii_digit())
                && prefix.ends_with(|c: char| c.is_ascii_digit()))
        })
    };
    fits(version.as_str()) || fits(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_forms_are_read() {
        let read = |text: &str| text.parse::<Spec>().unwrap();
        assert_eq!(read("newest"), Spec::Newest);
        assert_eq!(read("host"), Spec::Host);
        assert_eq!(read("7.2"), Spec::Version("7.2".into()));
        assert_eq!(read("7"), Spec::Version("7".into()));
        assert_eq!(read("7.3~rc7"), Spec::Version("7.3~rc7".into()));
        assert_eq!(
            read("suite:trixie-backports"),
            Spec::Suite("trixie-backports".into())
        );
        assert_eq!(read("./vmlinuz"), Spec::Image("./vmlinuz".into()));
    }

    #[test]
    fn other_forms_are_refused_with_the_right_ones() {
        for text in ["", "latest", "suite:", "suite:A b", "7.2;rm"] {
            let message = text.parse::<Spec>().unwrap_err().to_string();
            assert!(message.contains("newest"), "{text}: {message}");
        }
    }

    #[test]
    fn display_reads_back() {
        for text in ["newest", "host", "6.12", "suite:sid", "/boot/vmlinuz"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn prefixes_end_at_a_number() {
        let fits = |prefix, version: &str| prefix_fits(prefix, &Version::new(version), "x");
        assert!(fits("7.1", "7.1.13-1"));
        assert!(fits("7", "7.1.13-1"));
        assert!(!fits("7.1", "7.10.2-1"));
        assert!(fits("7.3~rc", "7.3~rc7-1~exp1"));
        assert!(prefix_fits(
            "6.1.0-4",
            &Version::new("6.1.153-1"),
            "6.1.0-4-cloud-amd64"
        ));
        assert!(!prefix_fits(
            "6.1.0-4",
            &Version::new("6.1.153-1"),
            "6.1.0-40-cloud-amd64"
        ));
    }
}
