//! Spans of time in words: `2ms`, `60s`.

use crate::error::ValueError;

/// Units, largest first, with their length in nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const EXPECTED: &str = "a whole number and a unit, one of ns, us, ms, s, m, h, such as 2ms";

/// Reads a span of time such as `2ms` into nanoseconds.
///
/// # Errors
/// The text is not a whole number with a unit, or it does not fit into 64 bits of nanoseconds.
pub fn parse_ns(text: &str) -> Result<u64, ValueError> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| ValueError::new(0, text, EXPECTED))?;
    let (_, length_ns) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| ValueError::new(digits, unit, EXPECTED))?;
    number
        .checked_mul(length_ns)
        .ok_or_else(|| ValueError::new(0, text, "at most 2^64 - 1 ns, about 584 years"))
}

/// Writes nanoseconds in the largest unit that needs no fraction.
#[must_use]
pub fn format_ns(ns: u64) -> String {
    let unit = UNITS
        .into_iter()
        .find(|(_, length_ns)| ns != 0 && ns.is_multiple_of(*length_ns));
    let (name, length_ns) = unit.unwrap_or(("ns", 1));
    format!("{}{name}", ns / length_ns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_read_and_the_largest_is_written() {
        assert_eq!(parse_ns("2ms"), Ok(2_000_000));
        assert_eq!(parse_ns("60s"), Ok(60_000_000_000));
        assert_eq!(format_ns(60_000_000_000), "1m");
        assert_eq!(format_ns(1_500_000), "1500us");
        assert_eq!(format_ns(0), "0ns");
    }

    #[test]
    fn what_is_no_span_is_refused_where_it_goes_wrong() {
        for (text, at) in [
            ("", 0),
            ("ms", 0),
            ("2", 1),
            ("2min", 1),
            ("1.5s", 1),
            ("-1s", 0),
        ] {
            assert_eq!(parse_ns(text).unwrap_err().at, at, "{text}");
        }
        assert!(parse_ns("18446744073709551615h").is_err());
        assert!(parse_ns("99999999999999999999s").is_err());
    }

    proptest! {
        #[test]
        fn every_span_survives_its_text(ns: u64) {
            prop_assert_eq!(parse_ns(&format_ns(ns)), Ok(ns));
        }
    }
}
