//! Numbers compared: `8`, `>=128`, `!=1`.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::length::Sectors;
use crate::notation::in_words;

/// How two numbers are to stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Different.
    NotEqual,
    /// Less.
    Less,
    /// Not more.
    AtMost,
    /// More.
    More,
    /// Not less.
    AtLeast,
}

/// The longer signs first, as the shorter are their beginnings.
const SIGNS: [(&str, Comparison); 7] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("=", Comparison::Equal),
];

impl Comparison {
    /// Whether `value` stands so to `than`.
    #[must_use]
    pub const fn holds(self, value: u64, than: u64) -> bool {
        match self {
            Self::Equal => value == than,
            Self::NotEqual => value != than,
            Self::Less => value < than,
            Self::AtMost => value <= than,
            Self::More => value > than,
            Self::AtLeast => value >= than,
        }
    }

    /// What stands before the number; nothing for equality.
    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    /// The comparison at the beginning of a text, and how long it is there.
    fn of(text: &str) -> (Self, usize) {
        let found = SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign));
        found.map_or((Self::Equal, 0), |(sign, how)| (how, sign.len()))
    }
}

/// A length of a request, compared. In words and JSON `8`, `4K`, `>=64K`, `<8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizeTest {
    /// How.
    pub how: Comparison,
    /// With so many sectors.
    pub sectors: Sectors,
}

/// A number, compared. In words and JSON `8`, `>=32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CountTest {
    /// How.
    pub how: Comparison,
    /// With this number.
    pub count: u64,
}

in_words!(
    SizeTest => "a length, compared: \"4K\", \">=64K\", \"<8\"",
    CountTest => "a number, compared: \"8\", \">=32\"",
);

impl SizeTest {
    /// Whether a request of so many sectors is meant.
    #[must_use]
    pub const fn holds(self, sectors: u32) -> bool {
        self.how.holds(sectors as u64, self.sectors.0)
    }
}

impl CountTest {
    /// Whether this number is meant.
    #[must_use]
    pub const fn holds(self, count: u64) -> bool {
        self.how.holds(count, self.count)
    }
}

impl fmt::Display for SizeTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.how.sign(), self.sectors)
    }
}

impl fmt::Display for CountTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.how.sign(), self.count)
    }
}

impl FromStr for SizeTest {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (how, at) = Comparison::of(text);
        let sectors = text[at..].parse().map_err(|e: ValueError| e.shifted(at))?;
        Ok(Self { how, sectors })
    }
}

impl FromStr for CountTest {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (how, at) = Comparison::of(text);
        let digits = text[at..].bytes().all(|byte| byte.is_ascii_digit());
        let count = text[at..].parse().ok().filter(|_| digits);
        let expected = "a whole number, or one after <, <=, >, >= or !=";
        let count = count.ok_or_else(|| ValueError::new(at, &text[at..], expected))?;
        Ok(Self { how, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_written_and_hold() {
        for (text, shown, yes, no) in [
            ("8", "8", 8, 7),
            ("=8", "8", 8, 9),
            ("4K", "8", 8, 9),
            (">=64K", ">=128", 128, 127),
            ("<8", "<8", 7, 8),
            ("<=8", "<=8", 8, 9),
            (">8", ">8", 9, 8),
            ("!=8", "!=8", 7, 8),
        ] {
            let test: SizeTest = text.parse().unwrap();
            assert_eq!(test.to_string(), shown);
            assert!(test.holds(yes) && !test.holds(no), "{text}");
        }
        for (text, at) in [("", 0), (">", 1), (">=x", 2), ("8-9", 0), ("~8", 0)] {
            assert_eq!(text.parse::<CountTest>().unwrap_err().at, at, "{text}");
        }
    }
}
