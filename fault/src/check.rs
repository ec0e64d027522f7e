//! Judges whether a rule makes sense on a device, before any of its set is applied.

use std::collections::BTreeSet;

use crate::action::{Action, MAX_PARK_NS};
use crate::error::{RuleError, quoted};
use crate::rule::Rule;
use crate::sector::Geometry;
use crate::span::format_ns;

/// How many rules a set may have. Each is looked at for each request.
pub const MAX_RULES: usize = 1024;

/// A field, what is wrong with it, and what would be right.
type Fault = (&'static str, String, String);

/// Checks the rules of a set, each alone and all together.
pub(crate) fn check_rules(rules: &[Rule], geometry: Geometry) -> Result<(), RuleError> {
    let mut names = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let locate = |(field, problem, expected): Fault| RuleError {
            rule: rule.name.clone(),
            index,
            field: field.to_owned(),
            problem,
            expected,
        };
        if index >= MAX_RULES {
            let problem = format!("there are {} rules", rules.len());
            return Err(locate((
                "name",
                problem,
                format!("at most {MAX_RULES} in a set"),
            )));
        }
        check_rule(rule, geometry).map_err(locate)?;
        if !names.insert(rule.name.as_str()) {
            let problem = format!("{} is taken by an earlier rule", quoted(&rule.name));
            return Err(locate(("name", problem, "a name of its own".to_owned())));
        }
    }
    Ok(())
}

fn check_rule(rule: &Rule, geometry: Geometry) -> Result<(), Fault> {
    check_name(rule)?;
    check_selector(rule, geometry)?;
    check_trigger(rule)?;
    check_action(rule)
}

fn check_name(rule: &Rule) -> Result<(), Fault> {
    let first_fits = rule.name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let all_fit = rule
        .name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if first_fits && all_fit && rule.name.len() <= 64 {
        return Ok(());
    }
    let expected = "1 to 64 letters, digits, `.`, `_` or `-`, the first one a letter or digit";
    Err((
        "name",
        format!("found {}", quoted(&rule.name)),
        expected.to_owned(),
    ))
}

fn check_selector(rule: &Rule, geometry: Geometry) -> Result<(), Fault> {
    let selector = &rule.selector;
    let Some(lba) = &selector.lba else {
        if selector.overlap.is_any() {
            return Ok(());
        }
        let problem = format!(
            "`{}` without sectors selects nothing less",
            selector.overlap
        );
        return Err(("where.overlap", problem, "an lba beside it".to_owned()));
    };
    for range in lba.iter() {
        if range.end().0 > geometry.sectors {
            let last = range.end().0 - 1;
            let problem = format!("{range} reaches to sector {last}, past the end of the device");
            let sectors = geometry.sectors;
            let expected = format!("sectors below {sectors}, the size of the device in sectors");
            return Err(("where.lba", problem, expected));
        }
    }
    if selector.op.iter().any(|op| op.has_sectors()) {
        return Ok(());
    }
    let problem = format!(
        "`{}` requests have no sectors, so the rule never fires",
        selector.op
    );
    Err((
        "where.lba",
        problem,
        "no lba, or an operation with sectors".to_owned(),
    ))
}

fn check_trigger(rule: &Rule) -> Result<(), Fault> {
    let trigger = &rule.trigger;
    if let Some(prob) = trigger.prob.filter(|prob| !(0.0..=1.0).contains(prob)) {
        return Err((
            "when.prob",
            format!("found {prob}"),
            "a probability from 0 to 1".to_owned(),
        ));
    }
    let counts = [
        ("when.nth", trigger.nth),
        ("when.every", trigger.every),
        ("when.count", trigger.count),
    ];
    for (field, count) in counts {
        if count == Some(0) {
            return Err((field, "0 means never".to_owned(), "1 or more".to_owned()));
        }
    }
    if trigger.nth.is_some() && trigger.every.is_some() {
        let problem = "given together with `nth`".to_owned();
        return Err(("when.every", problem, "either `nth` or `every`".to_owned()));
    }
    if let (Some(_), Some(count @ 2..)) = (trigger.nth, trigger.count) {
        let problem = format!("`nth` fires once, so a count of {count} is never reached");
        return Err((
            "when.count",
            problem,
            "1 or no count, or `every` for `nth`".to_owned(),
        ));
    }
    if trigger.seed.is_some() && trigger.prob.is_none() {
        let problem = "nothing is drawn without `prob`".to_owned();
        return Err(("when.seed", problem, "a prob beside it".to_owned()));
    }
    Ok(())
}

