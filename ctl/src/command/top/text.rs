//! A view as plain tables, and the cells that the live view shares with them.

use api::fault::Op;

use super::rates::{DeviceView, OpRate, View};
use crate::command::dev::word;
use crate::output::{counted, table};
use crate::units::{about, about_ns};

/// The heads of the table of devices.
pub(super) const DEVICE_HEADS: [&str; 11] = [
    "dev", "state", "read/s", "bytes/s", "latency", "write/s", "bytes/s", "latency", "busy",
    "held", "fired/s",
];

/// The heads of the table of rules.
pub(super) const RULE_HEADS: [&str; 6] = ["dev", "rule", "words", "matched/s", "fired/s", "fired"];

/// The heads of the table of held requests.
pub(super) const HOLD_HEADS: [&str; 7] = [
    "dev",
    "hold_id",
    "rule",
    "request",
    "queue/tag",
    "held for",
    "at most",
];

/// A view as text.
pub(super) fn of(view: &View) -> String {
    if view.devices.is_empty() {
        return "there are no devices; make one with `bvecctl dev add ram --size 256M`".to_owned();
    }
    let mut parts = vec![table(
        &DEVICE_HEADS,
        &DEVICE_HEADS[2..],
        view.devices.iter().map(device_cells),
    )];
    let rules = rule_rows(view);
    if !rules.is_empty() {
        parts.push(table(&RULE_HEADS, &RULE_HEADS[3..], rules));
    }
    let holds = hold_rows(view);
    if !holds.is_empty() {
        parts.push(table(
            &HOLD_HEADS,
            &["hold_id", "held for", "at most"],
            holds,
        ));
    }
    parts.join("\n\n")
}

/// One line about everything.
pub(super) fn summary(view: &View) -> String {
    let devices = u64::try_from(view.devices.len()).unwrap_or(u64::MAX);
    let sum = |part: fn(&DeviceView) -> u64| view.devices.iter().map(part).sum::<u64>();
    format!(
        "{}, {} in flight, {} held, {} delayed",
        counted(devices, "device"),
        sum(|device| device.inflight),
        sum(|device| device.held),
        sum(|device| device.delayed),
    )
}

pub(super) fn device_cells(device: &DeviceView) -> Vec<String> {
    let op = |op| {
        let rate = device.op(op);
        [
            rate.map_or_else(dash, |rate| rate_text(rate.ios_per_s)),
            rate.map_or_else(dash, |rate| about(whole(rate.bytes_per_s))),
            rate.and_then(|rate: &OpRate| rate.latency_ns)
                .map_or_else(dash, about_ns),
        ]
    };
    let mut cells = vec![device.device.to_string(), word(&device.state)];
    cells.extend(op(Op::Read));
    cells.extend(op(Op::Write));
    cells.push(device.inflight.to_string());
    cells.push(device.held.to_string());
    cells.push(rate_text(device.fired_per_s));
    cells
}

/// The rules that fire come first, else their own order stands.
pub(super) fn rule_rows(view: &View) -> Vec<Vec<String>> {
    let rules = view
        .devices
        .iter()
        .flat_map(|device| device.rules.iter().map(move |rule| (device.device, rule)));
    let mut rules: Vec<_> = rules.collect();
    rules.sort_by(|(_, a), (_, b)| b.fired_per_s.total_cmp(&a.fired_per_s));
    let row = |(device, rule): &(u32, &super::rates::RuleRate)| {
        vec![
            device.to_string(),
            rule.rule.clone(),
            rule.words.clone(),
            rate_text(rule.matched_per_s),
            rate_text(rule.fired_per_s),
            rule.fired.to_string(),
        ]
    };
    rules.iter().map(row).collect()
}

pub(super) fn hold_rows(view: &View) -> Vec<Vec<String>> {
    let holds = view.devices.iter().flat_map(|device| &device.holds);
    holds
        .map(|hold| {
            vec![
                hold.device.to_string(),
                hold.hold_id.to_string(),
                hold.rule.clone(),
                format!("{} {}+{}", hold.op, hold.sector, hold.sectors),
                format!("{}/{}", hold.queue, hold.tag),
                about_ns(hold.held_ns),
                about_ns(hold.max_ns),
            ]
        })
        .collect()
}

/// A rate with as many digits as it deserves.
fn rate_text(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        _ if rate < 9.95 => format!("{rate:.1}"),
        _ => whole(rate).to_string(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are not negative, and saturate"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::rates::tests::view;
    use super::*;

    #[test]
    fn a_view_is_tables_that_fit_a_terminal() {
        let text = of(&view());
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn rates_have_the_digits_they_deserve() {
        for (rate, text) in [(0.0, "0"), (0.44, "0.4"), (9.96, "10"), (12_000.4, "12000")] {
            assert_eq!(rate_text(rate), text);
        }
    }
}
