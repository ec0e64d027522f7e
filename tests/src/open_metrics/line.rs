//! One line.

use std::collections::BTreeMap;

use super::Sample;

/// What a line says.
#[derive(Debug)]
pub(super) enum Line {
    /// Something about a family.
    About { family: String, what: About },
    /// A sample.
    Sample(Sample),
}

/// What is said about a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    Help,
    Type(Type),
    Unit(String),
}

/// The types that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Line {
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        if line.is_empty() {
            return Err("it is empty".to_owned());
        }
        if line.ends_with(' ') {
            return Err("it ends with a space".to_owned());
        }
        match line.strip_prefix("# ") {
            Some(rest) => about(rest),
            None => sample(line).map(Self::Sample),
        }
    }
}

fn about(rest: &str) -> Result<Line, String> {
    let mut words = rest.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (key, family, text) = (word(), word(), word());
    if !is_name(family, true) {
        return Err("no `# TYPE`, `# HELP` or `# UNIT` with the name of a family".to_owned());
    }
    let what = match (key, text) {
        ("HELP", _) => {
            unescaped(text)?;
            About::Help
        }
        ("TYPE", "counter") => About::Type(Type::Counter),
        ("TYPE", "gauge") => About::Type(Type::Gauge),
        ("TYPE", "histogram") => About::Type(Type::Histogram),
        ("TYPE", _) => return Err("no type that is used here".to_owned()),
        ("UNIT", _) => About::Unit(text.to_owned()),
        _ => return Err("no `# TYPE`, `# HELP` or `# UNIT`".to_owned()),
    };
    let family = family.to_owned();
    Ok(Line::About { family, what })
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("it has no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err(format!("`{name}` is no name"));
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no value after one space")?;
    if value.contains(' ') {
        return Err("a value after more than one space, or something behind it".to_owned());
    }
    let value = value.parse().ok().filter(|value: &f64| value.is_finite());
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value.ok_or("its value is not a number")?,
    })
}

type Labels = BTreeMap<String, String>;

/// The labels behind an open brace, and what follows the closed one.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("a label has no value")?;
        if !is_name(name, false) {
            return Err(format!("`{name}` is no name of a label"));
        }
        let end = end_of_quoted(value).ok_or("the value of a label has no end")?;
        if labels
            .insert(name.to_owned(), unescaped(&value[..end])?)
            .is_some()
        {
            return Err(format!("the label {name} is there twice"));
        }
        rest = &value[end + 1..];
        match rest.split_at_checked(1) {
            Some(("}", rest)) => return Ok((labels, rest)),
            Some((",", more)) => rest = more,
            _ => return Err("no `,` and no `}` after a label".to_owned()),
        }
    }
}

/// Where the quotation mark is that no backslash escapes.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            '"' if !escaped => return Some(index),
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    None
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => return Err(format!("{other:?} is no escape")),
            },
            c => c,
        });
    }
    Ok(plain)
}

fn is_name(text: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}
