//! What happened between two looks, as rates.

use std::time::Duration;

use api::fault::Op;
use api::{DataPath, DeviceState, Hold, OpStats, RuleStatus, SCHEMA};
use serde::Serialize;

use super::sample::{DeviceSample, Sample};

/// What the devices did in an interval. One of these a line is the output of `top --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct View {
    pub(super) schema: u32,
    pub(super) interval_ns: u64,
    pub(super) devices: Vec<DeviceView>,
}

/// What one device did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DeviceView {
    pub(super) device: u32,
    pub(super) target: &'static str,
    pub(super) data_path: DataPath,
    pub(super) state: DeviceState,
    pub(super) generation: u64,
    pub(super) ops: Vec<OpRate>,
    pub(super) inflight: u64,
    pub(super) held: u64,
    pub(super) delayed: u64,
    pub(super) fired_per_s: f64,
    pub(super) rules: Vec<RuleRate>,
    pub(super) holds: Vec<Hold>,
}

/// What became of the requests of one operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct OpRate {
    pub(super) op: Op,
    pub(super) ios_per_s: f64,
    pub(super) bytes_per_s: f64,
    pub(super) errors_per_s: f64,
    /// The kernel's mean of what completed; null if nothing did or nobody counts it.
    pub(super) latency_ns: Option<u64>,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RuleRate {
    pub(super) rule: String,
    pub(super) words: String,
    pub(super) matched_per_s: f64,
    pub(super) fired_per_s: f64,
    pub(super) matched: u64,
    pub(super) fired: u64,
    pub(super) held: u32,
}

impl View {
    /// What happened from `before` until `now`. A device or rule that is new is counted from nothing.
    pub(super) fn between(before: &Sample, now: &Sample) -> Self {
        let interval = now.at.saturating_duration_since(before.at);
        let devices = now.devices.iter().map(|device| {
            let old = before.devices.iter().find(|old| {
                old.device.id == device.device.id && old.stats.ops.len() == device.stats.ops.len()
            });
            DeviceView::between(old, device, interval)
        });
        Self {
            schema: SCHEMA,
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            devices: devices.collect(),
        }
    }
}

impl DeviceView {
    fn between(before: Option<&DeviceSample>, now: &DeviceSample, interval: Duration) -> Self {
        let op = |op: &OpStats| {
            let old = before.and_then(|old| old.stats.ops.iter().find(|old| old.op == op.op));
            let rate = |part: fn(&OpStats) -> u64| per_s(old.map(part), part(op), interval);
            let ticks = now
                .ticks
                .as_ref()
                .zip(before.and_then(|old| old.ticks.as_ref()));
            OpRate {
                op: op.op,
                ios_per_s: rate(|op| op.ios),
                bytes_per_s: rate(|op| op.bytes),
                errors_per_s: rate(|op| op.errors),
                latency_ns: ticks.and_then(|(now, old)| now.latency_ns(old, op.op)),
            }
        };
        let rule = |rule: &RuleStatus| {
            let mut old = before.iter().flat_map(|old| &old.rules);
            // A rule that was removed and added again counts from nothing.
            let old = old
                .find(|old| old.rule.name == rule.rule.name && old.since == rule.since)
                .map(|old| &old.counters);
            RuleRate {
                rule: rule.rule.name.clone(),
                words: rule.words.clone(),
                matched_per_s: per_s(old.map(|old| old.matched), rule.counters.matched, interval),
                fired_per_s: per_s(old.map(|old| old.fired), rule.counters.fired, interval),
                matched: rule.counters.matched,
                fired: rule.counters.fired,
                held: rule.held,
            }
        };
        let fired = before.map(|old| old.stats.faults_fired);
        Self {
            device: now.device.id,
            target: now.device.target.name(),
            data_path: now.device.data_path,
            state: now.device.state,
            generation: now.device.generation,
            ops: now.stats.ops.iter().map(op).collect(),
            inflight: now.stats.inflight,
            held: now.stats.held,
            delayed: now.stats.delayed,
            fired_per_s: per_s(fired, now.stats.faults_fired, interval),
            rules: now.rules.iter().map(rule).collect(),
            holds: now.holds.clone(),
        }
    }

