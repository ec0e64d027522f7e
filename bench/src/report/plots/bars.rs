//! Pins for a request, against the rule.

use super::Figure;
use crate::record::Record;
use crate::report::axis::Scale;
use crate::report::number::three;
use crate::report::svg::{Anchor, Svg, WIDTH};
use crate::statistics::{count, number};

const ROW: f64 = 34.0;
const TOP: f64 = 10.0;
const LEFT: f64 = 8.0;
const RIGHT: f64 = WIDTH - 60.0;
/// Rows of a figure; more would be a wall.
const ROWS_MAX: usize = 12;

/// One bar a job and kind of device, with a mark where the rule has it; alike ones are shown once.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let rows = rows(record);
    let most = rows
        .iter()
        .map(|row| row.pins.max(number(row.rule)))
        .fold(0.0, f64::max);
    let bottom = TOP + ROW * count(rows.len());
    if rows.is_empty() {
        return None;
    }
    let x = Scale::to(most.max(1.0), (LEFT, RIGHT));
    let mut svg = Svg::new("Pins for a request, against the rule", bottom + 24.0);
    for tick in x.ticks() {
        svg.line("grid", (x.at(tick), TOP), (x.at(tick), bottom));
        svg.text(
            "tick",
            (x.at(tick), bottom + 14.0),
            Anchor::Middle,
            &three(tick),
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * count(index);
        let right = (row.pins - number(row.rule)).abs() < 0.05;
        svg.text("label", (LEFT, y + 12.0), Anchor::Start, &row.name);
        let class = if right { "bar c0" } else { "bar bad" };
        svg.rect(
            class,
            (LEFT, y + 17.0),
            (x.at(row.pins) - LEFT, 10.0),
            "rx=\"2\"",
        );
        let rule = x.at(number(row.rule));
        svg.line("rule", (rule, y + 14.0), (rule, y + 30.0));
        let end = x.at(row.pins).max(rule) + 7.0;
        svg.text(
            "tick",
            (end, y + 26.0),
            Anchor::Start,
            &format!("{:.2}", row.pins),
        );
    }
    Some(Figure::new(
        "pins",
        "Pins for a request, against the rule".to_owned(),
        "Bars are what was counted, the upright mark what the kernel's rule gives: one pin a page, none for \
         registered buffers.",
        Vec::new(),
        svg,
    ))
}

struct Row {
    name: String,
    pins: f64,
    rule: u64,
}

/// The jobs with the largest difference from their rule first among those with the same rule.
fn rows(record: &Record) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for cell in &record.cells {
        let (Some(rule), Some(pins)) = (
            cell.pins_rule_per_io,
            cell.median(|run| run.job.pins_acquired_per_io),
        ) else {
            continue;
        };
        let name = cell.cell.to_string();
        let alike = |row: &Row| row.rule == rule && (row.pins - pins).abs() < 0.05;
        if !rows.iter().any(alike) {
            rows.push(Row { name, pins, rule });
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.rule));
    rows.truncate(ROWS_MAX);
    rows
}
