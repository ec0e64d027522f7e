//! Requests a second over time, with what was done to the device.

use super::Figure;
use crate::record::{CellResult, Record};
use crate::report::axis::{Kind, Scale};
use crate::report::number::{si, time};
use crate::report::svg::{Anchor, Svg, WIDTH, series};
use crate::statistics::{count, number};

const HEIGHT: f64 = 210.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Figures of a page, beside those with marks.
const PLAIN_MAX: usize = 3;

/// A figure for each cell whose runs have marks, and for some others: those that were least steady.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let with_series = |cell: &&CellResult| cell.runs.iter().any(|run| run.series.iops.len() > 1);
    let cells = || record.cells.iter().filter(with_series);
    let marked = cells().filter(|cell| !cell.cell.faults.is_empty());
    let mut plain: Vec<&CellResult> = cells().filter(|cell| cell.cell.faults.is_empty()).collect();
    plain.sort_by(|a, b| unsteadiness(b).total_cmp(&unsteadiness(a)));
    marked
        .chain(plain.into_iter().take(PLAIN_MAX))
        .map(figure)
        .collect()
}

/// The largest coefficient of variation of a cell's runs.
fn unsteadiness(cell: &CellResult) -> f64 {
    let variations = cell.runs.iter().filter_map(|run| run.steadiness?.variation);
    variations.fold(0.0, f64::max)
}

fn figure(cell: &CellResult) -> Figure {
    let runs = || cell.runs.iter().map(|run| &run.series);
    let most = runs()
        .flat_map(|series| &series.iops)
        .copied()
        .fold(0.0, f64::max);
    let length =
        |series: &crate::record::Series| number(series.interval_ns) * count(series.iops.len());
    let longest = runs().map(length).fold(1.0, f64::max);
    let x = Scale::new(Kind::Linear, (0.0, longest), (LEFT, RIGHT));
    let y = Scale::to(most, (BOTTOM, TOP));
    let title = format!("Over time: {}", cell.cell);
    let mut svg = Svg::new(&title, HEIGHT);
    svg.axis_y(&y, (LEFT, RIGHT), "requests a second", si);
    svg.axis_x(&x, (TOP, BOTTOM), "time of the run", time);
    for (index, series_of) in runs().enumerate() {
        let middle = |at: usize| number(series_of.interval_ns) * (count(at) + 0.5);
        let points = series_of.iops.iter().enumerate();
        let points: Vec<_> = points
            .map(|(at, iops)| (x.at(middle(at)), y.at(*iops)))
            .collect();
        svg.path(&format!("line thin {}", series("c", index)), &points);
    }
    for mark in cell.runs.iter().take(1).flat_map(|run| &run.marks) {
        let at = x.at(number(mark.at_ns));
        svg.line("mark", (at, TOP), (at, BOTTOM));
        let anchor = if at > WIDTH / 2.0 {
            Anchor::End
        } else {
            Anchor::Start
        };
        let aside = if at > WIDTH / 2.0 { -4.0 } else { 4.0 };
        svg.text("note", (at + aside, TOP + 10.0), anchor, &mark.what);
    }
    let rounds = cell.runs.iter().map(|run| format!("round {}", run.round));
    Figure::new(
        "time",
        title,
        "A line a run. Dashed: what was done to the device, as in the first run.",
        rounds.collect(),
        svg,
    )
}
