//! Package versions, ordered as dpkg orders them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A package version. The order is that of deb-version(7), for versions without an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Takes a version as the package index writes it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The version as the package index writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (self.0.as_bytes(), other.0.as_bytes());
        while !a.is_empty() || !b.is_empty() {
            let order = text_part(&mut a, &mut b).then_with(|| number_part(&mut a, &mut b));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

/// Compares and consumes the leading non-digits: `~` sorts before the end, letters before the rest.
fn text_part(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let weight = |bytes: &[u8]| match bytes.first() {
        Some(b'~') => -1,
        Some(c) if c.is_ascii_digit() => 0,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    loop {
        let (left, right) = (weight(a), weight(b));
        if left != right {
            return left.cmp(&right);
        }
        if left == 0 {
            return Ordering::Equal;
        }
        *a = &a[1..];
        *b = &b[1..];
    }
}

/// Compares and consumes the leading digits as a number.
fn number_part(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let take = |bytes: &mut &[u8]| {
        let end = bytes
            .iter()
            .position(|c| !c.is_ascii_digit())
            .unwrap_or(bytes.len());
        let (digits, rest) = bytes.split_at(end);
        *bytes = rest;
        let zeros = digits.iter().take_while(|c| **c == b'0').count();
        digits[zeros..].to_vec()
    };
    let (left, right) = (take(a), take(b));
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_dpkg() {
        for (low, high) in [
            ("6.12.95-1~bpo12+1", "6.12.107-1"),
            ("7.3~rc7-1~exp1", "7.3.4-1"),
            ("7.3~rc7", "7.3"),
            ("6.9", "6.12"),
            ("7.2.9-1~bpo13+1", "7.2.12-1~bpo13+1"),
            ("7.2.12-1~bpo13+1", "7.2.12-1"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+b"),
        ] {
            assert!(Version::new(low) < Version::new(high), "{low} < {high}");
            assert!(Version::new(high) > Version::new(low), "{high} > {low}");
        }
        assert_eq!(
            Version::new("1.01").cmp(&Version::new("1.1")),
            Ordering::Equal
        );
    }
}
