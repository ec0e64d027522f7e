//! Rules in a file: TOML, JSON or words, one type. Every error is told with file, line, column, the path of
//! the field, and what would be right.
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
mod lines;
mod node;
mod toml;
mod written;

use crate::error::RuleError;
use crate::facts::DeviceFacts;
use crate::rule_file::RuleFile;
use crate::ruleset::RuleSet;

pub use node::DocumentError;
pub use written::{Format, MAX_DOCUMENT_BYTES, Written};

/// A document of rules that was read, with the places of its parts.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says.
    pub file: RuleFile,
    written: Written,
}

impl Document {
    /// Reads a document. `name` is what messages call it.
    ///
    /// # Errors
    /// It is not well formed, or says something that a rule cannot say; the error tells where.
    pub fn parse(name: &str, text: &str, format: Format) -> Result<Self, DocumentError> {
        if format == Format::Words {
            let (written, rules) = lines::read(name, text)?;
            let file = RuleFile::new(rules);
            return Ok(Self { file, written });
        }
        let written = Written::parse(name, text, format)?;
        let file = written.read()?;
        Ok(Self { file, written })
    }

    /// Holds the rules against a device: what would come of applying them, without applying anything. The
    /// set is of generation 0, with the document's seed, or 0.
    ///
    /// # Errors
    /// A rule does not make sense on the device; the error tells where it is written.
    pub fn check(&self, facts: &DeviceFacts) -> Result<RuleSet, DocumentError> {
        let rules = self.file.clone().into_rules();
        let set = RuleSet::compile(0, self.file.seed.unwrap_or(0), rules, None, facts);
        set.map_err(|error| self.locate(&error))
    }

    /// Where in this document the cause of an error of compiling its rules is written.
    #[must_use]
    pub fn locate(&self, error: &RuleError) -> DocumentError {
        let pointer = format!("/rule/{}{}", error.index, error.pointer());
        let problem = format!("rule `{}`: {}: {}", error.rule, error.field, error.problem);
        self.refuse(&pointer, &problem, &error.expected)
    }

    /// What somebody else has to say about a part of it, by the JSON pointer that the part would have in
    /// JSON; if it is not there, about the part that it would be in.
    #[must_use]
    pub fn refuse(&self, pointer: &str, problem: &str, expected: &str) -> DocumentError {
        self.written.refuse(pointer, problem, expected)
    }
}
