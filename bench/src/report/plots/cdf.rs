//! How many requests took no longer: the latency CDF, on a log axis.

use super::Figure;
use crate::record::{CellResult, Record};
use crate::report::axis::{Kind, Scale};
use crate::report::number::time;
use crate::report::svg::{COLORS, Svg, WIDTH, series};
use crate::statistics::{Histogram, number};

const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Where the axis of nines ends.
const NINES: f64 = 0.9999;
/// Figures of a page; the jobs that most devices have come first.
const FIGURES_MAX: usize = 3;

/// A figure for each job that several devices have; and one for each cell with faults, its clean requests
/// beside the faulted ones.
pub(super) fn figures(record: &Record) -> Vec<Figure> {
    let mut jobs: Vec<(&str, Vec<&CellResult>)> = Vec::new();
    for cell in record
        .cells
        .iter()
        .filter(|cell| cell.cell.faults.is_empty())
    {
        match jobs.iter_mut().find(|(job, _)| *job == cell.cell.job) {
            Some((_, cells)) => cells.push(cell),
            None => jobs.push((&cell.cell.job, vec![cell])),
        }
    }
    jobs.sort_by_key(|(_, cells)| std::cmp::Reverse(cells.len()));
    let shared = jobs.iter().take(FIGURES_MAX).map(|(job, cells)| {
        let lines = cells
            .iter()
            .take(COLORS)
            .map(|cell| (cell.cell.device(), cell.histogram()));
        let shown = match cells.len() {
            all if all > COLORS => format!("Latency: {job} (the first {COLORS} of {all} devices)"),
            _ => format!("Latency: {job}"),
        };
        figure(&shown, &lines.collect::<Vec<_>>())
    });
    let faulted = record.cells.iter().filter_map(|cell| {
        let mut clean = Histogram::default();
        let mut hit = Histogram::default();
        for split in cell.runs.iter().filter_map(|run| run.split.as_ref()) {
            clean.merge(&split.clean.histogram);
            hit.merge(&split.faulted.histogram);
        }
        let twin = |other: &&CellResult| {
            other.cell.faults.is_empty()
                && other.cell.job == cell.cell.job
                && other.cell.device() == cell.cell.device()
        };
        let without = record.cells.iter().find(twin).map(CellResult::histogram);
        let lines: Vec<_> = [
            ("clean requests".to_owned(), clean),
            ("faulted requests".to_owned(), hit),
            (
                "a run without rules".to_owned(),
                without.unwrap_or_default(),
            ),
        ]
        .into_iter()
        .filter(|(_, histogram)| histogram.total() > 0)
        .collect();
        (!cell.cell.faults.is_empty() && !lines.is_empty())
            .then(|| figure(&format!("Latency under faults: {}", cell.cell.job), &lines))
    });
    shared.chain(faulted).collect()
}

fn figure(title: &str, lines: &[(String, Histogram)]) -> Figure {
    let values = || {
        lines
            .iter()
            .flat_map(|(_, histogram)| histogram.bins().map(|(ns, _)| number(ns)))
    };
    let least = values().fold(f64::MAX, f64::min).clamp(1.0, 1e12);
    let most = values().fold(1.0, f64::max);
    let x = Scale::new(Kind::Log, (least, most), (LEFT, RIGHT));
    let y = Scale::new(Kind::Nines, (0.0, NINES), (BOTTOM, TOP));
    let mut svg = Svg::new(title, HEIGHT);
    svg.axis_y(
        &y,
        (LEFT, RIGHT),
        "of the requests took no longer",
        |part| format!("{} %", (part * 1e6).round() / 1e4),
    );
    svg.axis_x(&x, (TOP, BOTTOM), "completion latency", time);
    for (index, (_, histogram)) in lines.iter().enumerate() {
        svg.path(
            &format!("line {}", series("c", index)),
            &steps(histogram, &x, &y),
        );
    }
    Figure::new(
        "cdf",
        title.to_owned(),
        "All requests of all runs. Further right is slower; each step up is one more nine.",
        lines.iter().map(|(name, _)| name.clone()).collect(),
        svg,
    )
}

/// The curve up to the last nine that it has requests for.
fn steps(histogram: &Histogram, x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let total = number(histogram.total());
    let mut points = Vec::new();
    let mut seen = 0.0;
    for (ns, count) in histogram.bins() {
        seen += number(count);
        let part = (seen / total).min(1.0 - 1.0 / total.max(2.0));
        points.push((x.at(number(ns)), y.at(part)));
    }
    points
}
