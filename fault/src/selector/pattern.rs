//! What the data of a source request looks like.

use std::fmt;
use std::str::FromStr;

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::error::ValueError;
use crate::length::Bytes;
use crate::notation::in_words;

/// The most bytes of a pattern.
const MAX_BYTES: usize = 64;

const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What the data of a source request must look like. In words and JSON `hex:deadbeef@0`,
/// `contains:deadbeef`, `crc32c:xxxxxxxx`, `zero`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataTest {
    /// These bytes stand at this offset.
    Hex {
        /// The bytes, 1 to 64.
        bytes: Box<[u8]>,
        /// Where, in bytes from the start of the request.
        at: u64,
    },
    /// These bytes, 1 to 64, stand anywhere.
    Contains(Box<[u8]>),
    /// The whole has this CRC-32C.
    Crc32c(u32),
    /// Every byte is 0.
    Zero,
}

in_words!(DataTest => "data: \"hex:HEX@OFFSET\", \"contains:HEX\", \"crc32c:XXXXXXXX\" or \"zero\"");

const EXPECTED: &str = "hex:HEX@OFFSET, contains:HEX, crc32c:XXXXXXXX or zero";

impl DataTest {
    /// Whether this data is meant.
    #[must_use]
    pub fn holds(&self, data: &[u8]) -> bool {
        match self {
            Self::Hex { bytes, at } => usize::try_from(*at)
                .ok()
                .and_then(|at| data.get(at..))
                .is_some_and(|rest| rest.starts_with(bytes)),
            Self::Contains(bytes) => data.windows(bytes.len().max(1)).any(|at| at == &**bytes),
            Self::Crc32c(sum) => CRC32C.checksum(data) == *sum,
            Self::Zero => data.iter().all(|byte| *byte == 0),
        }
    }
}

impl fmt::Display for DataTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        match self {
            Self::Hex { bytes, at } => {
                f.write_str("hex:")?;
                hex(f, bytes)?;
                write!(f, "@{}", Bytes(*at))
            }
            Self::Contains(bytes) => {
                f.write_str("contains:")?;
                hex(f, bytes)
            }
            Self::Crc32c(sum) => write!(f, "crc32c:{sum:08x}"),
            Self::Zero => f.write_str("zero"),
        }
    }
}

impl FromStr for DataTest {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "zero" => Ok(Self::Zero),
            Some(("contains", hex)) => {
                let bytes = parse_hex(hex).map_err(|e| e.shifted(9))?;
                Ok(Self::Contains(bytes))
            }
            Some(("hex", rest)) => {
                let (hex, at) = rest.split_once('@').unwrap_or((rest, "0"));
                let bytes = parse_hex(hex).map_err(|e| e.shifted(4))?;
                let place = 5 + hex.len();
                let Bytes(at) = at.parse().map_err(|e: ValueError| e.shifted(place))?;
                Ok(Self::Hex { bytes, at })
            }
            Some(("crc32c", hex)) => {
                let digits = hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
                let sum = u32::from_str_radix(hex, 16).ok().filter(|_| digits);
                let expected = "eight hexadecimal digits";
                sum.map(Self::Crc32c)
                    .ok_or_else(|| ValueError::new(7, hex, expected))
            }
            _ => Err(ValueError::new(0, text, EXPECTED)),
        }
    }
}

fn parse_hex(text: &str) -> Result<Box<[u8]>, ValueError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let even = text.len().is_multiple_of(2) && (1..=MAX_BYTES).contains(&(text.len() / 2));
    if !digits || !even {
        let expected = format!("1 to {MAX_BYTES} bytes, each two hexadecimal digits");
        return Err(ValueError::new(0, text, expected));
    }
    let pairs = (0..text.len()).step_by(2);
    Ok(pairs
        .filter_map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_told_by_its_pattern() {
        let data = *b"123456789";
        for (text, holds) in [
            ("crc32c:e3069283", true),
            ("crc32c:e3069284", false),
            ("hex:3132@0", true),
            ("hex:39@8", true),
            ("hex:3939@8", false),
            ("hex:31@1T", false),
            ("contains:343536", true),
            ("contains:3436", false),
            ("zero", false),
        ] {
            let test: DataTest = text.parse().unwrap();
            assert_eq!(test.holds(&data), holds, "{text}");
            assert_eq!(test.to_string(), text);
        }
        assert!(DataTest::Zero.holds(&[0; 512]));
    }

    #[test]
    fn what_is_no_pattern_is_refused_where_it_goes_wrong() {
        for (text, at) in [
            ("", 0),
            ("hex:", 4),
            ("hex:abc", 4),
            ("hex:zz@0", 4),
            ("hex:ab@x", 7),
            ("crc32c:12", 7),
            ("contains:é", 9),
            ("md5:00", 0),
        ] {
            assert_eq!(text.parse::<DataTest>().unwrap_err().at, at, "{text}");
        }
    }
}
