//! The items of one part of a rule, asked for by name.

use std::str::FromStr;

use super::scan::{Item, Piece};
use crate::error::ValueError;

/// The items of a part: each known, each given once.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    items: Vec<(&'static str, Piece<'t>)>,
}

/// What a part may contain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Names and the names they stand for.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// What a value without a name is; none if it must have one.
    pub(super) lone: Option<&'static str>,
    /// What a part of this kind consists of, for messages.
    pub(super) expected: &'static str,
}

impl<'t> Fields<'t> {
    /// No items.
    pub(super) const fn none() -> Self {
        Self { items: Vec::new() }
    }

    /// Cuts a part into its items. `end` says what may follow the last one.
    pub(super) fn read(part: Piece<'t>, known: Known, end: &str) -> Result<Self, ValueError> {
        let mut fields = Self::none();
        for Item { key, value } in part.items(known.expected, end)? {
            let place = key.unwrap_or(value);
            let name = match key {
                Some(key) => known
                    .keys
                    .iter()
                    .find(|(name, _)| *name == key.text)
                    .map(|(_, stands_for)| *stands_for),
                None => known.lone,
            };
            let name = name.ok_or_else(|| place.refuse(known.expected))?;
            if fields.find(name).is_some() {
                return Err(place.refuse("each thing only once"));
            }
            fields.items.push((name, value));
        }
        Ok(fields)
    }

    fn find(&self, name: &str) -> Option<Piece<'t>> {
        let found = self.items.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The value of an item, if there is one, read by `parse`.
    pub(super) fn take<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ValueError> {
        self.find(name).map(|value| value.read(parse)).transpose()
    }

    /// The value of an item, if there is one.
    pub(super) fn get<T: FromStr<Err = ValueError>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ValueError> {
        self.take(name, T::from_str)
    }

    /// The value of an item, or what holds without it.
    pub(super) fn get_or<T: FromStr<Err = ValueError>>(
        &self,
        name: &str,
        otherwise: T,
    ) -> Result<T, ValueError> {
        Ok(self.get(name)?.unwrap_or(otherwise))
    }
}

/// Reads a whole number of at least `least` and at most `most`.
pub(super) fn number(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, ValueError> {
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok();
        let number = number.filter(|number| digits && (least..=most).contains(number));
        number.ok_or_else(|| {
            let most = match most {
                u64::MAX => "2^64 - 1".to_owned(),
                most => most.to_string(),
            };
            ValueError::new(0, text, format!("a whole number from {least} to {most}"))
        })
    }
}

/// Reads a number of a smaller type.
pub(super) fn small<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, ValueError> {
    move |text| {
        let number = number(least, most)(text)?;
        T::try_from(number).map_err(|_| ValueError::new(0, text, "a smaller number"))
    }
}

/// Reads `yes` or `no`.
pub(super) fn yes_or_no(text: &str) -> Result<bool, ValueError> {
    match text {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(ValueError::new(0, text, "yes or no")),
    }
}
