//! The page: one file with its style and figures inside, no script, nothing from a network.

use maud::{Markup, PreEscaped, html};

use super::number::{date, percent, time};
use super::plots::{self, Figure};
use super::rows::{self, Column, Room, Row};
use super::shell;
use super::svg::series;
use crate::record::{Record, RunResult, Split};
use crate::statistics::number;

/// The whole page.
#[must_use]
pub fn render(record: &Record) -> String {
    let title = format!("bvecd bench: {}", record.plan.name);
    let body = html! {
        p.soft { (summary(record)) }
        (facts(record))
        (verdict(record))
        h2 { "Figures" }
        div.grid { @for figure in plots::all(record) { (drawn(&figure)) } }
        @if record.cells.iter().any(|cell| !cell.cell.faults.is_empty()) {
            h2 { "Under faults" }
            (faults(record))
        }
        h2 { "Every cell" }
        (table(record))
        (legend_of_columns())
        @if !record.missing.is_empty() {
            h2 { "Not measured" }
            ul { @for missing in &record.missing { li { b { (missing.what) } ": " (missing.reason) } } }
        }
    };
    shell::page(&title, "", &body)
}

fn summary(record: &Record) -> String {
    let runs: usize = record.cells.iter().map(|cell| cell.runs.len()).sum();
    let shard = record
        .plan
        .shard
        .as_ref()
        .map(|shard| format!(", shard {shard}"))
        .unwrap_or_default();
    format!(
        "{} cells, {runs} runs of {} each, rounds back and forth{shard}; {}",
        record.cells.len(),
        time(number(record.plan.runtime_ns)),
        date(record.environment.began_s)
    )
}

fn facts(record: &Record) -> Markup {
    let environment = &record.environment;
    let machine = &environment.machine;
    let accelerator = match machine.accel.as_str() {
        "none" => String::new(),
        "tcg" => ", emulated (TCG)".to_owned(),
        other => format!(", virtual ({other})"),
    };
    let facts = [
        ("kernel", environment.kernel.clone()),
        (
            "CPUs",
            format!("{} x {}{accelerator}", machine.cpus, environment.cpu_model),
        ),
        ("memory", format!("{} MiB", environment.memory_bytes >> 20)),
        (
            "governor",
            environment
                .governor
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
        ("scheduler", schedulers(record)),
        ("fio", environment.fio_version.clone()),
        ("revision", environment.revision.clone()),
        ("seed", record.plan.seed.to_string()),
    ];
    html! { ul.facts { @for (name, value) in facts { li { b { (name) } (value) } } } }
}

fn schedulers(record: &Record) -> String {
    let mut all: Vec<&str> = record
        .cells
        .iter()
        .filter_map(|cell| cell.scheduler.as_deref())
        .collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        "unknown".to_owned()
    } else {
        all.join(", ")
    }
}

fn verdict(record: &Record) -> Markup {
    let mut wrong: Vec<String> = Vec::new();
    if !record.complete {
        wrong.push("The session did not come to its end; this is what was finished.".to_owned());
    }
    for cell in &record.cells {
        for run in cell.runs.iter().filter(|run| !run.is_good()) {
            wrong.push(format!("{}: {}", cell.cell, wrong_with(run)));
        }
    }
    wrong.extend(copied(record));
    html! {
        @if wrong.is_empty() {
            div.verdict { "Every run did I/O, without an error but those that rules made, without wrong data, and left no pin behind." }
        } @else {
            div.verdict.wrong { ul { @for what in wrong { li { (what) } } } }
        }
    }
}

/// Runs on shared memory whose requests did not all lie in it: they measure something else as well.
fn copied(record: &Record) -> Vec<String> {
    let runs = record.cells.iter().flat_map(|cell| {
        let counted = |run: &RunResult| Some((run.round, run.shared_memory.clone()?));
        let counted = cell.runs.iter().filter_map(counted);
        counted.map(move |(round, counts)| (cell.cell.to_string(), round, counts))
    });
    // Whoever looks for partitions meanwhile has other memory.
    let told = runs.filter(|(.., counts)| counts.copied * 100 > counts.shared);
    told.map(|(cell, round, counts)| {
        let (all, copied) = (counts.shared + counts.copied, counts.copied);
        format!("{cell}: round {round}: {copied} of {all} requests were copied, not shared")
    })
    .collect()
}

fn wrong_with(run: &RunResult) -> String {
    let job = &run.job;
    format!(
        "round {}: {} errors that no rule made, {} verify errors, {} pins left, {:.0} IOPS",
        run.round,
        run.unexplained_errors(),
        job.verify_errors,
        job.pins_outstanding,
        job.iops
    )
}

fn drawn(figure: &Figure) -> Markup {
    html! {
        figure data-kind=(figure.kind) {
            h3 { (figure.title) }
            (PreEscaped(&figure.svg))
            @if !figure.legend.is_empty() {
                ul.legend {
                    @for (index, name) in figure.legend.iter().enumerate() {
                        li { i class=(series("k", index)) {} (name) }
                    }
                }
            }
            figcaption { (figure.caption) }
        }
    }
}

fn table(record: &Record) -> Markup {
    let rows = rows::of(record);
    let columns = rows::columns(&rows, Room::Wide);
    let first = |index: usize| index == 0 || rows[index - 1].device != rows[index].device;
    html! {
        div.scroll {
            table {
                thead { tr { @for column in &columns { th { (column.head) } } } }
                tbody {
                    @for (index, row) in rows.iter().enumerate() {
                        @if first(index) {
                            tr.device { td colspan=(columns.len()) { (row.device) } }
                        }
                        (table_row(row, &columns))
                    }
                }
            }
        }
    }
}

