//! IOPS over depth.

use std::collections::BTreeMap;

use super::Figure;
use crate::record::{CellResult, Record};
use crate::report::axis::{Kind, Scale};
use crate::report::number::si;
use crate::report::svg::{Anchor, Svg, WIDTH, series};
use crate::statistics::sample;

const HEIGHT: f64 = 280.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 38.0;

/// A depth and the requests a second of its runs.
type Point = (u32, Vec<f64>);

/// The curve of every device that was measured at several depths with the same pattern.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let curves = curves(record);
    let points = || curves.iter().flat_map(|(_, points)| points);
    let most = points()
        .flat_map(|(_, values)| values)
        .copied()
        .fold(0.0, f64::max);
    let depths: Vec<f64> = points().map(|(depth, _)| f64::from(*depth)).collect();
    let deepest = depths.iter().copied().fold(1.0, f64::max);
    if curves.is_empty() || deepest <= 1.0 {
        return None;
    }
    let x = Scale::new(Kind::Log, (1.0, deepest), (LEFT + 10.0, RIGHT - 6.0));
    let y = Scale::to(most, (BOTTOM, TOP));
    let mut svg = Svg::new("IOPS over depth", HEIGHT);
    svg.axis_y(&y, (LEFT, RIGHT), "requests a second", si);
    let mut ticks: Vec<u32> = points().map(|(depth, _)| *depth).collect();
    ticks.sort_unstable();
    ticks.dedup();
    for depth in ticks {
        let at = x.at(depth.into());
        svg.line("grid", (at, TOP), (at, BOTTOM));
        svg.text(
            "tick",
            (at, BOTTOM + 14.0),
            Anchor::Middle,
            &depth.to_string(),
        );
    }
    svg.text(
        "name",
        (WIDTH - 8.0, BOTTOM + 29.0),
        Anchor::End,
        "requests in flight",
    );
    for (index, (name, points)) in curves.iter().enumerate() {
        let color = series("c", index);
        let medians: Vec<(f64, f64)> = points
            .iter()
            .filter_map(|(depth, values)| {
                Some((x.at((*depth).into()), y.at(sample::median(values)?)))
            })
            .collect();
        svg.path(&format!("line {color}"), &medians);
        for ((depth, values), place) in points.iter().zip(&medians) {
            let low = values.iter().copied().fold(f64::MAX, f64::min);
            let high = values.iter().copied().fold(0.0, f64::max);
            svg.line(
                &format!("whisker {color}"),
                (place.0, y.at(low)),
                (place.0, y.at(high)),
            );
            let middle = si(sample::median(values).unwrap_or(0.0));
            let note = format!(
                "{name}, depth {depth}: {middle} ({} to {})",
                si(low),
                si(high)
            );
            svg.point(&format!("dot {color}"), *place, &note);
        }
    }
    Some(Figure::new(
        "depth",
        "IOPS over depth".to_owned(),
        "4 KiB at random unless said. The line joins the medians of the runs; a whisker spans all of them.",
        curves.into_iter().map(|(name, _)| name).collect(),
        svg,
    ))
}

/// The curves that have more than one depth, with their names.
fn curves(record: &Record) -> Vec<(String, Vec<Point>)> {
    let mut curves: Vec<(String, BTreeMap<u32, Vec<f64>>)> = Vec::new();
    for cell in record.cells.iter().filter(|cell| is_plain(cell)) {
        let name = name(cell);
        let values = cell.values(|run| run.job.iops);
        match curves.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.entry(cell.cell.depth).or_default().extend(values),
            None => curves.push((name, [(cell.cell.depth, values)].into())),
        }
    }
    let several = curves.into_iter().filter(|(_, points)| points.len() > 1);
    several
        .map(|(name, points)| (name, points.into_iter().collect()))
        .collect()
}

/// Whether a cell is one of a curve: a job that differs from others by its depth only.
fn is_plain(cell: &CellResult) -> bool {
    let suffix = format!("-qd{}", cell.cell.depth);
    cell.cell.faults.is_empty()
        && cell.cell.job.ends_with(&suffix)
        && !cell.cell.job.starts_with("fixed")
}

/// Device and pattern; the usual pattern is not said.
fn name(cell: &CellResult) -> String {
    let suffix = format!("-qd{}", cell.cell.depth);
    let pattern = cell.cell.job.trim_end_matches(&suffix);
    match pattern {
        "rand-destination-4k" => cell.cell.device(),
        _ => format!("{} {pattern}", cell.cell.device()),
    }
}
