//! `/metrics`: what every device and rule has done, for a scraper.
//!
//! The text is OpenMetrics 1.0 for who asks for it (`Accept: application/openmetrics-text`), else the older
//! text of Prometheus, which differs in the names of counters' metadata and in the last line. It is made
//! when it is asked for, from the same counters as `/v1/devices/{id}/stats`; the queues do nothing for it.

use std::fmt::Write;
use std::sync::Arc;

use api::{DeviceStats, OpStats, RuleStatus};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::{rules, stats};
use crate::devices::Devices;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of a device.
struct Subject {
    stats: DeviceStats,
    rules: Vec<RuleStatus>,
}

/// The metrics of every device.
pub(super) async fn show(State(devices): State<Arc<Devices>>, headers: HeaderMap) -> Response {
    let subjects: Vec<Subject> = devices
        .all()
        .iter()
        .map(|device| Subject {
            stats: stats::of(device),
            rules: rules::statuses(device),
        })
        .collect();
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    let kind = if open { OPEN_METRICS } else { PROMETHEUS };
    ([(CONTENT_TYPE, kind)], Text::of(&subjects, open)).into_response()
}

/// The text while it is made.
struct Text {
    text: String,
    open: bool,
}

/// What kind of number it is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It only rises, from 0 at the device's beginning.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// The labels of a sample, and its value.
type Sample = (String, u64);

impl Text {
    fn of(subjects: &[Subject], open: bool) -> String {
        let mut text = Self {
            text: String::new(),
            open,
        };
        text.requests(subjects);
        text.devices(subjects);
        text.rules(subjects);
        if open {
            text.text.push_str("# EOF\n");
        }
        text.text
    }

    fn requests(&mut self, subjects: &[Subject]) {
        type Value = fn(&OpStats) -> u64;
        let families: [(&str, &str, Value); 3] = [
            ("bvecd_requests", "Requests committed.", |op| op.ios),
            (
                "bvecd_request_bytes",
                "Bytes of requests committed without an error.",
                |op| op.bytes,
            ),
            (
                "bvecd_request_errors",
                "Requests committed with an error.",
                |op| op.errors,
            ),
        ];
        for (name, help, value) in families {
            let samples = subjects.iter().flat_map(|subject| {
                let device = subject.stats.device;
                let of_op = move |op: &OpStats| {
                    (format!("device=\"{device}\",op=\"{}\"", op.op), value(op))
                };
                subject.stats.ops.iter().map(of_op)
            });
            self.family(name, help, Kind::Counter, samples.collect());
        }
    }

    fn devices(&mut self, subjects: &[Subject]) {
        type Value = fn(&DeviceStats) -> u64;
        let families: [(&str, &str, Kind, Value); 6] = [
            (
                "bvecd_inflight_requests",
                "Requests fetched and not yet committed.",
                Kind::Gauge,
                |it| it.inflight,
            ),
            (
                "bvecd_held_requests",
                "Requests held now.",
                Kind::Gauge,
                |it| it.held,
            ),
            (
                "bvecd_delayed_requests",
                "Requests delayed now.",
                Kind::Gauge,
                |it| it.delayed,
            ),
            (
                "bvecd_faults_fired",
                "Times that a rule fired, rules that are gone included.",
                Kind::Counter,
                |it| it.faults_fired,
            ),
            (
                "bvecd_backing_errors",
                "Requests that what backs the device failed.",
                Kind::Counter,
                |it| it.backing_errors,
            ),
            (
                "bvecd_integrity_errors",
                "Requests with a wrong tag of protection information.",
                Kind::Counter,
                |it| it.integrity_errors,
            ),
        ];
        for (name, help, kind, value) in families {
            let of = |subject: &Subject| {
                let stats = &subject.stats;
                (format!("device=\"{}\"", stats.device), value(stats))
            };
            self.family(name, help, kind, subjects.iter().map(of).collect());
        }
    }

    fn rules(&mut self, subjects: &[Subject]) {
        type Value = fn(&RuleStatus) -> u64;
        let families: [(&str, &str, Kind, Value); 3] = [
            (
                "bvecd_rule_matched",
                "Requests that a rule selected.",
                Kind::Counter,
                |it| it.counters.matched,
            ),
            (
                "bvecd_rule_fired",
                "Requests that a rule fired on.",
                Kind::Counter,
                |it| it.counters.fired,
            ),
            (
                "bvecd_rule_held_requests",
                "Requests that a rule holds now.",
                Kind::Gauge,
                |it| it.held.into(),
            ),
        ];
        for (name, help, kind, value) in families {
            let samples = subjects.iter().flat_map(|subject| {
                let device = subject.stats.device;
                let of = move |rule: &RuleStatus| {
                    let name = escaped(&rule.rule.name);
                    (format!("device=\"{device}\",rule=\"{name}\""), value(rule))
                };
                subject.rules.iter().map(of)
            });
            self.family(name, help, kind, samples.collect());
        }
    }

    /// A family without samples is left out.
    fn family(&mut self, name: &str, help: &str, kind: Kind, samples: Vec<Sample>) {
        if samples.is_empty() {
            return;
        }
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        // OpenMetrics names the family, the older text its samples.
        let meta = if self.open { "" } else { suffix };
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.text,
            "# HELP {name}{meta} {help}\n# TYPE {name}{meta} {word}"
        );
        for (labels, value) in samples {
            let _ = writeln!(self.text, "{name}{suffix}{{{labels}}} {value}");
        }
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use api::SCHEMA;
    use fault::{Op, Rule, RuleReport};

    use super::*;

    fn subject() -> Subject {
        let rule = Rule::parse("slow", "delay:1ms where op=read").unwrap();
        let report = RuleReport {
            rule,
            counters: fault::Counters {
                matched: 9,
                fired: 7,
                ..fault::Counters::default()
            },
            since: 1,
            armed: true,
            enabled: true,
        };
        Subject {
            stats: DeviceStats {
                schema: SCHEMA,
                device: 3,
                ops: vec![OpStats {
                    op: Op::Read,
                    direction: Op::Read.direction(),
                    ios: 12,
                    bytes: 49_152,
                    errors: 1,
                }],
                inflight: 2,
                held: 1,
                delayed: 0,
                faults_fired: 7,
                backing_errors: 0,
                integrity_errors: 0,
                shared_memory: None,
                queues: Vec::new(),
            },
            rules: vec![RuleStatus::new(report, 1)],
        }
    }

    #[test]
    fn both_forms_have_every_sample() {
        for (open, meta) in [
            (true, "# TYPE bvecd_requests counter"),
            (false, "# TYPE bvecd_requests_total counter"),
        ] {
            let text = Text::of(&[subject()], open);
            for line in [
                meta,
                "bvecd_requests_total{device=\"3\",op=\"read\"} 12",
                "bvecd_held_requests{device=\"3\"} 1",
                "bvecd_rule_fired_total{device=\"3\",rule=\"slow\"} 7",
                "bvecd_rule_held_requests{device=\"3\",rule=\"slow\"} 1",
            ] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
            assert_eq!(text.ends_with("# EOF\n"), open);
            // Each family is told once, before its samples.
            let types: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with("# TYPE"))
                .collect();
            let mut unique = types.clone();
            unique.dedup();
            assert_eq!(types, unique);
        }
    }

    #[test]
    fn without_devices_there_is_nothing_but_an_end() {
        assert_eq!(Text::of(&[], true), "# EOF\n");
        assert_eq!(Text::of(&[], false), "");
    }

    #[test]
    fn labels_cannot_break_out() {
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
