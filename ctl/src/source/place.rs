//! Where the value that a JSON pointer names stands in a text.

use std::iter::Peekable;

use serde::de::IgnoredAny;
use toml::de::{DeTable, DeValue};

/// The byte at which the value begins, or the innermost part of its path that is there.
pub(super) fn in_toml(text: &str, pointer: &str) -> usize {
    let Ok(table) = DeTable::parse(text) else {
        return 0;
    };
    let mut at = 0;
    let mut value = DeValue::Table(table.into_inner());
    for key in keys(pointer) {
        let next = match value {
            DeValue::Table(table) => table
                .into_iter()
                .find(|(name, _)| **name.get_ref() == key)
                .map(|(name, value)| {
                    // A table has no text of its own if only its keys stand in the file.
                    let span = value.span();
                    (
                        if span.is_empty() {
                            name.span().start
                        } else {
                            span.start
                        },
                        value,
                    )
                }),
            DeValue::Array(array) => key
                .parse()
                .ok()
                .and_then(|index: usize| array.into_iter().nth(index))
                .map(|value| (value.span().start, value)),
            _ => None,
        };
        let Some((start, inner)) = next else { break };
        at = start;
        value = inner.into_inner();
    }
    at
}

/// The same in JSON.
pub(super) fn in_json(text: &str, pointer: &str) -> usize {
    let mut keys = keys(pointer).peekable();
    walk_json(text, skip_blanks(text, 0), &mut keys)
}

fn walk_json(text: &str, at: usize, keys: &mut Peekable<impl Iterator<Item = String>>) -> usize {
    let Some(key) = keys.peek().cloned() else {
        return at;
    };
    let is_object = text[at..].starts_with('{');
    if !is_object && !text[at..].starts_with('[') {
        return at;
    }
    let mut next = skip_blanks(text, at + 1);
    for index in 0_usize.. {
        let mut name = index.to_string();
        if is_object {
            let Some((found, end)) = read_one::<String>(text, next) else {
                return at;
            };
            name = found;
            next = skip_blanks(text, skip_blanks(text, end) + 1);
        }
        if next >= text.len() {
            return at;
        }
        if name == key {
            keys.next();
            return walk_json(text, next, keys);
        }
        let Some((_, end)) = read_one::<IgnoredAny>(text, next) else {
            return at;
        };
        next = skip_blanks(text, end);
        if !text[next..].starts_with(',') {
            return at;
        }
        next = skip_blanks(text, next + 1);
    }
    at
}

/// A value of the text, and the byte after it.
fn read_one<T: serde::de::DeserializeOwned>(text: &str, at: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, at + values.byte_offset()))
}

fn skip_blanks(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    text.len() - text[at..].trim_start().len()
}

/// The keys of a pointer, whose `~1` and `~0` stand for `/` and `~` (RFC 6901).
fn keys(pointer: &str) -> impl Iterator<Item = String> {
    pointer
        .split('/')
        .skip(1)
        .map(|key| key.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_path() {
        let json = "{\n \"a/b\": 1, \"rule\": [ {\"x\": \"},\"}, {\"y\": {\"z\": [7, 8]}}]}";
        for (pointer, text) in [
            ("", "{\n"),
            ("/a~1b", "1,"),
            ("/rule/0/x", "\"},\""),
            ("/rule/1/y/z/1", "8]"),
            ("/rule/1/none/z", "{\"y\""),
            ("/rule/9", "[ {"),
        ] {
            let at = in_json(json, pointer);
            assert!(json[at..].starts_with(text), "{pointer}: {}", &json[at..]);
        }
        let toml = "version = 1\n[[rule]]\nname = \"a\"\n[[rule]]\nname = \"b\"\nwhere = { lba = \"8\" }\n";
        for (pointer, text) in [
            ("/version", "1\n"),
            ("/rule/1/name", "\"b\""),
            ("/rule/1/where/lba", "\"8\" }"),
            ("/rule/1/where/none", "{ lba"),
            ("/rule/0", "[[rule]]\nname = \"a\""),
        ] {
            let at = in_toml(toml, pointer);
            assert!(toml[at..].starts_with(text), "{pointer}: {}", &toml[at..]);
        }
    }

    #[test]
    fn no_text_makes_it_fail() {
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "[",
            "[1",
            "é",
            "{\"a\":1,",
            "{\"a\" 1}",
        ] {
            assert!(in_json(text, "/a/0/b") <= text.len());
            assert!(in_toml(text, "/a/0/b") <= text.len());
        }
    }
}
