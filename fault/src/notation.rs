//! One value, one notation: what a value looks like in words is the string that stands for it in JSON.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserializer, Serializer};

use crate::error::ValueError;
use crate::span::parse_ns;

/// Reads and writes a type as the string of its words.
macro_rules! in_words {
    ($($type:ty => $what:literal),+ $(,)?) => { $(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::notation::words(deserializer, $what)
            }
        }
    )+ };
}
pub(crate) use in_words;

/// Implements the words of an enum whose variants are single names.
macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of listings.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in words, TOML and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Whether this is what holds if nothing is said.
            #[must_use]
            pub fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|value| value.name() == text);
                found.copied().ok_or_else(|| {
                    let names = [$($name),+].join(", ");
                    $crate::error::ValueError::new(0, text, format!("one of {names}"))
                })
            }
        }
    };
}
pub(crate) use names;

struct Words<T> {
    what: &'static str,
    made: PhantomData<T>,
}

impl<T: FromStr<Err = ValueError>> Visitor<'_> for Words<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    /// Numbers stand for themselves where the words take a number.
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

/// Reads a value from the string of its words, or from a bare number.
pub(crate) fn words<'de, D, T>(deserializer: D, what: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = ValueError>,
{
    let made = PhantomData;
    deserializer.deserialize_any(Words { what, made })
}

/// Times in nanoseconds: a number, or a string with a unit. Written as a number.
pub(crate) mod ns {
    use super::{Deserializer, Ns, Serializer};

    pub(crate) fn serialize<S: Serializer>(ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*ns)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(Ns)
    }
}

/// The same, where there may be none.
pub(crate) mod maybe_ns {
    use super::{Deserializer, Ns, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        ns: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match ns {
            Some(ns) => serializer.serialize_some(ns),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(Ns).map(Some)
    }
}

struct Ns;

impl Visitor<'_> for Ns {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a time: a whole number of nanoseconds, or a string with a unit such as \"2ms\"",
        )
    }

    fn visit_u64<E: serde::de::Error>(self, ns: u64) -> Result<u64, E> {
        Ok(ns)
    }

    fn visit_i64<E: serde::de::Error>(self, ns: i64) -> Result<u64, E> {
        u64::try_from(ns).map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(ns), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        parse_ns(text).map_err(E::custom)
    }
}

/// A probability: a number, or a string such as `10%` or `1:1000`. Written as a number.
pub(crate) mod maybe_prob {
    use super::{Deserializer, Prob, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        prob: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match prob {
            Some(prob) => serializer.serialize_some(prob),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(Prob).map(Some)
    }
}

struct Prob;

impl Visitor<'_> for Prob {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a probability from 0 to 1, or a string such as \"10%\" or \"1:1000\"")
    }

    fn visit_f64<E: serde::de::Error>(self, prob: f64) -> Result<f64, E> {
        Ok(prob)
    }

    fn visit_u64<E: serde::de::Error>(self, prob: u64) -> Result<f64, E> {
        Ok(prob as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, prob: i64) -> Result<f64, E> {
        Ok(prob as f64)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
        crate::trigger::parse_prob(text).map_err(E::custom)
    }
}
