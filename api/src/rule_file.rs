//! A whole set of rules, as files hold it.

use fault::Rule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A set of rules that takes the place of the one before. The same in TOML, where each rule is a table
/// `[[rule]]`, and in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Version of this form; 1.
    #[schema(value_type = u32, minimum = 1, maximum = 1)]
    pub version: Version,
    /// Seed of the draws of rules without one of their own; that of the device if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The rules, in the order of evaluation.
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// The version of a file that this program reads: 1 and no other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            1 => Ok(Self),
            other => Err(format!("found version `{other}`, expected 1")),
        }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        1
    }
}

impl RuleFile {
    /// A file of these rules.
    #[must_use]
    pub const fn new(rule: Vec<Rule>) -> Self {
        Self {
            version: Version,
            seed: None,
            rule,
        }
    }

    /// Its rules, each that draws with the file's seed unless it has one of its own.
    #[must_use]
    pub fn into_rules(self) -> Vec<Rule> {
        let seed = self.seed;
        let with_seed = |mut rule: Rule| {
            if rule.trigger.prob.is_some() {
                rule.trigger.seed = rule.trigger.seed.or(seed);
            }
            rule
        };
        self.rule.into_iter().map(with_seed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_seed_is_that_of_rules_without_one() {
        let json = r#"{"version":1,"seed":42,"rule":[
            {"name":"a","when":{"prob":0.5},"action":{"fail":{}}},
            {"name":"b","when":{"prob":0.5,"seed":7},"action":{"fail":{}}},
            {"name":"c","action":{"fail":{}}}]}"#;
        let file: RuleFile = serde_json::from_str(json).unwrap();
        let seeds = file.into_rules().into_iter().map(|rule| rule.trigger.seed);
        assert_eq!(seeds.collect::<Vec<_>>(), [Some(42), Some(7), None]);
    }

    #[test]
    fn other_versions_and_keys_are_refused() {
        for (json, must_say) in [
            (r#"{"version":2}"#, "expected 1"),
            (r#"{"rule":[]}"#, "version"),
            (r#"{"version":1,"rules":[]}"#, "rules"),
        ] {
            let error = serde_json::from_str::<RuleFile>(json).unwrap_err();
            assert!(error.to_string().contains(must_say), "{json}: {error}");
        }
        let file = RuleFile::new(Vec::new());
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(json, r#"{"version":1,"rule":[]}"#);
    }
}
