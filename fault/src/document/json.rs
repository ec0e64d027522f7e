//! Reads JSON into a tree that knows where its parts stand. That it is JSON is checked before, by
//! `serde_json`; here it is only taken apart.

use serde::de::IgnoredAny;

use super::node::{DocumentError, Entry, Node, Text, Value};

pub(super) fn parse(text: &Text) -> Result<Node, DocumentError> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text.as_str()) {
        return Err(syntax(text, &error));
    }
    let mut reader = Reader { text, at: 0 };
    reader.node()
}

/// What `serde_json` says, with its line and column.
fn syntax(text: &Text, error: &serde_json::Error) -> DocumentError {
    let whole = error.to_string();
    let problem = whole.split(" at line ").next().unwrap_or(&whole);
    // Its column counts bytes, and is 0 behind the end of a line.
    let line = error.line().saturating_sub(1);
    let lines = text.as_str().split_inclusive('\n').take(line);
    let mut at = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
    at = at.min(text.len());
    while !text.as_str().is_char_boundary(at) {
        at -= 1;
    }
    text.error(at, "", problem, "JSON")
}

struct Reader<'t> {
    text: &'t Text,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.as_str().get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes this character if it comes next.
    fn takes(&mut self, character: char) -> bool {
        self.skip_space();
        let comes = self.rest().starts_with(character);
        self.at += if comes { character.len_utf8() } else { 0 };
        comes
    }

    fn refuse(&self, at: usize, problem: &str, expected: &str) -> DocumentError {
        self.text.error(at, "", problem, expected)
    }

    fn node(&mut self) -> Result<Node, DocumentError> {
        self.skip_space();
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some('{') => self.table()?,
            Some('[') => self.list()?,
            Some('"') => Value::String(self.string()?),
            _ => self.word()?,
        };
        let span = start..self.at;
        Ok(Node { span, value })
    }

    fn table(&mut self) -> Result<Value, DocumentError> {
        let mut entries: Vec<Entry> = Vec::new();
        self.takes('{');
        while !self.takes('}') {
            self.takes(',');
            self.skip_space();
            let key_at = self.at;
            let key = self.string()?;
            if entries.iter().any(|entry| entry.key == key) {
                let problem = format!("found `{key}` again");
                return Err(self.refuse(key_at, &problem, "each key only once"));
            }
            self.takes(':');
            let node = self.node()?;
            entries.push(Entry { key, key_at, node });
        }
        Ok(Value::Table(entries))
    }

    fn list(&mut self) -> Result<Value, DocumentError> {
        let mut nodes = Vec::new();
        self.takes('[');
        while !self.takes(']') {
            self.takes(',');
            nodes.push(self.node()?);
        }
        Ok(Value::List(nodes))
    }

    fn string(&mut self) -> Result<String, DocumentError> {
        let start = self.at;
        let mut escaped = false;
        let inner = self.rest().char_indices().skip(1).find(|(_, character)| {
            let ends = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = inner else {
            return Err(self.refuse(start, "a string does not end", "`\"`"));
        };
        let quoted = self.rest().get(..=end).unwrap_or_default();
        let string = serde_json::from_str(quoted);
        self.at += end + 1;
        string.map_err(|error| self.refuse(start, &error.to_string(), "a string"))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Value, DocumentError> {
        let start = self.at;
        let rest = self.rest();
        let len = rest
            .find(|c: char| c.is_whitespace() || ",]}".contains(c))
            .unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or_default();
        let value = match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            number => self::number(number),
        };
        let found = format!("found `{word}`");
        // What is no word at all would be read again and again.
        self.at += len.max(1);
        value.ok_or_else(|| self.refuse(start, &found, "a number that fits into 64 bits"))
    }
}

fn number(word: &str) -> Option<Value> {
    if let Ok(number) = word.parse() {
        return Some(Value::Unsigned(number));
    }
    if let Ok(number) = word.parse() {
        return Some(Value::Signed(number));
    }
    let whole = !word.contains(['.', 'e', 'E']);
    let number = word.parse().ok().filter(|number: &f64| number.is_finite());
    number.filter(|_| !whole).map(Value::Float)
}
