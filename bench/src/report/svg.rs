//! SVG, as far as plots need it. Colours are classes, which the page's style sets for light and dark.

use std::fmt::Write;

use super::axis::Scale;
use super::shell::escaped;

/// Width of a plot, in its own units, which are about pixels on a phone.
pub(super) const WIDTH: f64 = 440.0;
/// Different colours of series; more are drawn in the same again, dashed and then dotted.
pub(super) const COLORS: usize = 8;

/// A drawing.
#[derive(Debug)]
pub(super) struct Svg {
    title: String,
    height: f64,
    body: String,
}

/// Where the text is, seen from its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    /// To the right.
    Start,
    /// On both sides.
    Middle,
    /// To the left.
    End,
}

impl Svg {
    /// An empty drawing; the title says what it shows to those who do not see it.
    pub(super) fn new(title: &str, height: f64) -> Self {
        Self {
            title: title.to_owned(),
            height,
            body: String::new(),
        }
    }

    /// A line from one point to another.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through points.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut way = String::new();
        for (x, y) in points {
            let verb = if way.is_empty() { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(way, "{verb}{x:.1} {y:.1}");
        }
        self.put(format_args!("<path class=\"{class}\" d=\"{way}\"/>"));
    }

    /// A rectangle; `more` are further attributes.
    pub(super) fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        more: &str,
    ) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {more}/>"
        ));
    }

    /// A point with a note that shows when one points at it.
    pub(super) fn point(&mut self, class: &str, (x, y): (f64, f64), note: &str) {
        let note = escaped(note);
        self.put(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"><title>{note}</title></circle>"
        ));
    }

    /// A text.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// Grid and numbers of the axis at the bottom, from `top` to `bottom`.
    pub(super) fn axis_x(
        &mut self,
        scale: &Scale,
        (top, bottom): (f64, f64),
        name: &str,
        word: impl Fn(f64) -> String,
    ) {
        for tick in scale.ticks() {
            let x = scale.at(tick);
            self.line("grid", (x, top), (x, bottom));
            self.text("tick", (x, bottom + 14.0), Anchor::Middle, &word(tick));
        }
        self.text("name", (WIDTH - 8.0, bottom + 29.0), Anchor::End, name);
    }

    /// Grid and numbers of the axis on the left, from `left` to `right`.
    pub(super) fn axis_y(
        &mut self,
        scale: &Scale,
        (left, right): (f64, f64),
        name: &str,
        word: impl Fn(f64) -> String,
    ) {
        for tick in scale.ticks() {
            let y = scale.at(tick);
            self.line("grid", (left, y), (right, y));
            self.text("tick", (left - 6.0, y + 3.5), Anchor::End, &word(tick));
        }
        self.text("name", (4.0, 11.0), Anchor::Start, name);
    }

    /// The whole element.
    pub(super) fn finish(self) -> String {
        let (title, height) = (escaped(&self.title), self.height);
        format!(
            "<svg role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\">{}</svg>",
            self.body
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
    }
}

/// The classes of a series: `first`, which says of what (`c` for a line, `k` for a swatch), with its color, and its dashes.
pub(super) fn series(first: &str, index: usize) -> String {
    let color = index % COLORS;
    match index / COLORS {
        0 => format!("{first}{color}"),
        1 => format!("{first}{color} dashed"),
        _ => format!("{first}{color} dotted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_color_have_other_dashes() {
        assert_eq!(series("c", 0), "c0");
        assert_eq!(series("c", COLORS + 2), "c2 dashed");
        let mut all: Vec<String> = (0..3 * COLORS).map(|index| series("k", index)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3 * COLORS);
    }

    #[test]
    fn texts_cannot_break_out() {
        let mut svg = Svg::new("a \"b\"", 10.0);
        svg.text("tick", (0.0, 0.0), Anchor::Start, "<script>&");
        svg.point("s0", (1.0, 1.0), "</title>");
        let text = svg.finish();
        assert!(
            text.contains("&lt;script&gt;&amp;") && text.contains("&lt;/title&gt;"),
            "{text}"
        );
        assert!(text.contains("aria-label=\"a &quot;b&quot;\""), "{text}");
    }
}
