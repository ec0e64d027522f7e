//! Latency over time as a heat map: how many requests took how long, when.

use super::Figure;
use crate::record::{CellResult, Record, RunResult};
use crate::report::axis::{Kind, Scale};
use crate::report::number::time;
use crate::report::svg::{Anchor, Svg, WIDTH};
use crate::statistics::histogram::{bin_of, middle};
use crate::statistics::{count, number};

const HEIGHT: f64 = 240.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Figures of a page.
const FIGURES_MAX: usize = 4;
/// Bins of fio that one field has.
const BINS: usize = 8;

/// The first run of each cell with faults, and of the first cells of each kind of device.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let has = |cell: &&CellResult| {
        cell.runs
            .first()
            .is_some_and(|run| run.series.latency.len() > 1)
    };
    let mut chosen: Vec<&CellResult> = Vec::new();
    let faulted = record
        .cells
        .iter()
        .filter(has)
        .filter(|cell| !cell.cell.faults.is_empty());
    chosen.extend(faulted);
    for cell in record.cells.iter().filter(has) {
        // The deepest queue of a device is where waiting shows.
        let known = chosen.iter().position(|other| {
            other.cell.device() == cell.cell.device() && other.cell.faults.is_empty()
        });
        match known {
            Some(at) if chosen[at].cell.depth < cell.cell.depth => chosen[at] = cell,
            None if cell.cell.faults.is_empty() => chosen.push(cell),
            _ => {}
        }
    }
    let drawn = chosen.into_iter().take(FIGURES_MAX);
    drawn
        .filter_map(|cell| Some(figure(cell, cell.runs.first()?)))
        .collect()
}

fn figure(cell: &CellResult, run: &RunResult) -> Figure {
    let all = || {
        run.series
            .latency
            .iter()
            .flat_map(|histogram| histogram.bins())
    };
    let edge = |ns: u64, beyond: usize| number(middle(bin_of(ns) / BINS * BINS + beyond).max(1));
    let least = all()
        .map(|(ns, _)| edge(ns, 0))
        .fold(f64::MAX, f64::min)
        .clamp(1.0, 1e12);
    let most = all().map(|(ns, _)| edge(ns, BINS)).fold(10.0, f64::max);
    let busiest = all().map(|(_, count)| number(count)).fold(1.0, f64::max);
    let length = count(run.series.latency.len()) * number(run.series.interval_ns);
    let x = Scale::new(Kind::Linear, (0.0, length), (LEFT, RIGHT));
    let y = Scale::new(Kind::Log, (least, most), (BOTTOM, TOP));
    let title = format!("Latency over time: {}", cell.cell);
    let mut svg = Svg::new(&title, HEIGHT);
    for (at, histogram) in run.series.latency.iter().enumerate() {
        let from = x.at(count(at) * number(run.series.interval_ns));
        let to = x.at((count(at) + 1.0) * number(run.series.interval_ns));
        for (ns, requests) in histogram.bins() {
            let (low, high) = (y.at(edge(ns, 0)), y.at(edge(ns, BINS)));
            // One request must be seen beside thousands.
            let shade = 0.15 + 0.85 * number(requests).ln_1p() / busiest.ln_1p();
            let more = format!("fill-opacity=\"{shade:.2}\"");
            svg.rect(
                "heat",
                (from, high),
                (to - from + 0.3, low - high + 0.3),
                &more,
            );
        }
    }
    svg.axis_y(&y, (LEFT, RIGHT), "completion latency", time);
    svg.axis_x(&x, (TOP, BOTTOM), "time of the run", time);
    for mark in &run.marks {
        let at = x.at(number(mark.at_ns));
        svg.line("mark", (at, TOP), (at, BOTTOM));
        svg.text("note", (at + 4.0, TOP + 10.0), Anchor::Start, &mark.what);
    }
    Figure::new(
        "heat",
        title,
        "The first run. The darker a field, the more requests took that long in that interval (log scale).",
        Vec::new(),
        svg,
    )
}
