//! A text in TOML or JSON, whatever it is about.

use serde::de::DeserializeOwned;

use super::lines;
use super::node::{DocumentError, Node, Text};
use super::{json, toml};

/// The longest text that is read: 16 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// In which language a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON, with the same keys.
    Json,
    /// A rule a line, `NAME: WORDS`; a line that begins with `#` is a comment. For rules only.
    Words,
}

impl Format {
    /// By the end of a file's name, `.json` or `.toml`. If it has none of these, by its text: one that
    /// begins with a brace is JSON, one that begins with `NAME:` is words, all else TOML.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Self {
        let ends = |end: &str| {
            let start = name.len().checked_sub(end.len());
            let found = start.and_then(|start| name.get(start..));
            found.is_some_and(|found| found.eq_ignore_ascii_case(end))
        };
        if ends(".json") {
            return Self::Json;
        }
        if ends(".toml") {
            return Self::Toml;
        }
        match text.trim_start().starts_with('{') {
            true => Self::Json,
            false if lines::are_words(text) => Self::Words,
            false => Self::Toml,
        }
    }
}

/// A text in TOML or JSON, taken apart, whose parts know where they stand.
#[derive(Debug, Clone)]
pub struct Written {
    text: Text,
    root: Node,
}

impl Written {
    /// Takes a text apart. `name` is what messages call it.
    ///
    /// # Errors
    /// It is not well formed, or too long; words are for rules only.
    pub fn parse(name: &str, text: &str, format: Format) -> Result<Self, DocumentError> {
        let text = limited(name, text)?;
        let root = match format {
            Format::Toml => toml::parse(&text)?,
            Format::Json => json::parse(&text)?,
            Format::Words => return Err(text.error(0, "", "found words", "TOML or JSON")),
        };
        Ok(Self { text, root })
    }

    /// One whose parts are known already.
    pub(super) const fn of(text: Text, root: Node) -> Self {
        Self { text, root }
    }

    /// Makes a value of it.
    ///
    /// # Errors
    /// It does not say such a value; the error tells where.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        T::deserialize(&self.root).map_err(|wrong| self.text.locate(wrong))
    }

    /// Says what is wrong with the part that a JSON pointer names; if it is not there, at the part that it
    /// would be in.
    #[must_use]
    pub fn refuse(&self, pointer: &str, problem: &str, expected: &str) -> DocumentError {
        self.text
            .error(self.root.find(pointer), &dotted(pointer), problem, expected)
    }
}

/// A text of which messages can be made, unless it is too long.
pub(super) fn limited(name: &str, text: &str) -> Result<Text, DocumentError> {
    let text = Text::new(name, text);
    if text.len() > MAX_DOCUMENT_BYTES {
        let expected = format!("at most {MAX_DOCUMENT_BYTES} bytes");
        return Err(text.error(0, "", "the document is too long", &expected));
    }
    Ok(text)
}

/// A pointer as people write it: `rule[2].when.prob`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        match step.bytes().all(|byte| byte.is_ascii_digit()) {
            true => path.push_str(&format!("[{step}]")),
            false if path.is_empty() => path.push_str(step),
            false => path.push_str(&format!(".{step}")),
        }
    }
    path
}
