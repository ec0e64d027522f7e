//! Rules as tables, and one rule with all its counts.

use api::{RuleList, RuleStatus};

use crate::output::{fields, or_dash, table};

/// The rules of a device.
pub(super) fn list_text(list: &RuleList) -> String {
    if list.rules.is_empty() {
        return format!(
            "device {} has no rules; add one as `bvecctl fault add --help` shows",
            list.device
        );
    }
    let rows = list.rules.iter().map(|status| {
        [
            status.rule.name.clone(),
            status.words.clone(),
            status.counters.matched.to_string(),
            status.counters.fired.to_string(),
            status.held.to_string(),
            switches(status),
        ]
    });
    let heads = ["rule", "words", "matched", "fired", "held", ""];
    table(&heads, &["matched", "fired", "held"], rows)
}

/// Why the rule does nothing at all now; empty if it may.
fn switches(status: &RuleStatus) -> String {
    match (status.enabled, status.armed) {
        (false, _) => "disabled".to_owned(),
        (true, false) => "not armed".to_owned(),
        (true, true) => String::new(),
    }
}

/// Everything about one rule.
pub(super) fn rule_text(status: &RuleStatus) -> String {
    let counters = &status.counters;
    fields([
        ("rule", status.rule.name.clone()),
        ("words", status.words.clone()),
        (
            "state",
            match switches(status).as_str() {
                "" => "armed and enabled".to_owned(),
                other => other.to_owned(),
            },
        ),
        ("since generation", status.since.to_string()),
        ("held now", status.held.to_string()),
        ("matched", counters.matched.to_string()),
        ("fired", counters.fired.to_string()),
        (
            "skipped",
            format!("{} by skip, nth or every", counters.skipped),
        ),
        (
            "missed",
            format!("{} by the draw of prob", counters.prob_miss),
        ),
        (
            "exhausted",
            format!("{} after count was used up", counters.exhausted),
        ),
        (
            "shadowed",
            format!("{} by an earlier rule", counters.shadowed),
        ),
        (
            "first fired",
            format!("at sector {}", or_dash(counters.first_fired)),
        ),
        (
            "last fired",
            format!("at sector {}", or_dash(counters.last_fired)),
        ),
    ])
}

#[cfg(test)]
pub(super) mod tests {
    use api::SCHEMA;
    use api::fault::{Counters, Rule, Sector};

    use super::*;

    /// A rule that has fired once.
    pub(in super::super) fn status(name: &str, words: &str) -> RuleStatus {
        let rule = Rule::parse(name, words).unwrap();
        let counters = Counters {
            matched: 120,
            fired: 1,
            exhausted: 119,
            first_fired: Some(Sector(2048)),
            last_fired: Some(Sector(2048)),
            ..Counters::default()
        };
        RuleStatus {
            words: rule.to_string(),
            rule,
            counters,
            since: 2,
            held: 0,
            armed: true,
            enabled: true,
        }
    }

    #[test]
    fn a_list_shows_words_and_counts() {
        let list = RuleList {
            schema: SCHEMA,
            device: 0,
            generation: 2,
            seed: 0,
            rules: vec![
                status("bad", "fail:MEDIUM where op=read,lba=2048+8 when count=1"),
                status(
                    "long",
                    "hold:max=30s,then=fail:TIMEOUT where op=read|write,lba=1M+4K|2M+4K|3M+4K,\
                     overlap=covers when skip=1000,every=100,prob=0.1,count=3,seed=12345",
                ),
            ],
        };
        let text = list_text(&list);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_rule_is_shown_whole() {
        insta::assert_snapshot!(rule_text(&status("bad", "fail:MEDIUM when count=1")));
    }
}
