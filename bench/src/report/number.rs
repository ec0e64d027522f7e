//! Numbers as a reader wants them: three digits that mean something, and a unit.

/// A count or a rate: 950, 12.3k, 4.56M.
pub(super) fn si(value: f64) -> String {
    for (unit, word) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        // What rounds up to the next unit is shown in it.
        if value.abs() >= unit * 0.9995 {
            return three(value / unit) + word;
        }
    }
    three(value)
}

/// A time in ns, with its unit.
pub(super) fn time(ns: f64) -> String {
    for (unit, word) in [(1e9, " s"), (1e6, " ms"), (1e3, " µs")] {
        if ns.abs() >= unit * 0.9995 {
            return three(ns / unit) + word;
        }
    }
    three(ns) + " ns"
}

/// Three digits that mean something, without zeros at the end.
pub(super) fn three(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 99.95 {
        return format!("{value:.0}");
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

/// A part of 1 in per cent.
pub(super) fn percent(part: f64) -> String {
    three(part * 100.0) + " %"
}

/// Seconds since 1970 as a date and time (UTC).
pub(super) fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil from days (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms), for days from 1970.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (12.34, "12.3"),
            (999.4, "999"),
            (999.9, "1k"),
            (12_345.0, "12.3k"),
            (4_560_000.0, "4.56M"),
        ] {
            assert_eq!(si(value), text);
        }
        for (ns, text) in [
            (950.0, "950 ns"),
            (1500.0, "1.5 µs"),
            (50_000_000.0, "50 ms"),
            (2e9, "2 s"),
        ] {
            assert_eq!(time(ns), text);
        }
        assert_eq!(percent(0.1234), "12.3 %");
        assert_eq!(three(-0.001), "0");
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_658_853), "2026-11-26 02:07 UTC");
    }
}
