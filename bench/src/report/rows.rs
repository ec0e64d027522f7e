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
    /// Instructions of the whole guest for a request, where they are counted.
    pub instructions_per_io: Option<f64>,
    /// Requests of all runs that have a latency.
    pub ios: u64,
    /// Intervals with less than a tenth of the median, of all runs.
    pub stalls: u64,
    /// The longest row of such intervals, in ns.
    pub longest_stall_ns: u64,
    /// What a run gained from its beginning to its end, as a part.
    pub drift: Option<f64>,
    /// Runs that were steady for half of their time or more.
    pub steady_runs: usize,
    /// Requests that failed or came back wrong, of all runs.
    pub errors: u64,
    /// Requests that rules failed, of all runs.
    pub failed_by_rules: u64,
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
    let known = |value: fn(&crate::record::RunResult) -> Option<f64>| {
        sample::median(&runs().filter_map(value).collect::<Vec<f64>>())
    };
    let histogram = cell.histogram();
    Row {
        device: cell.cell.device(),
        job: job(&cell.cell),
        runs: cell.runs.len(),
        iops: median(|run| run.job.iops),
        variation: sample::variation(&cell.values(|run| run.job.iops)),
        bandwidth_bytes_per_s: median(|run| run.job.bandwidth_bytes_per_s),
        percentiles_ns: Percentiles::of(&histogram),
        pins_per_io: median(|run| run.job.pins_acquired_per_io),
        pins_rule_per_io: cell.pins_rule_per_io,
        pins_outstanding: runs().map(|run| run.job.pins_outstanding).sum(),
        cpu_ns_per_io: median(|run| run.job.cpu_ns_per_io),
        switches_per_io: median(|run| {
            run.cost.client_switches_per_io + run.cost.daemon_switches_per_io.unwrap_or(0.0)
        }),
        instructions_per_io: known(|run| run.cost.guest_instructions_per_io),
        ios: histogram.total(),
        stalls: steadiness().map(|steady| steady.stalls).sum(),
        longest_stall_ns: steadiness()
            .map(|steady| steady.longest_stall_ns)
            .max()
            .unwrap_or(0),
        drift: known(|run| run.steadiness?.drift),
        steady_runs: steadiness()
            .filter(|steady| steady.steady_from_ns.is_some())
            .count(),
        errors: runs()
            .map(|run| run.job.errors + run.job.verify_errors)
            .sum(),
        failed_by_rules: runs()
            .filter_map(|run| run.split.as_ref())
            .map(|split| split.failed)
            .sum(),
    }
}

/// Requests that p99.99 needs: with fewer it is the slowest of them.
const ENOUGH_FOR_P99_99: u64 = 10_000;
/// What a run gains or loses over its time that is worth telling, as a part.
const DRIFT: f64 = 0.1;

/// How much room a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// A terminal or a document: what is seldom worth a column is in [`remarks`].
    Narrow,
    /// A page that scrolls.
    Wide,
}

/// A column of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// The text of a row.
    pub text: fn(&Row) -> String,
}

const fn column(head: &'static str, text: fn(&Row) -> String) -> Column {
    Column { head, text }
}

/// The columns of a table of these rows; the first is text, the others are numbers to align right.
#[must_use]
pub fn columns(rows: &[Row], room: Room) -> Vec<Column> {
    let counted = rows.iter().any(|row| row.instructions_per_io.is_some());
    let wide = room == Room::Wide;
    let mut columns = vec![
        column("job", |row| row.job.clone()),
        column("IOPS", |row| si(row.iops)),
        column("±", |row| row.variation.map_or_else(none, percent)),
        column("MB/s", |row| three(row.bandwidth_bytes_per_s / 1e6)),
        column("p50", |row| time(number(row.percentiles_ns.p50))),
        column("p99", |row| time(number(row.percentiles_ns.p99))),
        column("p99.99", |row| match row.ios {
            ENOUGH_FOR_P99_99.. => time(number(row.percentiles_ns.p99_99)),
            _ => none(),
        }),
        column("pins", |row| three(row.pins_per_io)),
    ];
    // Where instructions are counted a time is a worse count of them.
    if wide || !counted {
        columns.push(column("CPU", |row| time(row.cpu_ns_per_io)));
    }
    if counted {
        columns.push(column("instr", |row| {
            row.instructions_per_io.map_or_else(none, si)
        }));
    }
    if wide {
        columns.extend([
            column("switches", |row| three(row.switches_per_io)),
            column("stalls", |row| row.stalls.to_string()),
            column("drift", |row| row.drift.map_or_else(none, percent)),
        ]);
    }
    columns.extend([
        column("steady", |row| format!("{}/{}", row.steady_runs, row.runs)),
        column("errors", |row| row.errors.to_string()),
    ]);
    columns
}