    /// The rate of one operation.
    pub(super) fn op(&self, op: Op) -> Option<&OpRate> {
        self.ops.iter().find(|rate| rate.op == op)
    }
}

/// How much a count grew a second. One that fell began anew; one that is new grew from nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown with three digits"
)]
fn per_s(before: Option<u64>, now: u64, interval: Duration) -> f64 {
    let grown = now.checked_sub(before.unwrap_or(0)).unwrap_or(now);
    if interval.is_zero() {
        return 0.0;
    }
    grown as f64 / interval.as_secs_f64()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use api::DeviceStats;
    use api::fault::{Counters, Direction, Rule, Sector};

    use super::super::sample::tests::ticks;
    use super::*;
    use crate::command::dev::tests::device;

    fn sample(at: Instant, ios: u64, fired: u64, stat: &str) -> Sample {
        let op = |op: Op, ios: u64| OpStats {
            op,
            direction: op.direction(),
            ios,
            bytes: ios * 4096,
            errors: ios / 100,
        };
        let rule = Rule::parse("bad", "fail:MEDIUM where op=read,lba=2048+8").unwrap();
        let rule = RuleStatus {
            words: rule.to_string(),
            rule,
            counters: Counters {
                matched: fired * 2,
                fired,
                ..Counters::default()
            },
            since: 2,
            held: 1,
            armed: true,
            enabled: true,
        };
        let hold = Hold {
            hold_id: 7,
            device: 0,
            rule: "bad".to_owned(),
            op: Op::Read,
            direction: Direction::Destination,
            sector: Sector(2048),
            sectors: 8,
            queue: 0,
            tag: 5,
            held_ns: 1_230_000_000,
            max_ns: 30_000_000_000,
        };
        let stats = DeviceStats {
            schema: SCHEMA,
            device: 0,
            ops: vec![op(Op::Read, ios), op(Op::Write, 10), op(Op::Flush, 0)],
            inflight: 4,
            held: 1,
            delayed: 2,
            faults_fired: fired,
            backing_errors: 0,
            integrity_errors: 0,
            shared_memory: None,
            queues: Vec::new(),
        };
        let device = DeviceSample {
            device: device(0),
            stats,
            rules: vec![rule],
            holds: vec![hold],
            ticks: Some(ticks(stat)),
        };
        Sample {
            at,
            devices: vec![device],
        }
    }

    /// Two looks two seconds apart.
    pub(in super::super) fn view() -> View {
        let begin = Instant::now();
        let before = sample(begin, 1000, 10, "1000 0 0 500 10 0 0 1 0 0 0");
        let later = begin + Duration::from_secs(2);
        let now = sample(later, 25_000, 16, "25000 0 0 2900 10 0 0 1 0 0 0");
        View::between(&before, &now)
    }

    #[test]
    fn counts_become_rates() {
        let view = view();
        assert_eq!(view.interval_ns, 2_000_000_000);
        let device = &view.devices[0];
        let read = device.op(Op::Read).unwrap();
        assert_eq!((read.ios_per_s, read.errors_per_s), (12_000.0, 120.0));
        assert_eq!(read.latency_ns, Some(100_000));
        assert_eq!(device.op(Op::Write).unwrap().ios_per_s, 0.0);
        assert_eq!(
            (device.fired_per_s, device.rules[0].fired_per_s),
            (3.0, 3.0)
        );
        assert_eq!(device.rules[0].fired, 16);
    }

    #[test]
    fn what_began_anew_counts_from_nothing() {
        let second = Duration::from_secs(1);
        assert_eq!(per_s(Some(100), 20, second), 20.0);
        assert_eq!(per_s(None, 20, second), 20.0);
        assert_eq!(per_s(Some(1), 2, Duration::ZERO), 0.0);
    }
}
