//! Ranges of epochs: the times between completed flushes.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::notation::in_words;

/// Epochs from one up to, not including, another. In words and JSON `3`, `3..7`, `3..`, `..7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epochs {
    from: u64,
    to: Option<u64>,
}

in_words!(Epochs => "epochs: \"3\", \"3..7\", \"3..\" or \"..7\"");

const EXPECTED: &str =
    "epochs, counted by completed flushes from 0: N, N..M (M not included), N.. or ..M";

impl Epochs {
    /// The epochs `from..to`, or all from `from` on; none if that is none.
    #[must_use]
    pub fn new(from: u64, to: Option<u64>) -> Option<Self> {
        to.is_none_or(|to| from < to).then_some(Self { from, to })
    }

    /// Whether this epoch is meant.
    #[must_use]
    pub fn contains(self, epoch: u64) -> bool {
        epoch >= self.from && self.to.is_none_or(|to| epoch < to)
    }
}

impl fmt::Display for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (from, Some(to)) if from.checked_add(1) == Some(to) => write!(f, "{from}"),
            (from, Some(to)) => write!(f, "{from}..{to}"),
            (from, None) => write!(f, "{from}.."),
        }
    }
}

impl FromStr for Epochs {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = |at: usize, word: &str| -> Result<u64, ValueError> {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let number = word.parse().ok().filter(|_| digits);
            number.ok_or_else(|| ValueError::new(at, word, EXPECTED))
        };
        let Some((from, to)) = text.split_once("..") else {
            let epoch = number(0, text)?;
            let to = epoch.checked_add(1);
            return Self::new(epoch, to).ok_or_else(|| ValueError::new(0, text, EXPECTED));
        };
        let at = from.len() + 2;
        let first = match from {
            "" if !to.is_empty() => 0,
            from => number(0, from)?,
        };
        let last = match to {
            "" => None,
            to => Some(number(at, to)?),
        };
        let none = || {
            ValueError::new(
                at,
                to,
                format!("an end after {first}, which it does not include"),
            )
        };
        Self::new(first, last).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_read_and_written() {
        for (text, shown, yes, no) in [
            ("3", "3", 3, 4),
            ("3..7", "3..7", 6, 7),
            ("3..", "3..", u64::MAX, 2),
            ("..7", "0..7", 0, 7),
        ] {
            let epochs: Epochs = text.parse().unwrap();
            assert_eq!(epochs.to_string(), shown);
            assert!(epochs.contains(yes) && !epochs.contains(no), "{text}");
        }
        for (text, at) in [
            ("", 0),
            ("..", 0),
            ("x", 0),
            ("3..3", 3),
            ("3..x", 3),
            ("+3", 0),
        ] {
            assert_eq!(text.parse::<Epochs>().unwrap_err().at, at, "{text}");
        }
    }
}
