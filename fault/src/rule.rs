//! A rule: the one description that words, TOML, JSON and the engine share.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::action::Action;
use crate::error::WordsError;
use crate::selector::Selector;
use crate::trigger::Trigger;
use crate::words;

/// A named fault: what to do, to which requests, and when.
///
/// In JSON and TOML: `{"name": "bad", "where": {"op": ["read"], "lba": "2048+8"}, "when": {"count": 1},
/// "action": {"fail": {"status": "MEDIUM"}}}`. `Display` writes the same in words, without the name.
///
/// A value of this type is well formed but may still make no sense, such as a range past the end of the
/// device; [`crate::RuleSet::compile`] judges that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the rule is called, unique on its device: 1 to 64 letters, digits, `.`, `_` or `-`, the first
    /// one a letter or digit.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "bad")]
    pub name: String,
    /// Which requests it is about; all if absent.
    #[serde(
        rename = "where",
        default,
        skip_serializing_if = "Selector::is_everything"
    )]
    pub selector: Selector,
    /// When it fires among those; always if absent.
    #[serde(rename = "when", default, skip_serializing_if = "Trigger::is_always")]
    pub trigger: Trigger,
    /// What it does then.
    pub action: Action,
}

impl Rule {
    /// Reads a rule from words: `ACTION [where SEL,...] [when TRIG,...]`.
    ///
    /// # Errors
    /// The words are not a rule; the error names the column and what would be right there.
    pub fn parse(name: &str, text: &str) -> Result<Self, WordsError> {
        words::parse(name, text)
    }
}

/// The canonical words: `ACTION [where SEL,...] [when TRIG,...]`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        if !self.selector.is_everything() {
            write!(f, " where {}", self.selector)?;
        }
        if !self.trigger.is_always() {
            write!(f, " when {}", self.trigger)?;
        }
        Ok(())
    }
}
