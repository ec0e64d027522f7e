//! `/metrics`: what every device and rule has done, for a scraper.
//!
//! The text is OpenMetrics 1.0 for who asks for it (`Accept: application/openmetrics-text`), else the older
//! text of Prometheus, which differs in the names of counters' metadata and in the last line. It is made
//! when it is asked for, from the same counters as `/v1/devices/{id}/stats`, and from the buckets in which
//! each queue counts how long its requests took ([`crate::latency`]).

mod text;

use std::sync::Arc;

use api::{DeviceStats, OpStats, RuleStatus};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::stats::OPS;
use super::{rules, stats};
use crate::device::Device;
use crate::devices::Devices;
use crate::latency::Counted;
use crate::shared::fault_op;
use text::{Kind, Text, escaped};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of a device.
struct Subject {
    stats: DeviceStats,
    rules: Vec<RuleStatus>,
    /// By operation.
    latencies: Vec<(fault::Op, Counted)>,
}

impl Subject {
    fn of(device: &Device) -> Self {
        Self {
            stats: stats::of(device),
            rules: rules::statuses(device),
            latencies: OPS.iter().filter_map(|op| latencies(device, *op)).collect(),
        }
    }
}

/// How long a device's requests of an operation took.
fn latencies(device: &Device, op: ublk::Op) -> Option<(fault::Op, Counted)> {
    let counts = device.queues.iter().filter_map(|queue| queue.stats.of(op));
    Some((
        fault_op(op)?,
        Counted::of(counts.map(|counts| &counts.latencies)),
    ))
}

/// The metrics of every device.
pub(super) async fn show(State(devices): State<Arc<Devices>>, headers: HeaderMap) -> Response {
    let devices = devices.all();
    let subjects: Vec<Subject> = devices.iter().map(|device| Subject::of(device)).collect();
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    let kind = if open { OPEN_METRICS } else { PROMETHEUS };
    ([(CONTENT_TYPE, kind)], render(&subjects, open)).into_response()
}

/// The whole text.
fn render(subjects: &[Subject], open: bool) -> String {
    let mut text = Text::new(open);
    by_operation(&mut text, subjects);
    durations(&mut text, subjects);
    by_device(&mut text, subjects);
    by_rule(&mut text, subjects);
    text.finish()
}

fn by_operation(text: &mut Text, subjects: &[Subject]) {
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
            let of_op =
                move |op: &OpStats| (format!("device=\"{device}\",op=\"{}\"", op.op), value(op));
            subject.stats.ops.iter().map(of_op)
        });
        text.family(name, help, Kind::Counter, samples.collect());
    }
}

fn by_device(text: &mut Text, subjects: &[Subject]) {
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
        text.family(name, help, kind, subjects.iter().map(of).collect());
    }
}

fn by_rule(text: &mut Text, subjects: &[Subject]) {
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
        text.family(name, help, kind, samples.collect());
    }
}

/// A request's time at the daemon; what rules make it wait is in it, what the block layer does is not.
fn durations(text: &mut Text, subjects: &[Subject]) {
    let all = subjects.iter().flat_map(|subject| {
        let device = subject.stats.device;
        let of = move |(op, counted): &(fault::Op, Counted)| {
            (format!("device=\"{device}\",op=\"{op}\""), counted.clone())
        };
        subject.latencies.iter().map(of)
    });
    let help = "Time of a request from its arrival at a queue of bvecd until it was committed.";
    text.histograms("bvecd_request_duration_seconds", help, all.collect());
}

#[cfg(test)]
mod tests;
