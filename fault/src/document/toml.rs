//! Reads TOML into a tree that knows where its parts stand.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::node::{DocumentError, Entry, Node, Text, Value};

pub(super) fn parse(text: &Text) -> Result<Node, DocumentError> {
    let table = DeTable::parse(text.as_str()).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let problem = error.message().lines().collect::<Vec<_>>().join("; ");
        text.error(at, "", &problem, "TOML")
    })?;
    let span = table.span();
    let value = self::table(text, table.into_inner())?;
    Ok(Node { span, value })
}

fn table(text: &Text, table: DeTable<'_>) -> Result<Value, DocumentError> {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let key_span = key.span();
        let mut node = node(text, value)?;
        if node.span.is_empty() {
            // A table of which only keys stand in the text has no place of its own.
            node.span = key_span.clone();
        }
        Ok(Entry {
            key_at: key_span.start,
            key: key.into_inner().into_owned(),
            node,
        })
    };
    let entries = table.into_iter().map(entry);
    let mut entries: Vec<Entry> = entries.collect::<Result<_, DocumentError>>()?;
    // The table has them by name; what is wrong is told in the order of the text.
    entries.sort_by_key(|entry| entry.key_at);
    Ok(Value::Table(entries))
}

fn node(text: &Text, value: Spanned<DeValue<'_>>) -> Result<Node, DocumentError> {
    let span = value.span();
    let wrong = |problem: &str, expected: &str| text.error(span.start, "", problem, expected);
    let value = match value.into_inner() {
        DeValue::String(string) => Value::String(string.into_owned()),
        DeValue::Integer(number) => integer(&number)
            .ok_or_else(|| wrong(&format!("found {}", number.as_str()), "a number of 64 bits"))?,
        DeValue::Float(number) => {
            let found = number.as_str().replace('_', "");
            let number = found.parse().ok().filter(|number: &f64| number.is_finite());
            let expected = "a number that is finite";
            Value::Float(number.ok_or_else(|| wrong(&format!("found {found}"), expected))?)
        }
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => {
            let expected = "no date: rules have none, a time is a string such as \"5s\"";
            return Err(wrong(&format!("found {date}"), expected));
        }
        DeValue::Array(nodes) => {
            let nodes = nodes.into_iter().map(|value| node(text, value));
            Value::List(nodes.collect::<Result<_, DocumentError>>()?)
        }
        DeValue::Table(inner) => table(text, inner)?,
    };
    Ok(Node { span, value })
}

fn integer(number: &DeInteger<'_>) -> Option<Value> {
    let digits = number.as_str().replace('_', "");
    if let Ok(number) =
        u64::from_str_radix(digits.strip_prefix('+').unwrap_or(&digits), number.radix())
    {
        return Some(Value::Unsigned(number));
    }
    let number = i64::from_str_radix(&digits, number.radix()).ok()?;
    Some(Value::Signed(number))
}