fn none() -> String {
    "-".to_owned()
}

/// What a narrow table has no column for: stalls, and runs that got faster or slower.
#[must_use]
pub fn remarks(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| {
        let stalls = (row.stalls > 0).then(|| {
            let longest = time(number(row.longest_stall_ns));
            let s = if row.stalls == 1 { "" } else { "s" };
            format!(
                "{} stalled interval{s}, {longest} at the longest",
                row.stalls
            )
        });
        let drift = row.drift.filter(|drift| drift.abs() > DRIFT);
        let drift = drift.map(|drift| format!("{} from beginning to end", signed(drift)));
        let all: Vec<String> = stalls.into_iter().chain(drift).collect();
        (!all.is_empty()).then(|| format!("{}, {}: {}", row.device, row.job, all.join("; ")))
    };
    rows.iter().filter_map(of).collect()
}

fn signed(part: f64) -> String {
    let sign = if part > 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(part))
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
        let iops = columns(&rows, Room::Narrow)[1];
        assert_eq!(
            (iops.head, (iops.text)(&rows[0])),
            ("IOPS", "10k".to_owned())
        );
        assert!((rows[0].switches_per_io - 1.9).abs() < 1e-9);
    }

    fn heads(rows: &[Row], room: Room) -> Vec<&'static str> {
        columns(rows, room)
            .iter()
            .map(|column| column.head)
            .collect()
    }

    fn cell(row: &Row, head: &str) -> String {
        let columns = columns(std::slice::from_ref(row), Room::Wide);
        let column = columns.iter().find(|column| column.head == head).unwrap();
        (column.text)(row)
    }

    #[test]
    fn instructions_have_a_column_where_they_are_counted() {
        let mut record = record();
        assert!(!heads(&of(&record), Room::Wide).contains(&"instr"));
        for (run, count) in record.cells[0]
            .runs
            .iter_mut()
            .zip([20_000.0, 20_100.0, 30_000.0])
        {
            run.cost.guest_instructions_per_io = Some(count);
        }
        let rows = of(&record);
        let columns = columns(&rows, Room::Narrow);
        let instr = columns
            .iter()
            .find(|column| column.head == "instr")
            .unwrap();
        assert_eq!(
            [&rows[0], &rows[1]].map(|row| (instr.text)(row)),
            ["20.1k", "-"]
        );
        let narrow = heads(&rows, Room::Narrow);
        assert!(
            narrow.contains(&"instr") && !narrow.contains(&"CPU"),
            "{narrow:?}"
        );
        assert!(heads(&rows, Room::Wide).contains(&"CPU"));
    }

    #[test]
    fn a_percentile_needs_requests() {
        let mut row = of(&record()).remove(0);
        assert_eq!((row.ios, cell(&row, "p99.99")), (3000, "-".to_owned()));
        row.ios = ENOUGH_FOR_P99_99;
        assert_eq!(cell(&row, "p99.99"), "1 ms");
    }

    #[test]
    fn what_was_not_steady_is_told() {
        let mut rows = of(&record());
        assert_eq!(remarks(&rows), Vec::<String>::new());
        (rows[0].stalls, rows[0].longest_stall_ns) = (2, 200_000_000);
        rows[1].drift = Some(-0.25);
        let lines = remarks(&rows);
        assert!(
            lines[0].ends_with(": 2 stalled intervals, 200 ms at the longest"),
            "{lines:?}"
        );
        assert!(
            lines[1].ends_with(": -25 % from beginning to end"),
            "{lines:?}"
        );
    }
}
