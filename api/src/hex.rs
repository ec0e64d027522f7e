//! Bytes in hexadecimal.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Bytes, written `deadbeef`. Blanks between them are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^([0-9A-Fa-f]{2} *)*$", example = "deadbeef")]
pub struct Hex(pub Vec<u8>);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        f.write_str(&text)
    }
}

impl FromStr for Hex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(text.len() / 2);
        let mut half = None;
        for (column, c) in (1..).zip(text.chars()) {
            if c == ' ' && half.is_none() {
                continue;
            }
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let digit = digit.ok_or_else(|| {
                format!(
                    "column {column}: found `{c}`, expected two hexadecimal digits for each byte"
                )
            })?;
            match half.take() {
                None => half = Some(digit),
                Some(high) => bytes.push(high << 4 | digit),
            }
        }
        match half {
            None => Ok(Self(bytes)),
            Some(_) => {
                Err("found half a byte at the end, expected two hexadecimal digits".to_owned())
            }
        }
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_written() {
        let hex: Hex = "DE ad beef 00".parse().unwrap();
        assert_eq!(hex.0, [0xde, 0xad, 0xbe, 0xef, 0]);
        assert_eq!(serde_json::to_string(&hex).unwrap(), "\"deadbeef00\"");
        for (bad, must_say) in [
            ("0", "half a byte"),
            ("0g", "column 2"),
            ("d e", "column 2"),
            ("é", "column 1"),
        ] {
            let error = bad.parse::<Hex>().unwrap_err();
            assert!(error.contains(must_say), "{bad}: {error}");
        }
    }
}
