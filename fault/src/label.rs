//! Names that users give to states and marks.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::draw::fnv1a;
use crate::error::ValueError;

const EXPECTED: &str =
    "a name: 1 to 64 letters, digits, `.`, `_` or `-`, the first one a letter or digit";

/// The name of a state or of a mark: 1 to 64 letters, digits, `.`, `_` or `-`, the first one a letter
/// or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A string: a bare number, which other words take, is no name.
impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Whether this may be the name of a rule, a state or a mark.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

impl Label {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for it where only a number fits; never 0.
    pub(crate) fn id(&self) -> u64 {
        fnv1a(self.0.as_bytes()).max(1)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match is_name(text) {
            true => Ok(Self(text.into())),
            false => Err(ValueError::new(0, text, EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "0", "pre-cut", "A.b_c-1"] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for bad in ["", "-a", "a b", "é", "a/b", &long] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert_eq!(
            serde_json::from_str::<Label>("\"x\"").unwrap().to_string(),
            "x"
        );
        for bad in ["\"x y\"", "0"] {
            assert!(serde_json::from_str::<Label>(bad).is_err(), "{bad}");
        }
    }
}
