//! Makes values of a tree, and remembers where what is wrong stands.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Entry, Node, Value, Wrong};

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, expected {}", self.problem, self.expected)
    }
}

impl std::error::Error for Wrong {}

impl Wrong {
    fn new(problem: String, expected: String) -> Self {
        Self {
            at: None,
            path: Vec::new(),
            problem,
            expected,
        }
    }

    /// The same, at this place unless it is known already.
    fn at(mut self, at: usize) -> Self {
        self.at = self.at.or(Some(at));
        self
    }

    /// The same, inside of this.
    fn inside(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }
}

/// What serde calls a type of Rust's, as people call it who write rules.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => format!("a whole number from 0 to {}", u64::MAX),
        "i32" => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        "i64" => format!("a whole number from {} to {}", i64::MIN, i64::MAX),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a table of keys and values".to_owned(),
        other => other.to_owned(),
    }
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing here".to_owned(),
        [name] => format!("`{name}`"),
        names => {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("one of {}", quoted.join(", "))
        }
    }
}

impl Error for Wrong {
    /// Messages of values say `found ..., expected ...`.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        match message.split_once(", expected ") {
            Some((problem, expected)) => Self::new(problem.to_owned(), expected.to_owned()),
            None => Self::new(message, String::new()),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("found {found}"), in_words(&expected.to_string()))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("found {found}"), in_words(&expected.to_string()))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::new(
            format!("found a list of {len}"),
            in_words(&expected.to_string()),
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("there is no `{field}` here"), one_of(expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("found `{variant}`"), one_of(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"), format!("`{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        let problem = format!("`{field}` is given twice, under two names");
        Self::new(problem, "it once".to_owned())
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let made = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(number) => visitor.visit_u64(*number),
            Value::Signed(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::String(string) => visitor.visit_str(string),
            Value::List(nodes) => visitor.visit_seq(Nodes { nodes, place: 0 }),
            Value::Table(entries) => return in_table(entries, self.span.start, visitor),
        };
        made.map_err(|wrong| wrong.at(self.span.start))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let made = match &self.value {
            Value::String(name) => visitor.visit_enum(Choice {
                name,
                name_at: self.span.start,
                node: None,
            }),
            Value::Table(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Choice {
                    name: &entry.key,
                    name_at: entry.key_at,
                    node: Some(&entry.node),
                }),
                [_, second, ..] => {
                    let problem = format!("found `{}` as well", second.key);
                    let wrong = Wrong::new(problem, "one key only".to_owned());
                    Err(wrong.at(second.key_at))
                }
                [] => Err(Wrong::new("found nothing".to_owned(), "one key".to_owned())),
            },
            _ => {
                let expected = "a name, or a table with one key".to_owned();
                Err(Wrong::new(format!("found {}", self.kind()), expected))
            }
        };
        made.map_err(|wrong| wrong.at(self.span.start))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

fn in_table<'de, V: Visitor<'de>>(
    entries: &'de [Entry],
    at: usize,
    visitor: V,
) -> Result<V::Value, Wrong> {
    let mut rest = Entries {
        entries,
        last: None,
    };
    let made = visitor.visit_map(&mut rest);
    made.map_err(|wrong| match rest.last {
        // A key whose value was not asked for is what is wrong: it is there twice.
        Some(entry) if wrong.at.is_none() => wrong.at(entry.key_at).inside(entry.key.clone()),
        _ => wrong.at(at),
    })
}

impl Node {
    const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

struct Nodes<'de> {
    nodes: &'de [Node],
    place: usize,
}

impl<'de> SeqAccess<'de> for Nodes<'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(node) = self.nodes.get(self.place) else {
            return Ok(None);
        };
        let step = format!("[{}]", self.place);
        self.place += 1;
        let made = seed.deserialize(node);
        made.map(Some)
            .map_err(|wrong| wrong.at(node.span.start).inside(step))
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    last: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for &mut Entries<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((entry, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        self.entries = rest;
        self.last = Some(entry);
        let key: serde::de::value::StrDeserializer<'_, Wrong> =
            entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|wrong| wrong.at(entry.key_at).inside(entry.key.clone()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some(entry) = self.last.take() else {
            return Err(Wrong::custom("a value before its key"));
        };
        let made = seed.deserialize(&entry.node);
        made.map_err(|wrong| wrong.at(entry.node.span.start).inside(entry.key.clone()))
    }
}

/// One variant of several, by its name.
struct Choice<'de> {
    name: &'de str,
    name_at: usize,
    node: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let name: serde::de::value::StrDeserializer<'_, Wrong> = self.name.into_deserializer();
        let chosen = seed
            .deserialize(name)
            .map_err(|wrong| wrong.at(self.name_at))?;
        Ok((chosen, self))
    }
}

impl<'de> Choice<'de> {
    fn content(&self, what: &str) -> Result<&'de Node, Wrong> {
        let problem = format!("`{}` stands alone", self.name);
        let missing = || Wrong::new(problem, format!("a table `{{ {} = {what} }}`", self.name));
        self.node.ok_or_else(|| missing().at(self.name_at))
    }

    fn within<T>(&self, made: Result<T, Wrong>) -> Result<T, Wrong> {
        made.map_err(|wrong| wrong.inside(self.name.to_owned()))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.node {
            None => Ok(()),
            Some(node) => {
                let problem = format!("`{}` has a value", self.name);
                Err(
                    Wrong::new(problem, "the name alone, as a string".to_owned())
                        .at(node.span.start),
                )
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        let node = self.content("...")?;
        let made = seed
            .deserialize(node)
            .map_err(|wrong| wrong.at(node.span.start));
        self.within(made)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Wrong> {
        let node = self.content("[...]")?;
        self.within(node.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let node = self.content("{ ... }")?;
        match node.value {
            Value::Table(_) => self.within(node.deserialize_any(visitor)),
            _ => {
                let problem = format!("found {}", node.kind());
                let wrong = Wrong::new(problem, "a table, such as { }".to_owned());
                self.within(Err(wrong.at(node.span.start)))
            }
        }
    }
}
