//! The two forms of the text: OpenMetrics, and Prometheus' older one.

use std::fmt::Write;

use crate::latency::{BOUNDS, Counted, bound_ns};

/// The text while it is made.
pub(super) struct Text {
    text: String,
    open: bool,
}

/// What kind of number it is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// It only rises, from 0 at the device's beginning.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// The labels of a sample, and its value.
type Sample = (String, u64);

impl Text {
    /// An empty one, as OpenMetrics or not.
    pub(super) const fn new(open: bool) -> Self {
        Self {
            text: String::new(),
            open,
        }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// A family without samples is left out.
    pub(super) fn family(&mut self, name: &str, help: &str, kind: Kind, samples: Vec<Sample>) {
        if samples.is_empty() {
            return;
        }
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        // OpenMetrics names the family, the older text its samples.
        let meta = if self.open { "" } else { suffix };
        self.line(format_args!("# HELP {name}{meta} {help}"));
        self.line(format_args!("# TYPE {name}{meta} {word}"));
        for (labels, value) in samples {
            self.line(format_args!("{name}{suffix}{{{labels}}} {value}"));
        }
    }

    /// A family of histograms of seconds.
    pub(super) fn histograms(&mut self, name: &str, help: &str, all: Vec<(String, Counted)>) {
        if all.is_empty() {
            return;
        }
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} histogram"));
        if self.open {
            self.line(format_args!("# UNIT {name} seconds"));
        }
        for (labels, counted) in all {
            for (index, count) in counted.cumulative.iter().enumerate() {
                let end = match index {
                    BOUNDS => "+Inf".to_owned(),
                    _ => seconds(bound_ns(index)),
                };
                self.line(format_args!(
                    "{name}_bucket{{{labels},le=\"{end}\"}} {count}"
                ));
            }
            let all = counted.cumulative[BOUNDS];
            self.line(format_args!("{name}_count{{{labels}}} {all}"));
            let sum = seconds(counted.sum_ns);
            self.line(format_args!("{name}_sum{{{labels}}} {sum}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Nanoseconds as seconds, exactly.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// The value of a label.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
