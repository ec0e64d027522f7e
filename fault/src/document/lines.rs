//! Rules in words, one a line: `NAME: WORDS`.

use std::ops::Range;

use super::node::{DocumentError, Entry, Node, Text, Value};
use super::written::{Written, limited};
use crate::rule::Rule;
use crate::words::places;

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
        places.push(placed(at, line));
    }
    let span = 0..text.len();
    let list = entry("rule", span.clone(), Value::List(places));
    let value = Value::Table(vec![list]);
    Ok((Written::of(text, Node { span, value }), rules))
}

/// A line as the tree that it would be in TOML, as far as the parts of it can be wrong by themselves.
fn placed(at: usize, line: &str) -> Node {
    let span = at..at + line.len();
    let words = line.split_once(':').map_or("", |(_, words)| words);
    let words_at = at + line.len() - words.len();
    let moved = |span: Range<usize>| words_at + span.start..words_at + span.end;
    let parts = places(words).into_iter().map(|part| {
        let values = part.values.into_iter();
        let values = values.map(|(key, span)| entry(key, moved(span), Value::Null));
        let value = Value::Table(values.collect());
        entry(part.section, moved(part.span), value)
    });
    let value = Value::Table(parts.collect());
    Node { span, value }
}

fn entry(key: &str, span: Range<usize>, value: Value) -> Entry {
    Entry {
        key: key.to_owned(),
        key_at: span.start,
        node: Node { span, value },
    }
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
