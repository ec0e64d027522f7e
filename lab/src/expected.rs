//! What is known to be observed, per kernel version, and the comparison with what was.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// What an experiment observed, by name.
pub type Observations = BTreeMap<String, Value>;

/// The version of a kernel, as in 7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// The version of a release such as `7.3.4-cloud-amd64`.
    #[must_use]
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self(next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// This number.
    Count(i64),
    /// This number or more.
    AtLeast(i64),
    /// This truth.
    Bool(bool),
    /// This text.
    Text(&'static str),
}

impl Is {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Count(count) => value.as_i64() == Some(count),
            Self::AtLeast(least) => value.as_i64().is_some_and(|count| count >= least),
            Self::Bool(truth) => value.as_bool() == Some(truth),
            Self::Text(text) => value.as_str() == Some(text),
        }
    }
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

/// One known observation, on kernels of a range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub key: &'static str,
    /// What it is.
    pub is: Is,
    /// The first version that it is known of.
    pub since: Version,
    /// The first version that it is no longer true of, if there is one.
    pub before: Option<Version>,
}

impl Expected {
    /// On every kernel.
    pub(crate) const fn new(key: &'static str, is: Is) -> Self {
        Self {
            key,
            is,
            since: Version(0, 0),
            before: None,
        }
    }

    /// A number, on every kernel.
    pub(crate) const fn count(key: &'static str, count: i64) -> Self {
        Self::new(key, Is::Count(count))
    }

    /// A truth, on every kernel.
    pub(crate) const fn bool(key: &'static str, truth: bool) -> Self {
        Self::new(key, Is::Bool(truth))
    }

    /// From this version on only.
    pub(crate) const fn since(self, major: u32, minor: u32) -> Self {
        Self {
            since: Version(major, minor),
            ..self
        }
    }

    /// Before this version only.
    pub(crate) const fn before(self, major: u32, minor: u32) -> Self {
        Self {
            before: Some(Version(major, minor)),
            ..self
        }
    }

    fn is_about(&self, kernel: Version) -> bool {
        self.since <= kernel && self.before.is_none_or(|before| kernel < before)
    }
}

/// Where observations differ from what is known of this kernel version, in words; none where they do not.
pub(crate) fn difference(
    expected: &[Expected],
    kernel: Version,
    observed: &Observations,
) -> Option<String> {
    let differing: Vec<String> = expected
        .iter()
        .filter(|expected| expected.is_about(kernel))
        .filter_map(|expected| match observed.get(expected.key) {
            Some(value) if expected.is.fits(value) => None,
            Some(value) => Some(format!(
                "{} is {value}, was {} so far",
                expected.key, expected.is
            )),
            None => Some(format!("{} was not observed", expected.key)),
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KNOWN: [Expected; 3] = [
        Expected::count("pins", 0).before(6, 5),
        Expected::count("pins", 1).since(6, 5),
        Expected::bool("data", true),
    ];

    fn observed(pins: i64) -> Observations {
        [("pins", json!(pins)), ("data", json!(true))]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }

    #[test]
    fn each_kernel_is_judged_by_its_own_version() {
        for (kernel, pins, same) in [
            (Version(6, 1), 0, true),
            (Version(6, 1), 1, false),
            (Version(6, 5), 1, true),
            (Version(7, 3), 0, false),
            (Version(10, 0), 1, true),
        ] {
            let found = difference(&KNOWN, kernel, &observed(pins));
            assert_eq!(found.is_none(), same, "{kernel}: {found:?}");
        }
    }

    #[test]
    fn what_is_missing_differs_too() {
        let found = difference(&KNOWN, Version(7, 3), &Observations::new()).unwrap();
        assert_eq!(found, "pins was not observed; data was not observed");
        let found = difference(&KNOWN, Version(7, 3), &observed(2)).unwrap();
        assert_eq!(found, "pins is 2, was 1 so far");
    }

    #[test]
    fn versions_are_read_from_releases() {
        for (release, version) in [
            ("7.3.4+deb14-cloud-amd64", Some(Version(7, 3))),
            ("6.12.107", Some(Version(6, 12))),
            ("7.3-rc1", Some(Version(7, 3))),
            ("next", None),
        ] {
            assert_eq!(Version::of_release(release), version, "{release}");
        }
    }

    #[test]
    fn values_are_compared_by_their_kind() {
        assert!(Is::AtLeast(2).fits(&json!(3)) && !Is::AtLeast(2).fits(&json!(1)));
        assert!(Is::Text("a").fits(&json!("a")) && !Is::Text("a").fits(&json!(true)));
        assert!(!Is::Count(1).fits(&json!(true)));
    }
}
