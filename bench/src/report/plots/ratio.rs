//! bvecd against its peers: the ratio of their IOPS, with intervals.

use super::Figure;
use crate::compare::{Metric, Options, peers};
use crate::record::Record;
use crate::report::axis::{Kind, Scale};
use crate::report::number::{percent, three};
use crate::report::svg::{Anchor, Svg, WIDTH};
use crate::statistics::count;
use crate::statistics::verdict::Verdict;

const ROW: f64 = 34.0;
const TOP: f64 = 12.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = WIDTH - 110.0;

/// A row for each pair; nothing without peers.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let options = Options {
        metrics: vec![Metric::Iops],
        least: 0.0,
        seed: record.plan.seed,
    };
    let pairs = peers::rows(record, &options);
    let ends = || pairs.iter().filter_map(|pair| pair.answer.interval);
    let low = ends()
        .map(|interval| interval.low)
        .fold(0.8, f64::min)
        .max(0.01);
    let high = ends()
        .map(|interval| interval.high)
        .fold(1.25, f64::max)
        .min(100.0);
    if pairs.is_empty() {
        return None;
    }
    let bottom = TOP + ROW * count(pairs.len());
    let x = Scale::new(Kind::Log, (low, high), (LEFT, RIGHT));
    let mut svg = Svg::new("bvecd against its peers", bottom + 34.0);
    svg.axis_x(&x, (TOP, bottom), "IOPS of bvecd / IOPS of the peer", three);
    svg.line("rule", (x.at(1.0), TOP), (x.at(1.0), bottom));
    for (index, pair) in pairs.iter().enumerate() {
        let y = TOP + ROW * count(index);
        svg.text("label", (LEFT, y + 11.0), Anchor::Start, &pair.cell);
        if let Some(interval) = pair.answer.interval {
            let class = match pair.answer.verdict {
                Verdict::Faster => "good",
                Verdict::Slower => "bad",
                Verdict::CannotTell => "even",
            };
            let line = y + 22.0;
            svg.line(
                &format!("whisker {class}"),
                (x.at(interval.low), line),
                (x.at(interval.high), line),
            );
            let words = format!(
                "{} ({} to {}, {}): {}",
                three(interval.ratio),
                three(interval.low),
                three(interval.high),
                percent(interval.level),
                pair.answer.verdict.name()
            );
            svg.point(
                &format!("dot {class}"),
                (x.at(interval.ratio), line),
                &words,
            );
            let shown = format!("{} {}", three(interval.ratio), pair.answer.verdict.name());
            svg.text("tick", (RIGHT + 8.0, line + 3.5), Anchor::Start, &shown);
        }
    }
    Some(Figure::new(
        "ratio",
        "bvecd against its peers".to_owned(),
        "The dot is the ratio, the bar its interval: of 95 %, or of what so few rounds can say, 90 % for three a side; one round has \
         none. Right of the upright line bvecd makes more requests a \
         second. A difference is told only beyond the noise floor of all rows together.",
        Vec::new(),
        svg,
    ))
}