fn table_row(row: &Row, columns: &[Column]) -> Markup {
    let pins_differ = row
        .pins_rule_per_io
        .is_some_and(|rule| (row.pins_per_io - number(rule)).abs() > 0.05);
    let wrong = |column: &str| match column {
        "pins" => pins_differ || row.pins_outstanding != 0,
        "errors" => row.errors > row.failed_by_rules,
        _ => false,
    };
    html! {
        tr {
            @for column in columns {
                @let cell = (column.text)(row);
                @if wrong(column.head) { td.wrong { (cell) } } @else { td { (cell) } }
            }
        }
    }
}

fn legend_of_columns() -> Markup {
    html! {
        p.soft {
            "IOPS, MB/s, pins and CPU are medians of the runs; ± is the coefficient of variation between runs; percentiles are of \
             all runs' requests together, from fio's own histogram; CPU is that of fio and the server (bvecd, rublk, nbdkit) for a request, without \
             workers of the kernel, which serve loop and part of NBD; instr are instructions of the whole guest for a \
             request, where its clock counts them; switches are times that a thread of fio or the server was switched \
             away from, for a request; stalls are intervals with less than a tenth of the median; drift is what a run \
             gained from its beginning to its end; steady \
             counts runs whose throughput stayed within 20 % and drifted less than 10 % for half of their time or more; \
             p99.99 needs 10 000 requests."
        }
    }
}

/// Clean and faulted requests apart.
fn faults(record: &Record) -> Markup {
    let runs = record.cells.iter().flat_map(|cell| {
        let split = |run: &RunResult| {
            Some((
                format!("{}, round {}", cell.cell, run.round),
                run.split.clone()?,
            ))
        };
        cell.runs.iter().filter_map(split).collect::<Vec<_>>()
    });
    let ns = |ns: u64| time(number(ns));
    let share = |split: &Split| {
        percent(number(split.faulted.ios) / number((split.faulted.ios + split.clean.ios).max(1)))
    };
    html! {
        div.scroll {
            table {
                thead { tr {
                    @for head in ["run", "faulted", "clean p50", "clean p99", "clean p99.9", "faulted p50", "faulted p99", "failed", "drained", "unmatched", "events lost"] {
                        th { (head) }
                    }
                } }
                tbody {
                    @for (name, split) in runs {
                        tr {
                            td { (name) }
                            td { (split.faulted.ios) " (" (share(&split)) ")" }
                            td { (ns(split.clean.percentiles_ns.p50)) }
                            td { (ns(split.clean.percentiles_ns.p99)) }
                            td { (ns(split.clean.percentiles_ns.p99_9)) }
                            td { (ns(split.faulted.percentiles_ns.p50)) }
                            td { (ns(split.faulted.percentiles_ns.p99)) }
                            td { (split.failed) }
                            td { (split.drained) }
                            td { (split.unmatched) }
                            td { (split.events_lost) }
                        }
                    }
                }
            }
        }
        p.soft {
            "Failed requests are those that a rule failed: fio has no latency of them. Drained requests are on neither side: fio waited for them together after the job's time, and they have the latency of \
             the slowest."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crate::record::{Mark, Part};
    use crate::statistics::Histogram;

    /// A record that has something for every figure.
    fn rich() -> Record {
        let mut record = record();
        let mut deep = record.cells[0].clone();
        deep.cell.depth = 32;
        deep.cell.job = "rand-destination-4k-qd32".to_owned();
        let mut faulted = deep.clone();
        faulted.cell.faults = vec!["late: delay:50ms <b>".to_owned()];
        let part = |ns| Part::of(Histogram::from(vec![(ns, 100)]));
        for run in &mut faulted.runs {
            run.marks = vec![Mark {
                at_ns: 300_000_000,
                what: "late".to_owned(),
            }];
            run.split = Some(Split {
                clean: part(50_000),
                faulted: part(50_000_000),
                drained: 0,
                failed: 0,
                unmatched: 0,
                events_lost: 0,
            });
        }
        record.cells.extend([deep, faulted]);
        record
    }

    #[test]
    fn every_figure_is_there_and_nothing_is_fetched() {
        let page = render(&rich());
        for kind in ["depth", "pins", "cdf", "time", "heat", "ratio"] {
            assert!(page.contains(&format!("data-kind=\"{kind}\"")), "{kind}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        for word in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(!page.contains("<b>\"") && page.contains("delay:50ms &lt;b&gt;"));
        for word in ["NaN", "inf"] {
            assert!(!page.contains(&format!("\"{word}")), "{word}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    }

    #[test]
    fn what_is_wrong_or_missing_is_said() {
        let mut record = rich();
        assert!(render(&record).contains("left no pin behind"));
        record.complete = false;
        record.cells[0].runs[1].job.errors = 3;
        let page = render(&record);
        assert!(page.contains("did not come to its end") && page.contains("round 2: 3 errors"));
        assert!(page.contains("nbdkit is not installed"));
        record.cells[0].runs[0].shared_memory = Some(api::SharedMemoryStats {
            shared: 90,
            copied: 10,
        });
        assert!(render(&record).contains("10 of 100 requests were copied"));
    }

    #[test]
    fn an_empty_record_has_a_page() {
        let mut record = record();
        record.cells.clear();
        assert!(render(&record).contains("Every cell"));
    }
}
