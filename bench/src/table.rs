//! Results as rows for people.
//!
//! Only texts: how they are drawn is the program's affair. Drawn with one space between columns a
//! table is at most [`MAX_WIDTH`] wide.

use crate::JobResult;

/// The width that a table keeps to, in characters.
pub const MAX_WIDTH: usize = 100;

/// A table of one device's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Device and data path.
    pub title: String,
    /// Column heads; the first column is text, the others are numbers to align right.
    pub columns: [&'static str; COLUMNS],
    /// One row a job.
    pub rows: Vec<[String; COLUMNS]>,
}

const COLUMNS: usize = 11;
const HEADS: [&str; COLUMNS] = [
    "job",
    "IOPS",
    "MB/s",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "pins/IO",
    "+daemon",
    "left",
    "CPU µs",
    "errors",
];

/// One table a device, in the order in which devices first appear. The errors are those of verify
/// and of I/O together.
#[must_use]
pub fn tables(results: &[JobResult]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for result in results {
        let title = format!("{} ({})", result.device, result.data_path);
        let row = row(result);
        match tables.iter_mut().find(|table| table.title == title) {
            Some(table) => table.rows.push(row),
            None => tables.push(Table {
                title,
                columns: HEADS,
                rows: vec![row],
            }),
        }
    }
    tables
}

fn row(result: &JobResult) -> [String; COLUMNS] {
    let latency = &result.latency_ns;
    [
        result.name.clone(),
        short(result.iops),
        short(result.bandwidth_bytes_per_s / 1e6),
        microseconds(latency.p50),
        microseconds(latency.p99),
        microseconds(latency.p99_9),
        pins(result.pins_acquired_per_io),
        pins(result.daemon_pins_per_io),
        result.pins_outstanding.to_string(),
        short(result.cpu_ns_per_io / 1e3),
        (result.verify_errors + result.errors).to_string(),
    ]
}

/// Three digits or more that mean something, at most seven characters.
fn short(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size < 9_999_999.5 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a latency is shown with three digits"
)]
fn microseconds(ns: u64) -> String {
    short(ns as f64 / 1e3)
}

/// Pins are nearly whole numbers, and how nearly is the point.
fn pins(per_io: f64) -> String {
    // Avoids "-0.00" for what rounds to nothing.
    format!("{:.2}", per_io + 0.0).replace("-0.00", "0.00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, LatencyNs, catalogue};

    fn result(name: &str, device: &str) -> JobResult {
        JobResult {
            name: name.to_owned(),
            device: device.to_owned(),
            data_path: "copy".to_owned(),
            direction: Direction::Destination,
            block_size_bytes: 4096,
            depth: 1,
            ios: 10,
            iops: 9_999_999.0,
            bandwidth_bytes_per_s: 99_999e6,
            latency_ns: LatencyNs {
                p50: 999_999,
                p99: 99_999_999,
                p99_9: 9_999_999_000,
            },
            pins_acquired_per_io: 64.0,
            pins_outstanding: 0,
            daemon_pins_per_io: 64.0,
            pins_once: 0,
            cpu_ns_per_io: 9_999_999.0,
            verify_errors: 0,
            errors: 0,
            fio_version: "fio-3.33".to_owned(),
        }
    }

    fn width(table: &Table) -> usize {
        let cells = |column: usize| {
            let rows = table
                .rows
                .iter()
                .map(move |row| row[column].chars().count());
            rows.chain([table.columns[column].chars().count()]).max()
        };
        (0..COLUMNS).filter_map(cells).sum::<usize>() + COLUMNS - 1
    }

    #[test]
    fn large_numbers_and_every_name_fit() {
        let results: Vec<_> = catalogue::names()
            .map(|name| result(name, "/dev/ublkb0"))
            .collect();
        let tables = tables(&results);
        assert_eq!(tables.len(), 1);
        assert!(width(&tables[0]) <= MAX_WIDTH, "{}", width(&tables[0]));
    }

    #[test]
    fn devices_are_told_apart_in_order() {
        let results = [result("a", "1"), result("b", "0"), result("c", "1")];
        let tables = tables(&results);
        let seen: Vec<_> = tables
            .iter()
            .map(|table| (table.title.as_str(), table.rows.len()))
            .collect();
        assert_eq!(seen, [("1 (copy)", 2), ("0 (copy)", 1)]);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0.00"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (341_288.4, "341288"),
            (1.5e8, "1.5e8"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(pins(-0.001), "0.00");
        assert_eq!(pins(1.003), "1.00");
    }
}
