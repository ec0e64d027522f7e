//! The figures of a page, those that the record has something for.

mod bars;
mod cdf;
mod curve;
mod heat;
mod ratio;
mod time;

use super::svg::Svg;
use crate::record::Record;

/// A figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    /// What kind it is, one word, for whoever looks for it in the page.
    pub(super) kind: &'static str,
    /// What it shows.
    pub(super) title: String,
    /// How to read it.
    pub(super) caption: String,
    /// Names of its series, in the order of their colours.
    pub(super) legend: Vec<String>,
    /// The drawing.
    pub(super) svg: String,
}

impl Figure {
    fn new(
        kind: &'static str,
        title: String,
        caption: &str,
        legend: Vec<String>,
        svg: Svg,
    ) -> Self {
        Self {
            kind,
            title,
            caption: caption.to_owned(),
            legend,
            svg: svg.finish(),
        }
    }
}

/// All figures, the summaries first.
pub(super) fn all(record: &Record) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(ratio::figure(record));
    figures.extend(curve::figure(record));
    figures.extend(bars::figure(record));
    figures.extend(cdf::figures(record));
    figures.extend(time::figures(record));
    figures.extend(heat::figures(record));
    figures
}
