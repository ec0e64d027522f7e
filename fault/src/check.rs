//! Judges whether a rule makes sense on a device, before any of its set is applied.

mod action;
mod inert;
mod trigger;

use std::collections::BTreeSet;

use crate::error::{RuleError, quoted};
use crate::facts::{ActionSet, DeviceFacts};
use crate::label::is_name;
use crate::rule::Rule;

pub use action::MAX_BAD_SECTORS;

/// How many rules a set may have.
pub const MAX_RULES: usize = 4096;

/// A field, what is wrong with it, and what would be right.
#[derive(Debug)]
pub(crate) struct Fault {
    field: &'static str,
    problem: String,
    expected: String,
}

fn fault(field: &'static str, problem: impl Into<String>, expected: impl Into<String>) -> Fault {
    Fault {
        field,
        problem: problem.into(),
        expected: expected.into(),
    }
}

/// Checks the rules of a set, each alone and all together. They are in the order of the list, and are
/// evaluated in that of `order`.
pub(crate) fn check_rules(
    rules: &[Rule],
    order: &[usize],
    facts: &DeviceFacts,
) -> Result<(), RuleError> {
    let mut names = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let locate = |fault: Fault| located(rules, index, fault);
        if index >= MAX_RULES {
            let problem = format!("there are {} rules", rules.len());
            let expected = format!("at most {MAX_RULES} in a set");
            return Err(locate(fault("name", problem, expected)));
        }
        check_rule(rule, facts).map_err(locate)?;
        if !names.insert(rule.name.as_str()) {
            let problem = format!("{} is taken by an earlier rule", quoted(&rule.name));
            return Err(locate(fault("name", problem, "a name of its own")));
        }
    }
    check_shadowed(rules, order)
}

fn located(rules: &[Rule], index: usize, fault: Fault) -> RuleError {
    RuleError {
        rule: rules
            .get(index)
            .map_or_else(String::new, |rule| rule.name.clone()),
        index,
        field: fault.field.to_owned(),
        problem: fault.problem,
        expected: fault.expected,
    }
}

fn check_rule(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    check_name(rule)?;
    check_sectors(rule, facts)?;
    trigger::check(rule)?;
    action::check(rule, facts)?;
    if !rule.options.allow_inert {
        inert::check(rule, facts)?;
    }
    check_support(rule, facts)
}

/// Finds a rule that is never reached, because one before it decides on all that it selects.
fn check_shadowed(rules: &[Rule], order: &[usize]) -> Result<(), RuleError> {
    let mut takers: Vec<&Rule> = Vec::new();
    let in_order = order
        .iter()
        .filter_map(|index| Some((*index, rules.get(*index)?)));
    for (index, rule) in in_order {
        let hidden = !rule.options.allow_inert && rule.action.is_terminal();
        let by = takers
            .iter()
            .find(|taker| hidden && inert::covers(taker, rule));
        if let Some(by) = by {
            let problem = format!("`{}` decides on all that it selects", by.name);
            let expected = "a higher prio, or a narrower rule before it";
            return Err(located(rules, index, fault("action", problem, expected)));
        }
        // Few, as each must take everything that it selects.
        if inert::takes_all(rule) && takers.len() < 64 {
            takers.push(rule);
        }
    }
    Ok(())
}

fn check_name(rule: &Rule) -> Result<(), Fault> {
    let expected = "1 to 64 letters, digits, `.`, `_` or `-`, the first one a letter or digit";
    match is_name(&rule.name) {
        true => Ok(()),
        false => Err(fault(
            "name",
            format!("found {}", quoted(&rule.name)),
            expected,
        )),
    }
}

fn check_sectors(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    let selector = &rule.selector;
    if selector.align.is_some_and(|align| align.0 == 0) {
        return Err(fault("where.align", "found 0", "at least one sector"));
    }
    let Some(lba) = &selector.lba else {
        if selector.overlap.is_any() {
            return Ok(());
        }
        let problem = format!(
            "`{}` without sectors selects nothing less",
            selector.overlap
        );
        return Err(fault("where.overlap", problem, "an lba beside it"));
    };
    for range in lba.iter() {
        if range.end().0 > facts.sectors {
            let last = range.end().0 - 1;
            let problem = format!("{range} reaches to sector {last}, past the end of the device");
            let expected = format!(
                "sectors below {}, the size of the device in sectors",
                facts.sectors
            );
            return Err(fault("where.lba", problem, expected));
        }
    }
    Ok(())
}

/// What the rule needs of the daemon, part by part.
fn check_support(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    let parts = [
        ("action", rule.action.needs()),
        ("where", rule.selector.needs()),
        ("when", rule.trigger.needs()),
        (
            "with",
            rule.needs() & (ActionSet::ARM | ActionSet::ON_REMOVE),
        ),
    ];
    for (part, needs) in parts {
        let missing = needs.difference(facts.supported);
        if !missing.is_empty() {
            let names: Vec<String> = missing
                .iter_names()
                .map(|(name, _)| name.to_lowercase())
                .collect();
            let problem = format!("this daemon cannot carry it out ({})", names.join(", "));
            return Err(fault(part, problem, "what this daemon can do"));
        }
    }
    let staged = ActionSet::CORRUPT | ActionSet::TORN | ActionSet::MISDIRECT | ActionSet::DATA;
    if !facts.can_stage && rule.needs().intersects(staged) {
        let problem =
            "the data of this device's requests cannot be moved through memory of the daemon";
        return Err(fault("action", problem, "another data path"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: DeviceFacts = DeviceFacts::of_size(4096);

    fn check_rules(rules: &[Rule], facts: DeviceFacts) -> Result<(), RuleError> {
        let order: Vec<usize> = (0..rules.len()).collect();
        super::check_rules(rules, &order, &facts)
    }

    fn rule(name: &str, json: &str) -> Rule {
        let text = format!(r#"{{"name":"{name}",{json}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    const FAIL: &str = r#""action":{"fail":{}}"#;

    /// Bad rules: name, the rest, and the field that is wrong.
    const BAD: [(&str, &str, &str); 19] = [
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
            let error = check_rules(&rules, FACTS).unwrap_err();
            assert_eq!((error.index, error.field.as_str()), (1, field), "{error}");
            assert_eq!(error.rule, name);
        }
    }

    #[test]
    fn a_name_is_taken_once_and_a_set_is_bounded() {
        let twice = check_rules(&[rule("a", FAIL), rule("a", FAIL)], FACTS).unwrap_err();
        assert!(twice.problem.contains("taken"), "{twice}");
        let many: Vec<Rule> = (0..=MAX_RULES)
            .map(|n| rule(&format!("r{n}"), r#""action":{"delay":{"dist":"1ms"}}"#))
            .collect();
        assert!(check_rules(&many[..MAX_RULES], FACTS).is_ok());
        assert_eq!(check_rules(&many, FACTS).unwrap_err().index, MAX_RULES);
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
            r#"{"name":"a","action":{"fail":{}},"with":{"priority":1}}"#,
        ] {
            assert!(serde_json::from_str::<Rule>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn not_a_number_is_no_probability() {
        let mut nan = rule("a", r#""action":{"fail":{}}"#);
        nan.trigger.prob = Some(f64::NAN);
        assert_eq!(check_rules(&[nan], FACTS).unwrap_err().field, "when.prob");
    }
}
