//! A record as CSV, Markdown and JUnit.

use std::fmt::Write;

use super::number::date;
use super::rows::{self, Column, Room};
use super::shell::xml;
use crate::record::{CellResult, Record, RunResult};

/// A line a run, with a line of heads: what a spreadsheet reads (RFC 4180).
#[must_use]
pub fn csv(record: &Record) -> String {
    let mut text = "device,job,faults,round,iops,bandwidth_bytes_per_s,p50_ns,p90_ns,p99_ns,p99_9_ns,p99_99_ns,\
                    pins_per_io,pins_outstanding,client_cpu_ns_per_io,daemon_cpu_ns_per_io,ios,errors,verify_errors,\
                    client_switches_per_io,daemon_switches_per_io,guest_instructions_per_io,stalls,longest_stall_ns,\
                    drift\n"
        .to_owned();
    for cell in &record.cells {
        for run in &cell.runs {
            text.push_str(&csv_line(cell, run));
            text.push('\n');
        }
    }
    text
}

fn csv_line(cell: &CellResult, run: &RunResult) -> String {
    let (job, ns, cost) = (&run.job, &run.percentiles_ns, &run.cost);
    let known = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let steady = run.steadiness;
    let words = [
        quoted(&cell.cell.device()),
        quoted(&cell.cell.job),
        quoted(&cell.cell.faults.join(", ")),
        run.round.to_string(),
        job.iops.to_string(),
        job.bandwidth_bytes_per_s.to_string(),
        ns.p50.to_string(),
        ns.p90.to_string(),
        ns.p99.to_string(),
        ns.p99_9.to_string(),
        ns.p99_99.to_string(),
        job.pins_acquired_per_io.to_string(),
        job.pins_outstanding.to_string(),
        cost.client_cpu_ns_per_io.to_string(),
        known(cost.daemon_cpu_ns_per_io),
        job.ios.to_string(),
        job.errors.to_string(),
        job.verify_errors.to_string(),
        cost.client_switches_per_io.to_string(),
        known(cost.daemon_switches_per_io),
        known(cost.guest_instructions_per_io),
        steady.map(|it| it.stalls.to_string()).unwrap_or_default(),
        steady
            .map(|it| it.longest_stall_ns.to_string())
            .unwrap_or_default(),
        known(steady.and_then(|it| it.drift)),
    ];
    words.join(",")
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A table with its environment.
#[must_use]
pub fn markdown(record: &Record) -> String {
    let environment = &record.environment;
    let rows = rows::of(record);
    let columns = rows::columns(&rows, Room::Narrow);
    let line =
        |text: &dyn Fn(&Column) -> String| columns.iter().map(text).collect::<Vec<_>>().join(" | ");
    let mut text = format!(
        "`{}`, revision {}, kernel {}, {} CPUs ({}, {}), {}, {} rounds, {}\n\n| device | {} |\n|---|{}\n",
        record.plan.name,
        environment.revision,
        environment.kernel,
        environment.machine.cpus,
        environment.cpu_model,
        environment.machine.accel,
        environment.fio_version,
        record.plan.rounds,
        date(environment.began_s),
        line(&|column| column.head.to_owned()),
        "---|".repeat(columns.len()),
    );
    for row in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} |",
            row.device,
            line(&|column| (column.text)(row))
        );
    }
    for remark in rows::remarks(&rows) {
        let _ = writeln!(text, "\n{remark}.");
    }
    for missing in &record.missing {
        let _ = writeln!(
            text,
            "\nNot measured: {} ({}).",
            missing.what, missing.reason
        );
    }
    text
}

/// A test case a cell, failed if a run had errors, left pins or did nothing; what is missing is skipped.
#[must_use]
pub fn junit(record: &Record) -> String {
    let bad = |run: &&RunResult| !run.is_good();
    let failures = record
        .cells
        .iter()
        .filter(|cell| cell.runs.iter().any(|run| bad(&run)))
        .count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"bench {}\" tests=\"{}\" failures=\"{failures}\" \
         skipped=\"{}\">\n",
        xml(&record.plan.name),
        record.cells.len() + record.missing.len(),
        record.missing.len(),
    );
    for cell in &record.cells {
        let name = xml(&rows::job(&cell.cell));
        let class = xml(&cell.cell.device());
        let _ = write!(text, "  <testcase classname=\"{class}\" name=\"{name}\"");
        match cell.runs.iter().find(bad) {
            None => text.push_str("/>\n"),
            Some(run) => {
                let job = &run.job;
                let _ = writeln!(
                    text,
                    "><failure message=\"round {}: {} errors, {} verify errors, {} pins left, {:.0} IOPS\"/></testcase>",
                    run.round,
                    run.unexplained_errors(),
                    job.verify_errors,
                    job.pins_outstanding,
                    job.iops
                );
            }
        }
    }
    for missing in &record.missing {
        let (what, why) = (xml(&missing.what), xml(&missing.reason));
        let _ = writeln!(
            text,
            "  <testcase classname=\"missing\" name=\"{what}\"><skipped message=\"{why}\"/></testcase>"
        );
    }
    text + "</testsuite>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn every_form_has_every_cell() {
        let mut record = record();
        record.cells[0].cell.faults = vec!["slow: delay:1ms, \"x\"".to_owned()];
        record.cells[1].runs[0].job.errors = 2;
        let csv = csv(&record);
        assert_eq!(csv.lines().count(), 1 + 6);
        let heads = csv.lines().next().unwrap().matches(',').count();
        assert_eq!(csv.lines().nth(5).unwrap().matches(',').count(), heads);
        assert!(csv.contains("\"slow: delay:1ms, \"\"x\"\"\""), "{csv}");
        let markdown = markdown(&record);
        assert_eq!(markdown.matches("\n| ").count(), 3, "{markdown}");
        assert!(
            markdown.contains("Not measured: nbd (nbdkit is not installed)."),
            "{markdown}"
        );
        let junit = junit(&record);
        assert!(
            junit.contains("tests=\"3\" failures=\"1\" skipped=\"1\""),
            "{junit}"
        );
        assert!(junit.contains("round 1: 2 errors"), "{junit}");
        let name = "name=\"rand-destination-4k-qd1 with slow: delay:1ms, ";
        assert!(junit.contains(name), "{junit}");
    }
}
