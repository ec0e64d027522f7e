//! A row a cell: the medians of its runs, and what must be known to trust them.

use serde::Serialize;

use super::number::{percent, si, three, time};
use crate::record::{Cell, CellResult, Percentiles, Record};
use crate::statistics::{number, sample};

/// A cell in one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The device in a few words.
    pub device: String,
    /// The job, and what was done to the device meanwhile.
    pub job: String,
    /// How many runs it has.
    pub runs: usize,
    /// Requests a second.
    pub iops: f64,
    /// The coefficient of variation of the runs' requests a second.
    pub variation: Option<f64>,
    /// Bytes a second.
    pub bandwidth_bytes_per_s: f64,
    /// Percentiles of all runs' requests together, in ns.
    pub percentiles_ns: Percentiles,
    /// Pins that the client's request took.
    pub pins_per_io: f64,
    /// Pins that the kernel's rule gives it.
    pub pins_rule_per_io: Option<u64>,
    /// Pins not given back, of all runs.
    pub pins_outstanding: i64,
    /// CPU time of client and daemon for a request, in ns.
    pub cpu_ns_per_io: f64,
    /// Times that a thread of client or daemon was switched away from, for a request.
    pub switches_per_io: f64,
    /// Intervals with less than a tenth of the median, of all runs.
    pub stalls: u64,
    /// Runs that were steady for half of their time or more.
    pub steady_runs: usize,
    /// Requests that failed or came back wrong, of all runs.
    pub errors: u64,
}

/// The rows of a record, those of a device together, in the order in which devices first appear.
#[must_use]
pub fn of(record: &Record) -> Vec<Row> {
    let measured = record.cells.iter().filter(|cell| !cell.runs.is_empty());
    let mut rows: Vec<Row> = measured.map(row).collect();
    let mut devices: Vec<String> = Vec::new();
    for row in &rows {
        if !devices.contains(&row.device) {
            devices.push(row.device.clone());
        }
    }
    rows.sort_by_key(|row| devices.iter().position(|device| *device == row.device));
    rows
}

/// The job, and what was done to the device meanwhile.
pub(super) fn job(cell: &Cell) -> String {
    match cell.faults.as_slice() {
        [] => cell.job.clone(),
        faults => format!("{} with {}", cell.job, faults.join(", ")),
    }
}

fn row(cell: &CellResult) -> Row {
    let median = |value: fn(&crate::record::RunResult) -> f64| cell.median(value).unwrap_or(0.0);
    let runs = || cell.runs.iter();
    let steadiness = || runs().filter_map(|run| run.steadiness);
    Row {
        device: cell.cell.device(),
        job: job(&cell.cell),
        runs: cell.runs.len(),
        iops: median(|run| run.job.iops),
        variation: sample::variation(&cell.values(|run| run.job.iops)),
        bandwidth_bytes_per_s: median(|run| run.job.bandwidth_bytes_per_s),
        percentiles_ns: Percentiles::of(&cell.histogram()),
        pins_per_io: median(|run| run.job.pins_acquired_per_io),
        pins_rule_per_io: cell.pins_rule_per_io,
        pins_outstanding: runs().map(|run| run.job.pins_outstanding).sum(),
        cpu_ns_per_io: median(|run| run.job.cpu_ns_per_io),
        switches_per_io: median(|run| {
            run.cost.client_switches_per_io + run.cost.daemon_switches_per_io.unwrap_or(0.0)
        }),
        stalls: steadiness().map(|steady| steady.stalls).sum(),
        steady_runs: steadiness()
            .filter(|steady| steady.steady_from_ns.is_some())
            .count(),
        errors: runs()
            .map(|run| run.job.errors + run.job.verify_errors)
            .sum(),
    }
}

/// Heads of the columns that [`Row::cells`] fills.
pub const HEADS: [&str; 11] = [
    "job", "IOPS", "±", "MB/s", "p50", "p99", "p99.99", "pins", "CPU", "steady", "errors",
];

impl Row {
    /// The row as texts, without its device.
    #[must_use]
    pub fn cells(&self) -> [String; 11] {
        let ns = |ns: u64| time(number(ns));
        [
            self.job.clone(),
            si(self.iops),
            self.variation.map_or_else(|| "-".to_owned(), percent),
            three(self.bandwidth_bytes_per_s / 1e6),
            ns(self.percentiles_ns.p50),
            ns(self.percentiles_ns.p99),
            ns(self.percentiles_ns.p99_99),
            three(self.pins_per_io),
            time(self.cpu_ns_per_io),
            format!("{}/{}", self.steady_runs, self.runs),
            self.errors.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn a_row_is_the_median_of_its_runs() {
        let rows = of(&record());
        assert_eq!(rows.len(), 2);
        assert!((rows[0].iops - 10_000.0).abs() < 1e-9);
        assert!((rows[0].variation.unwrap() - 0.01).abs() < 1e-9);
        assert_eq!((rows[0].runs, rows[0].steady_runs), (3, 3));
        assert_eq!(rows[0].cells()[1], "10k");
        assert!((rows[0].switches_per_io - 1.9).abs() < 1e-9);
    }
}
