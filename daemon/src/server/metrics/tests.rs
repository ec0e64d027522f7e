use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use api::SCHEMA;
use fault::{Op, Rule, RuleReport};
use serde_json::Value;

use super::*;
use crate::latency::Latencies;

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
    let latencies = Latencies::default();
    latencies.count(1_500);
    latencies.count(50_000_000);
    Subject {
        latencies: vec![(Op::Read, Counted::of(std::iter::once(&latencies)))],
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
        let text = render(&[subject()], open);
        for line in [
            meta,
            "bvecd_requests_total{device=\"3\",op=\"read\"} 12",
            "bvecd_held_requests{device=\"3\"} 1",
            "bvecd_rule_fired_total{device=\"3\",rule=\"slow\"} 7",
            "bvecd_rule_held_requests{device=\"3\",rule=\"slow\"} 1",
            "bvecd_request_duration_seconds_bucket{device=\"3\",op=\"read\",le=\"0.000001024\"} 0",
            "bvecd_request_duration_seconds_bucket{device=\"3\",op=\"read\",le=\"0.000002048\"} 1",
            "bvecd_request_duration_seconds_bucket{device=\"3\",op=\"read\",le=\"+Inf\"} 2",
            "bvecd_request_duration_seconds_count{device=\"3\",op=\"read\"} 2",
            "bvecd_request_duration_seconds_sum{device=\"3\",op=\"read\"} 0.050001500",
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
    assert_eq!(render(&[], true), "# EOF\n");
    assert_eq!(render(&[], false), "");
}

#[test]
fn labels_cannot_break_out() {
    assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
}

/// The names of samples and of labels in a text.
fn vocabulary(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for (name, rest) in samples.filter_map(|line| line.split_once('{')) {
        names.insert(name.to_owned());
        for part in rest.split('=').rev().skip(1) {
            let label = part.rsplit([',', '{']).next().unwrap_or_default();
            labels.insert(label.to_owned());
        }
    }
    (names, labels)
}

/// What a query of the dashboard names that is not there.
fn unknown(query: &str, (names, labels): &(BTreeSet<String>, BTreeSet<String>)) -> Vec<String> {
    const LANGUAGE: [&str; 8] = [
        "sum",
        "by",
        "rate",
        "increase",
        "histogram_quantile",
        "label_values",
        "max",
        "__rate_interval",
    ];
    // What is quoted, and times in brackets, name nothing.
    let bare: String = query
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ")
        .replace("[1m]", " ");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = bare.split(|c| !is_part(c));
    let words = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let known =
        |word: &&str| names.contains(*word) || labels.contains(*word) || LANGUAGE.contains(word);
    words
        .filter(|word| !known(word))
        .map(str::to_owned)
        .collect()
}

/// Every value of these keys, wherever it is.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value.as_str()) {
                    ("expr", Some(query)) => found.push(query.to_owned()),
                    ("query", Some(query)) if query.contains('(') => found.push(query.to_owned()),
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard = include_str!("../../../../docs/metrics.dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let known = vocabulary(&render(&[subject()], true));
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() > 8, "{found:?}");
    for query in &found {
        assert_eq!(unknown(query, &known), Vec::<String>::new(), "{query}");
    }
    // Every family is on it.
    let all = found.join(" ");
    for name in &known.0 {
        let rest = ["_count", "_sum"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
        assert!(
            rest || all.contains(name.as_str()),
            "{name} is not on the dashboard"
        );
    }
    for (query, wrong) in [
        ("rate(bvecd_request_total[1m])", "bvecd_request_total"),
        ("sum by (devise) (bvecd_held_requests)", "devise"),
    ] {
        assert_eq!(unknown(query, &known), [wrong]);
    }
}

/// What promtool says of a text; none where there is no promtool, which is said, and fails the continuous
/// integration. `cargo xtask test` says where it is.
fn promtool(text: &str) -> Option<(bool, String)> {
    let program = env::var_os("BVECD_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(env::var_os("CI").is_none(), "there is no promtool");
        println!("not run: there is no promtool (`cargo xtask setup` fetches it)");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let ended = child.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some((ended.status.success(), said))
}

/// promtool reads the older form; the suite reads OpenMetrics with a parser of its own.
#[test]
fn promtool_finds_nothing() {
    let text = render(&[subject()], false);
    if let Some((good, said)) = promtool(&text) {
        assert!(good && said.is_empty(), "{said}\n{text}");
        let (good, said) = promtool(&text.replace("_total", "")).unwrap();
        assert!(!good, "what is wrong is not found: {said}");
    }
}
