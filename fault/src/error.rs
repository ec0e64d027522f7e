//! What is said about a rule that cannot be used: where, what was found, what would be right.

use thiserror::Error;

/// A single value that could not be read, located inside its own text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {found}, expected {expected}")]
pub struct ValueError {
    /// Offset in bytes of the offending part within the value.
    pub at: usize,
    /// What stood there, quoted, or `nothing`.
    pub found: String,
    /// What would have been right.
    pub expected: String,
}

impl ValueError {
    /// An error about `found`, which starts `at` bytes into the value.
    pub(crate) fn new(at: usize, found: &str, expected: impl Into<String>) -> Self {
        Self {
            at,
            found: quoted(found),
            expected: expected.into(),
        }
    }

    /// The same error for a text in which this value starts at `offset` bytes.
    #[must_use]
    pub(crate) fn shifted(mut self, offset: usize) -> Self {
        self.at += offset;
        self
    }
}

/// How a piece of the user's text is shown in a message.
pub(crate) fn quoted(text: &str) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        format!("`{text}`")
    }
}

/// A rule in words that could not be read, located by column.
///
/// `Display` is one line; [`WordsError::render`] adds the words and a caret under the column.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}: found {found}, expected {expected}")]
pub struct WordsError {
    /// The whole text that was read.
    pub text: String,
    /// Column of the first offending character, counted in characters from 1.
    pub column: usize,
    /// What stood there, quoted, or `nothing`.
    pub found: String,
    /// What would have been right.
    pub expected: String,
}

impl WordsError {
    pub(crate) fn locate(text: &str, error: ValueError) -> Self {
        let column = text.get(..error.at).unwrap_or(text).chars().count() + 1;
        Self {
            text: text.to_owned(),
            column,
            found: error.found,
            expected: error.expected,
        }
    }

    /// The message, the words, and a caret under the offending column: three lines, for a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        // Control characters would move the caret away from its column.
        let shown: String = self
            .text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let caret = self.column;
        format!(
            "{self}\n  {shown}\n {caret:>width$}",
            caret = "^",
            width = caret + 1
        )
    }
}

/// A rule that was read but cannot be part of a rule set. The set it came in is refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rule `{rule}`: {field}: {problem}, expected {expected}")]
pub struct RuleError {
    /// Name of the rule, as given.
    pub rule: String,
    /// Position of the rule in the list that was compiled, from 0.
    pub index: usize,
    /// Path of the field within the rule, with dots: `when.prob`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

impl RuleError {
    /// The field as a JSON pointer (RFC 6901) within the rule: `/when/prob`.
    #[must_use]
    pub fn pointer(&self) -> String {
        self.field.split('.').map(|key| format!("/{key}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_column() {
        let text = "fail wher op=read";
        let error = WordsError::locate(text, ValueError::new(5, "wher", "`where`"));
        let rendered = error.render();
        let lines: Vec<&str> = rendered.lines().collect();
        assert_eq!(lines[0], "column 6: found `wher`, expected `where`");
        assert_eq!(lines[2].find('^'), lines[1].find("wher"));
    }

    #[test]
    fn columns_count_characters() {
        let error = WordsError::locate("é x", ValueError::new(3, "x", "y"));
        assert_eq!(error.column, 3);
    }

    #[test]
    fn a_field_is_also_a_pointer() {
        let error = RuleError {
            rule: "a".into(),
            index: 2,
            field: "action.hold.max_ns".into(),
            problem: "0".into(),
            expected: "more".into(),
        };
        assert_eq!(error.pointer(), "/action/hold/max_ns");
    }
}
