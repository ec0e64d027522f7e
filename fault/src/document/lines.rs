//! Rules in words, one a line: `NAME: WORDS`.

use super::node::{DocumentError, Entry, Node, Text, Value};
use super::written::{Written, limited};
use crate::rule::Rule;

/// Whether a text looks like rules in words: the first line that says something begins with `NAME:`.
pub(super) fn are_words(text: &str) -> bool {
    let said = lines(text).next();
    let name = said.and_then(|(_, line)| line.split_once(':'));
    name.is_some_and(|(name, _)| !name.is_empty() && name.chars().all(is_of_name))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

/// The lines that say something, with the byte at which each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    let placed = text.split_inclusive('\n').map(move |line| {
        let at = next + line.len() - line.trim_start().len();
        next += line.len();
        (at, line.trim())
    });
    placed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads them.
///
/// # Errors
/// A line is no rule; the error tells where in it.
pub(super) fn read(name: &str, text: &str) -> Result<(Written, Vec<Rule>), DocumentError> {
    let text = limited(name, text)?;
    let mut rules = Vec::new();
    let mut places = Vec::new();
    for (at, line) in lines(text.as_str()) {
        rules.push(rule(&text, at, line)?);
        // Only the line is known of what a rule says: that is where it stands.
        let span = at..at + line.len();
        let value = Value::Null;
        places.push(Node { span, value });
    }
    let span = 0..text.len();
    let list = Node {
        span: span.clone(),
        value: Value::List(places),
    };
    let rule = Entry {
        key: "rule".to_owned(),
        key_at: 0,
        node: list,
    };
    let value = Value::Table(vec![rule]);
    Ok((Written::of(text, Node { span, value }), rules))
}

fn rule(text: &Text, at: usize, line: &str) -> Result<Rule, DocumentError> {
    let Some((name, words)) = line.split_once(':') else {
        let problem = "found no name before a colon";
        return Err(text.error(
            at,
            "",
            problem,
            "a rule: NAME: ACTION [where ...] [when ...]",
        ));
    };
    let name_end = name.trim_end().len();
    if let Some((place, c)) = name[..name_end]
        .char_indices()
        .find(|(_, c)| !is_of_name(*c))
    {
        let problem = format!("found `{c}` in the name of a rule");
        let expected = "letters, digits, `.`, `_` and `-`, and a colon after them";
        return Err(text.error(at + place, "", &problem, expected));
    }
    let blanks = words.len() - words.trim_start().len();
    let words_at = at + name.len() + 1 + blanks;
    let words = words.trim_start();
    Rule::parse(&name[..name_end], words).map_err(|error| {
        let before = words.chars().take(error.column - 1).map(char::len_utf8);
        let place = words_at + before.sum::<usize>();
        let problem = format!("found {}", error.found);
        text.error(place, "", &problem, &error.expected)
    })
}
