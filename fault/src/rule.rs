//! A rule: the one description that words, TOML, JSON and the engine share.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::action::Action;
use crate::error::WordsError;
use crate::facts::ActionSet;
use crate::label::Label;
use crate::options::{Arm, Options};
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
    /// How it stands among the others, and how it comes and goes.
    #[serde(rename = "with", default, skip_serializing_if = "Options::is_default")]
    pub options: Options,
}

impl Rule {
    /// Reads a rule from words: `ACTION [where SEL,...] [when TRIG,...] [with OPT,...]`.
    ///
    /// # Errors
    /// The words are not a rule; the error names the column and what would be right there.
    pub fn parse(name: &str, text: &str) -> Result<Self, WordsError> {
        words::parse(name, text)
    }

    /// What the daemon must be able to carry out, and to tell of a request.
    #[must_use]
    pub fn needs(&self) -> ActionSet {
        let mut needs = self.action.needs() | self.selector.needs() | self.trigger.needs();
        needs.set(ActionSet::ARM, self.options.arm == Arm::Manual);
        needs.set(ActionSet::ON_REMOVE, !self.options.on_remove.is_default());
        needs
    }

    /// The states and marks that it names.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &Label> {
        let arm = match &self.options.arm {
            Arm::Mark(label) => Some(label),
            _ => None,
        };
        let set = match &self.action {
            Action::SetState { state } => Some(state),
            Action::Mark { label } => Some(label),
            _ => None,
        };
        let trigger = [
            self.trigger.state.as_ref(),
            self.trigger.after_mark.as_ref(),
        ];
        trigger.into_iter().chain([arm, set]).flatten()
    }

    /// Whether what it does, or when, depends on the time.
    pub(crate) fn needs_clock(&self) -> bool {
        self.action.needs_clock() || self.trigger.needs_clock() || self.options.ttl_ns.is_some()
    }

    /// Whether anything is drawn for it.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.trigger.prob.is_some() || self.action.draws()
    }

    /// The seed of its draws, if it has one of its own.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.options.seed.or(self.trigger.seed)
    }
}

/// The canonical words: `ACTION [where SEL,...] [when TRIG,...] [with OPT,...]`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        if !self.selector.is_everything() {
            write!(f, " where {}", self.selector)?;
        }
        if !self.trigger.is_always() {
            write!(f, " when {}", self.trigger)?;
        }
        if !self.options.is_default() {
            write!(f, " with {}", self.options)?;
        }
        Ok(())
    }
}
