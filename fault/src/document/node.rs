//! A document as a tree whose parts know where they stand.

use std::ops::Range;

use thiserror::Error;

/// What is wrong with a document, and where. `Display` is one line: `file:line:column: problem, expected ...`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {problem}{}", after_comma(.expected))]
pub struct DocumentError {
    /// What the document is called.
    pub file: Box<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// The path of the field, such as `rule[2].when.prob`; empty for the document itself.
    pub path: String,
    /// What is wrong, and with what.
    pub problem: String,
    /// What would be right; empty if the problem says so.
    pub expected: String,
    /// The line itself.
    pub text: Box<str>,
}

impl DocumentError {
    /// The line with a caret below the place, in two lines.
    #[must_use]
    pub fn excerpt(&self) -> String {
        // Tabs stay tabs, so that the caret stands where the eye looks for it.
        let before = self.text.chars().take(self.column.saturating_sub(1));
        let blanks: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
        format!("  {}\n  {blanks}^", self.text)
    }
}

fn after_comma(expected: &str) -> String {
    match expected {
        "" => String::new(),
        expected => format!(", expected {expected}"),
    }
}

/// A text and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Text {
    file: Box<str>,
    text: Box<str>,
}

/// What is wrong with a part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, if that is known already.
    pub(super) at: Option<usize>,
    /// Keys and places on the way, the innermost first.
    pub(super) path: Vec<String>,
    pub(super) problem: String,
    pub(super) expected: String,
}

impl Text {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// An error at this byte.
    pub(super) fn error(
        &self,
        at: usize,
        path: &str,
        problem: &str,
        expected: &str,
    ) -> DocumentError {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        DocumentError {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            path: path.to_owned(),
            problem: problem.to_owned(),
            expected: expected.to_owned(),
            text: self.line_at(line_start),
        }
    }

    fn line_at(&self, start: usize) -> Box<str> {
        let rest = self.text.get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default().into()
    }

    pub(super) fn locate(&self, wrong: Wrong) -> DocumentError {
        let mut path = String::new();
        for step in wrong.path.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        let at = wrong.at.unwrap_or(0);
        let problem = match path.as_str() {
            "" => wrong.problem,
            path => format!("{path}: {}", wrong.problem),
        };
        self.error(at, &path, &problem, &wrong.expected)
    }
}

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands, in bytes.
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and what it stands for.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: usize,
    pub(super) node: Node,
}

impl Node {
    /// Where the part that a JSON pointer (RFC 6901) names stands; if there is none, where the part stands in
    /// which it would be.
    pub(super) fn find(&self, pointer: &str) -> usize {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                Value::List(nodes) => step.parse().ok().and_then(|place: usize| nodes.get(place)),
                Value::Table(entries) => entries
                    .iter()
                    .find(|entry| stands_for(&entry.key, &step))
                    .map(|entry| &entry.node),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.span.start
    }
}

/// Whether a key is a name, or another name of the same.
fn stands_for(key: &str, name: &str) -> bool {
    let other = match name {
        "dist" => "ns",
        "places" => match key {
            "bits" => "bits",
            _ => "bytes",
        },
        // What arms a rule, and how long, is written without the unit in messages.
        "ttl" => "ttl_ns",
        _ => name,
    };
    key == name || key == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_place() {
        let text = Text::new("f", "a = 1\n\té = [2]\n");
        let error = text.error(13, "", "found 2", "3");
        assert_eq!(error.to_string(), "f:2:7: found 2, expected 3");
        assert_eq!(error.excerpt(), "  \té = [2]\n  \t     ^");
    }
}