fn check_action(rule: &Rule) -> Result<(), Fault> {
    let (field, ns) = match rule.action {
        Action::Fail { .. } => return Ok(()),
        Action::Delay { ns } => ("action.delay.ns", ns),
        Action::Hold { max_ns, .. } => ("action.hold.max_ns", max_ns),
    };
    if (1..=MAX_PARK_NS).contains(&ns) {
        return Ok(());
    }
    let expected = format!("1 to {MAX_PARK_NS} ({})", format_ns(MAX_PARK_NS));
    Err((field, format!("found {ns}"), expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { sectors: 4096 };

    fn rule(name: &str, json: &str) -> Rule {
        let text = format!(r#"{{"name":"{name}",{json}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    const FAIL: &str = r#""action":{"fail":{}}"#;

    /// Bad rules: name, the rest, and the field that is wrong.
    const BAD: [(&str, &str, &str); 21] = [
        ("", FAIL, "name"),
        ("a b", FAIL, "name"),
        ("a/b", FAIL, "name"),
        ("-a", FAIL, "name"),
        ("é", FAIL, "name"),
        (
            "a",
            r#""where":{"lba":"4090+8"},"action":{"fail":{}}"#,
            "where.lba",
        ),
        (
            "a",
            r#""where":{"lba":"0+8|4096"},"action":{"fail":{}}"#,
            "where.lba",
        ),
        (
            "a",
            r#""where":{"op":["flush"],"lba":"0+8"},"action":{"fail":{}}"#,
            "where.lba",
        ),
        (
            "a",
            r#""where":{"overlap":"exact"},"action":{"fail":{}}"#,
            "where.overlap",
        ),
        (
            "a",
            r#""when":{"prob":1.01},"action":{"fail":{}}"#,
            "when.prob",
        ),
        (
            "a",
            r#""when":{"prob":-0.5},"action":{"fail":{}}"#,
            "when.prob",
        ),
        ("a", r#""when":{"nth":0},"action":{"fail":{}}"#, "when.nth"),
        (
            "a",
            r#""when":{"every":0},"action":{"fail":{}}"#,
            "when.every",
        ),
        (
            "a",
            r#""when":{"count":0},"action":{"fail":{}}"#,
            "when.count",
        ),
        (
            "a",
            r#""when":{"nth":1,"every":2},"action":{"fail":{}}"#,
            "when.every",
        ),
        (
            "a",
            r#""when":{"nth":1,"count":2},"action":{"fail":{}}"#,
            "when.count",
        ),
        (
            "a",
            r#""when":{"seed":2},"action":{"fail":{}}"#,
            "when.seed",
        ),
        ("a", r#""action":{"delay":{"ns":0}}"#, "action.delay.ns"),
        (
            "a",
            r#""action":{"delay":{"ns":3600000000001}}"#,
            "action.delay.ns",
        ),
        (
            "a",
            r#""action":{"hold":{"max_ns":0}}"#,
            "action.hold.max_ns",
        ),
        (
            "a",
            r#""action":{"hold":{"max_ns":3600000000001}}"#,
            "action.hold.max_ns",
        ),
    ];

    #[test]
    fn bad_rules_are_refused_with_their_field() {
        let long = "x".repeat(65);
        for (name, json, field) in BAD.into_iter().chain([(long.as_str(), FAIL, "name")]) {
            let rules = [rule("good", FAIL), rule(name, json)];
            let error = check_rules(&rules, GEOMETRY).unwrap_err();
            assert_eq!((error.index, error.field.as_str()), (1, field), "{error}");
            assert_eq!(error.rule, name);
        }
    }

    #[test]
    fn a_name_is_taken_once_and_a_set_is_bounded() {
        let twice = check_rules(&[rule("a", FAIL), rule("a", FAIL)], GEOMETRY).unwrap_err();
        assert!(twice.problem.contains("taken"), "{twice}");
        let many: Vec<Rule> = (0..=MAX_RULES)
            .map(|n| rule(&format!("r{n}"), FAIL))
            .collect();
        assert!(check_rules(&many[..MAX_RULES], GEOMETRY).is_ok());
        assert_eq!(check_rules(&many, GEOMETRY).unwrap_err().index, MAX_RULES);
    }

    #[test]
    fn unknown_and_misspelt_keys_are_refused() {
        for json in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","action":{}}"#,
            r#"{"name":"a","action":{"fial":{}}}"#,
            r#"{"name":"a","action":{"fail":{"state":"MEDIUM"}}}"#,
            r#"{"name":"a","action":{"fail":{"status":"EPERM"}}}"#,
            r#"{"name":"a","action":{"hold":{"max":5}}}"#,
            r#"{"name":"a","action":{"fail":{}},"where":{"ops":["read"]}}"#,
            r#"{"name":"a","action":{"fail":{}},"when":{"nth":-1}}"#,
            r#"{"name":"a","action":{"fail":{}},"prio":1}"#,
        ] {
            assert!(serde_json::from_str::<Rule>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn not_a_number_is_no_probability() {
        let mut nan = rule("a", r#""action":{"fail":{}}"#);
        nan.trigger.prob = Some(f64::NAN);
        assert_eq!(
            check_rules(&[nan], GEOMETRY).unwrap_err().field,
            "when.prob"
        );
    }
}
