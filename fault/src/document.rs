//! Rules in a file: TOML or JSON, one type. Every error is told with file, line, column, the path of the
//! field, and what would be right.
//!
//! ```
//! let text = r#"
//! version = 1
//! seed = 42
//! [[rule]]
//! name = "heap-once"
//! where = { op = ["write"], lba = "266240+8" }
//! when = { seq = "xW" }
//! action = { fail = { status = "MEDIUM" } }
//! with = { arm = "manual" }
//! "#;
//! let document = fault::Document::parse("heap.toml", text, fault::Format::Toml)?;
//! let set = document.check(&fault::DeviceFacts::of_size(1 << 20))?;
//! assert_eq!(set.len(), 1);
//!
//! let wrong = text.replace("xW", "xx");
//! let error = fault::Document::parse("heap.toml", &wrong, fault::Format::Toml).unwrap_err();
//! assert_eq!((error.line, error.column), (7, 16));
//! # Ok::<(), fault::DocumentError>(())
//! ```

mod deserializer;
mod json;
mod node;
mod toml;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::RuleError;
use crate::facts::DeviceFacts;
use crate::rule::Rule;
use crate::ruleset::RuleSet;
use node::{Node, Text};

pub use node::DocumentError;

/// The version of [`Body`] that is read and written.
const VERSION: u64 = 1;

/// The longest text that is read: 16 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// In which language a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON, with the same keys.
    Json,
}

impl Format {
    /// By the end of a file's name: `.json` is JSON, all else TOML.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let json = name.len() >= 5 && name.is_char_boundary(name.len() - 5);
        match json && name[name.len() - 5..].eq_ignore_ascii_case(".json") {
            true => Self::Json,
            false => Self::Toml,
        }
    }
}

/// A rule set as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Version of this object; 1.
    pub version: u64,
    /// Seed of the draws of rules without one of their own; that of the device if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether rules that can never do anything are accepted.
    #[serde(default, skip_serializing_if = "is_no")]
    pub allow_inert: bool,
    /// The rules.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

const fn is_no(value: &bool) -> bool {
    !*value
}

/// A document that was read, with the places of its parts.
#[derive(Debug, Clone)]
pub struct Document {
    /// Seed of the draws of rules without one of their own, if it is given.
    pub seed: Option<u64>,
    /// The rules, in the order of the document.
    pub rules: Vec<Rule>,
    text: Text,
    root: Node,
}

impl Document {
    /// Reads a document. `file` is what messages call it.
    ///
    /// # Errors
    /// It is not well formed, or says something that a rule cannot say; the error tells where.
    pub fn parse(file: &str, text: &str, format: Format) -> Result<Self, DocumentError> {
        let text = Text::new(file, text);
        if text.len() > MAX_DOCUMENT_BYTES {
            let expected = format!("at most {MAX_DOCUMENT_BYTES} bytes");
            return Err(text.error(0, "", "the document is too long", &expected));
        }
        let root = match format {
            Format::Toml => toml::parse(&text)?,
            Format::Json => json::parse(&text)?,
        };
        let body = Body::deserialize(&root).map_err(|wrong| text.locate(wrong))?;
        if body.version != VERSION {
            let at = root.find("version").0;
            let problem = format!("found {}", body.version);
            return Err(text.error(at, "version", &problem, "1"));
        }
        let mut rules = body.rules;
        if body.allow_inert {
            for rule in &mut rules {
                rule.options.allow_inert = true;
            }
        }
        Ok(Self {
            seed: body.seed,
            rules,
            text,
            root,
        })
    }

    /// Holds the rules against a device: what would come of applying them, without applying anything. The
    /// set is of generation 0, with the document's seed, or 0.
    ///
    /// # Errors
    /// A rule does not make sense on the device; the error tells where it is written.
    pub fn check(&self, facts: &DeviceFacts) -> Result<RuleSet, DocumentError> {
        let rules = self.rules.clone();
        let set = RuleSet::compile(0, self.seed.unwrap_or(0), rules, None, facts);
        set.map_err(|error| self.locate(&error))
    }

    /// Where in this document the cause of an error of compiling its rules is written.
    #[must_use]
    pub fn locate(&self, error: &RuleError) -> DocumentError {
        let path = format!("rule[{}].{}", error.index, error.field);
        let (at, _) = self.root.find(&path);
        let problem = format!("rule `{}`: {}", error.rule, error.problem);
        self.text.error(at, &path, &problem, &error.expected)
    }
}

impl Body {
    /// A body of these rules.
    #[must_use]
    pub const fn new(seed: Option<u64>, rules: Vec<Rule>) -> Self {
        Self {
            version: VERSION,
            seed,
            allow_inert: false,
            rules,
        }
    }

    /// The text of a document.
    ///
    /// # Errors
    /// A number does not fit into the language: TOML has 63 bits.
    pub fn write(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Toml => ::toml::to_string_pretty(self).map_err(|error| error.to_string()),
            Format::Json => serde_json::to_string_pretty(self).map_err(|error| error.to_string()),
        }
    }
}
