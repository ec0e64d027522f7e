//! A whole set of rules, as files and bodies hold it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::document::Format;
use crate::rule::Rule;

/// A set of rules that takes the place of the one before. The same in TOML, where each rule is a table
/// `[[rule]]`, and in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Version of this form; 1.
    #[schema(value_type = u32, minimum = 1, maximum = 1)]
    pub version: Version,
    /// Seed of the draws of rules without one of their own; that of the device if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether rules that can never do anything are accepted, as if each said `allow_inert` itself.
    #[serde(default, skip_serializing_if = "is_no")]
    pub allow_inert: bool,
    /// The rules, in the order of evaluation.
    #[serde(default)]
    pub rule: Vec<Rule>,
}

const fn is_no(value: &bool) -> bool {
    !*value
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
            allow_inert: false,
            rule,
        }
    }

    /// Its rules as they are meant: each that draws with the file's seed unless it has one of its own.
    #[must_use]
    pub fn into_rules(self) -> Vec<Rule> {
        let Self {
            seed, allow_inert, ..
        } = self;
        let meant = |mut rule: Rule| {
            if rule.draws() && rule.seed().is_none() {
                match rule.trigger.prob.is_some() {
                    true => rule.trigger.seed = seed,
                    false => rule.options.seed = seed,
                }
            }
            rule.options.allow_inert |= allow_inert;
            rule
        };
        self.rule.into_iter().map(meant).collect()
    }

    /// The text of the file. In words, which have no place for it, its seed goes into the rules that draw.
    ///
    /// # Errors
    /// A number does not fit into the language: TOML has 63 bits.
    pub fn write(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Toml => toml::to_string_pretty(self).map_err(|error| error.to_string()),
            Format::Json => serde_json::to_string_pretty(self).map_err(|error| error.to_string()),
            Format::Words => {
                let rules = self.clone().into_rules();
                let lines = rules.iter().map(|rule| format!("{}: {rule}\n", rule.name));
                Ok(lines.collect())
            }
        }
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
            {"name":"c","action":{"fail":{}}},
            {"name":"d","action":{"delay":{"dist":"uniform:1ms/5ms"}}}]}"#;
        let file: RuleFile = serde_json::from_str(json).unwrap();
        let seeds = file.into_rules().into_iter().map(|rule| rule.seed());
        let expected = [Some(42), Some(7), None, Some(42)];
        assert_eq!(seeds.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_a_file_allows_its_rules_are_allowed() {
        let json = r#"{"version":1,"allow_inert":true,"rule":[{"name":"a","action":{"fail":{}}}]}"#;
        let file: RuleFile = serde_json::from_str(json).unwrap();
        assert!(file.into_rules()[0].options.allow_inert);
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
