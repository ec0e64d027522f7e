//! How much something must be: `3`, `">=1"`, `"2..5"`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

const EXPECTED: &str =
    "a number, or a comparison such as \">=1\", \"<10\" or \"2..5\" (5 not included)";

/// What a count must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    least: i128,
    most: i128,
}

impl Amount {
    /// Whether a count is so.
    pub(super) fn is_met(self, count: impl Into<i128>) -> bool {
        (self.least..=self.most).contains(&count.into())
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.trim().parse::<i64>().map(i128::from);
            number.map_err(|_| format!("found `{text}`, expected {EXPECTED}"))
        };
        let (least, most) = (i128::MIN, i128::MAX);
        let text = text.trim();
        let (least, most) = if let Some((from, to)) = text.split_once("..") {
            (number(from)?, number(to)? - 1)
        } else if let Some(rest) = text.strip_prefix(">=") {
            (number(rest)?, most)
        } else if let Some(rest) = text.strip_prefix("<=") {
            (least, number(rest)?)
        } else if let Some(rest) = text.strip_prefix('>') {
            (number(rest)? + 1, most)
        } else if let Some(rest) = text.strip_prefix('<') {
            (least, number(rest)? - 1)
        } else {
            (number(text)?, number(text)?)
        };
        match least <= most {
            true => Ok(Self { least, most }),
            false => Err(format!(
                "found `{text}`, expected a range with a number in it"
            )),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, i128::MAX) => write!(f, ">={least}"),
            (i128::MIN, most) => write!(f, "<={most}"),
            (least, most) => write!(f, "{least}..{}", most + 1),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                let number = i128::from(number);
                Ok(Amount {
                    least: number,
                    most: number,
                })
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
                match i64::try_from(number) {
                    Ok(number) => self.visit_i64(number),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_judged() {
        for (text, met, missed) in [
            ("3", 3, 4),
            (">=1", 1, 0),
            (">1", 2, 1),
            ("<=-5", -5, -4),
            ("<10", 9, 10),
            ("2..5", 4, 5),
        ] {
            let amount: Amount = text.parse().unwrap();
            assert!(
                amount.is_met(met) && !amount.is_met(missed),
                "{text}: {amount}"
            );
            assert_eq!(amount.to_string().parse(), Ok(amount));
        }
        for bad in ["", "x", ">=", "5..5", "1..x", "==1"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_needs_no_quotes() {
        let read = |json| serde_json::from_str::<Amount>(json);
        assert_eq!(read("-61").unwrap(), "-61".parse().unwrap());
        assert_eq!(read("\">=2\"").unwrap(), ">=2".parse().unwrap());
        assert!(
            read("1.5")
                .unwrap_err()
                .to_string()
                .contains("expected a number")
        );
    }
}
