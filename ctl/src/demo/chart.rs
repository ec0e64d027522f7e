//! Grouped bars as SVG: the one kind of plot that the report needs.

use anyhow::{Error, Result};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    ChartBuilder, ChartContext, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours of the series, which people with any colour vision can tell apart (Okabe and Ito).
pub(super) const COLORS: [(u8, u8, u8); 4] =
    [(0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0)];

const WIDTH: u32 = 860;
const LABELS_WIDTH: u32 = 230;
const AXIS_HEIGHT: u32 = 44;
const BAR_HEIGHT: u32 = 15;
const GAP_HEIGHT: u32 = 12;
/// Share of a group's height that its bars fill.
const FILLED: f64 = 0.8;
const FONT: &str = "sans-serif";

/// Bars in groups; each group has a bar of every series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bars {
    /// What the values are, below the axis.
    pub(super) unit: &'static str,
    /// Names of the groups, from top to bottom.
    pub(super) groups: Vec<String>,
    /// The values of each series, a value a group.
    pub(super) series: Vec<Vec<f64>>,
    /// Whether the axis is logarithmic; values must then be above 0 to show.
    pub(super) logarithmic: bool,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    plotters::coord::cartesian::Cartesian2d<RangedCoordf64, RangedCoordf64>,
>;

impl Bars {
    /// Draws them.
    ///
    /// # Errors
    /// The drawing library fails.
    pub(super) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root =
                SVGBackend::with_string(&mut svg, (WIDTH, self.height())).into_drawing_area();
            self.draw(&root)?;
            root.present().map_err(drawing)?;
        }
        Ok(svg)
    }

    fn height(&self) -> u32 {
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let group = count(self.series.len()).saturating_mul(BAR_HEIGHT) + GAP_HEIGHT;
        count(self.groups.len()).saturating_mul(group) + AXIS_HEIGHT + 20
    }

    fn draw(&self, root: &Area<'_>) -> Result<()> {
        root.fill(&WHITE).map_err(drawing)?;
        let (least, most) = self.range();
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .margin_right(60)
            .x_label_area_size(AXIS_HEIGHT)
            .y_label_area_size(LABELS_WIDTH)
            .build_cartesian_2d(least..most, 0.0..self.rows())
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(6)
            .x_desc(self.unit)
            .x_label_formatter(&|at| number(self.value(*at)))
            .light_line_style(WHITE)
            .label_style((FONT, 13))
            .draw()
            .map_err(drawing)?;
        for (series, values) in self.series.iter().enumerate() {
            self.draw_series(root, &mut chart, series, values)?;
        }
        self.draw_names(root, &chart)
    }

    fn draw_series(
        &self,
        root: &Area<'_>,
        chart: &mut Chart<'_, '_>,
        series: usize,
        values: &[f64],
    ) -> Result<()> {
        let (r, g, b) = COLORS[series % COLORS.len()];
        let color = RGBColor(r, g, b).filled();
        let (least, _) = self.range();
        let style = TextStyle::from((FONT, 12).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
        for (group, value) in values.iter().enumerate() {
            let (low, high) = self.place(group, series);
            let end = self.at(*value).max(least);
            let bar = Rectangle::new([(least, low), (end, high)], color);
            chart.draw_series([bar]).map_err(drawing)?;
            let (x, y) = chart
                .plotting_area()
                .map_coordinate(&(end, f64::midpoint(low, high)));
            root.draw(&Text::new(number(*value), (x + 4, y), style.clone()))
                .map_err(drawing)?;
        }
        Ok(())
    }

    fn draw_names(&self, root: &Area<'_>, chart: &Chart<'_, '_>) -> Result<()> {
        let (least, _) = self.range();
        let style =
            TextStyle::from((FONT, 13).into_font()).pos(Pos::new(HPos::Right, VPos::Center));
        for (group, name) in self.groups.iter().enumerate() {
            let (_, high) = self.place(group, 0);
            let (low, _) = self.place(group, self.series.len().saturating_sub(1));
            let middle = (least, f64::midpoint(low, high));
            let (x, y) = chart.plotting_area().map_coordinate(&middle);
            root.draw(&Text::new(name.clone(), (x - 8, y), style.clone()))
                .map_err(drawing)?;
        }
        Ok(())
    }

    /// Lower and upper end of a bar, on an axis that has one unit a group, the first group on top.
    fn place(&self, group: usize, series: usize) -> (f64, f64) {
        let bars = count(self.series.len().max(1));
        let height = FILLED / bars;
        let top = self.rows() - count(group) - (1.0 - FILLED) / 2.0;
        let high = top - count(series) * height;
        (high - height, high)
    }

    fn rows(&self) -> f64 {
        count(self.groups.len().max(1))
    }

    /// Where a value lies on the axis.
    fn at(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        }
    }

    /// The value of a place on the axis.
    fn value(&self, at: f64) -> f64 {
        if self.logarithmic {
            10.0_f64.powf(at)
        } else {
            at
        }
    }

    /// Both ends of the axis.
    fn range(&self) -> (f64, f64) {
        let values = || {
            self.series
                .iter()
                .flatten()
                .copied()
                .filter(|value| *value > 0.0)
        };
        let most = values().fold(f64::MIN_POSITIVE, f64::max);
        if self.logarithmic {
            let least = values().fold(most, f64::min);
            (least.log10().floor(), most.log10() + 0.1)
        } else {
            (0.0, most * 1.05)
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a plot has few groups and series"
)]
fn count(count: usize) -> f64 {
    count as f64
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

fn drawing(error: impl std::fmt::Display) -> Error {
    anyhow::anyhow!("draw a plot: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(logarithmic: bool) -> Bars {
        Bars {
            unit: "IOPS",
            groups: vec!["first <job>".to_owned(), "second".to_owned()],
            series: vec![vec![10.0, 2000.0], vec![0.0, 333.3]],
            logarithmic,
        }
    }

    #[test]
    fn names_and_values_are_in_the_plot() {
        for logarithmic in [false, true] {
            let svg = bars(logarithmic).svg().unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            for text in ["first &lt;job&gt;", "second", "2000", "333", "IOPS"] {
                assert!(svg.contains(text), "{text}");
            }
        }
    }

    #[test]
    fn longer_bars_have_larger_values() {
        for logarithmic in [false, true] {
            let bars = bars(logarithmic);
            assert!(bars.at(10.0) < bars.at(333.3) && bars.at(333.3) < bars.at(2000.0));
            let (least, most) = bars.range();
            assert!(least <= bars.at(10.0) && bars.at(2000.0) <= most);
        }
    }

    #[test]
    fn bars_do_not_overlap() {
        let bars = bars(false);
        let mut places: Vec<_> = (0..2)
            .flat_map(|group| (0..2).map(move |series| (group, series)))
            .collect();
        places.reverse();
        let mut below = 0.0;
        for (group, series) in places {
            let (low, high) = bars.place(group, series);
            assert!(low >= below - 1e-9 && high > low && high <= bars.rows());
            below = high;
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (12.34, "12.3"),
            (11_983.4, "11983"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_plot_without_values_is_drawn() {
        let empty = Bars {
            unit: "x",
            groups: Vec::new(),
            series: Vec::new(),
            logarithmic: true,
        };
        assert!(empty.svg().unwrap().starts_with("<svg"));
    }
}
