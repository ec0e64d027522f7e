//! What a request does, and sets of such operations.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::error::ValueError;

/// What a request asks of the device. The kernel's `REQ_OP_*` that ublk passes on
/// (`UBLK_IO_OP_*`, include/uapi/linux/ublk_cmd.h), without the zone operations.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Data moves from the device into the request's pages.
    Read,
    /// Data moves from the request's pages to the device.
    Write,
    /// Everything completed before must survive a power cut.
    Flush,
    /// The sectors' content is no longer needed.
    Discard,
    /// The sectors read as zero afterwards.
    WriteZeroes,
}

/// Which way the data of a request moves, seen from its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The pages receive data (`ITER_DEST`).
    Destination,
    /// The pages supply data (`ITER_SOURCE`).
    Source,
    /// The request has no pages.
    None,
}

impl Op {
    /// Every operation, in the order of listings.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Discard,
        Self::WriteZeroes,
    ];

    /// The name in words, TOML and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::WriteZeroes => "write_zeroes",
        }
    }

    /// Which way this operation's data moves.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Read => Direction::Destination,
            Self::Write => Direction::Source,
            Self::Flush | Self::Discard | Self::WriteZeroes => Direction::None,
        }
    }

    /// Whether requests of this operation name sectors. A flush concerns the whole device.
    #[must_use]
    pub const fn has_sectors(self) -> bool {
        !matches!(self, Self::Flush)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Destination => "destination",
            Self::Source => "source",
            Self::None => "none",
        })
    }
}

/// A set of operations, never empty. Written `read|write` in words and `["read", "write"]` in JSON;
/// both also take `rw` (read and write), `writes` (write, write_zeroes and discard) and `any`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpSet(u8);

impl OpSet {
    /// Every operation.
    pub const ANY: Self = Self(0b1_1111);

    const NAMES: &str = "one of read, write, flush, discard, write_zeroes, rw, writes, any";

    /// The set of one operation.
    #[must_use]
    pub const fn only(op: Op) -> Self {
        Self(op.bit())
    }

    /// The operations of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `op` is in the set.
    #[must_use]
    pub const fn contains(self, op: Op) -> bool {
        self.0 & op.bit() != 0
    }

    /// Whether the set selects everything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    /// The operations of the set, in the order of [`Op::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Op> {
        Op::ALL.into_iter().filter(move |op| self.contains(*op))
    }

    /// Those that are wanted; none if no operation is.
    #[must_use]
    pub fn filter(self, wanted: impl Fn(Op) -> bool) -> Option<Self> {
        let kept = self.iter().filter(|op| wanted(*op));
        let bits = kept.fold(0, |bits, op| bits | op.bit());
        (bits != 0).then_some(Self(bits))
    }

    /// The set that one word stands for.
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "rw" => Some(Self::only(Op::Read).union(Self::only(Op::Write))),
            "writes" => Some(
                Self::only(Op::Write)
                    .union(Self::only(Op::WriteZeroes))
                    .union(Self::only(Op::Discard)),
            ),
            "any" => Some(Self::ANY),
            _ => Op::ALL
                .into_iter()
                .find(|op| op.name() == word)
                .map(Self::only),
        }
    }
}

impl Default for OpSet {
    fn default() -> Self {
        Self::ANY
    }
}

impl fmt::Debug for OpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpSet({self})")
    }
}

impl fmt::Display for OpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, op) in self.iter().enumerate() {
            let bar = if position == 0 { "" } else { "|" };
            write!(f, "{bar}{op}")?;
        }
        Ok(())
    }
}

impl FromStr for OpSet {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut set = Self(0);
        let mut at = 0;
        for word in text.split('|') {
            let ops =
                Self::from_word(word).ok_or_else(|| ValueError::new(at, word, Self::NAMES))?;
            set = set.union(ops);
            at += word.len() + 1;
        }
        Ok(set)
    }
}

impl Serialize for OpSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for OpSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OpSetVisitor)
    }
}

struct OpSetVisitor;

impl<'de> Visitor<'de> for OpSetVisitor {
    type Value = OpSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of operations such as [\"read\", \"write\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<OpSet, A::Error> {
        let mut set = OpSet(0);
        while let Some(word) = words.next_element::<String>()? {
            let ops = OpSet::from_word(&word)
                .ok_or_else(|| A::Error::custom(ValueError::new(0, &word, OpSet::NAMES)))?;
            set = set.union(ops);
        }
        if set == OpSet(0) {
            return Err(A::Error::custom(ValueError::new(
                0,
                "[]",
                "at least one operation",
            )));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_stand_for_their_operations() {
        let rw: OpSet = "rw".parse().unwrap();
        assert_eq!(rw.to_string(), "read|write");
        let writes: OpSet = "writes".parse().unwrap();
        assert_eq!(writes.to_string(), "write|discard|write_zeroes");
        assert!("flush|any".parse::<OpSet>().unwrap().is_any());
    }

    #[test]
    fn json_is_a_list_and_takes_aliases() {
        let set: OpSet = serde_json::from_str(r#"["rw","flush"]"#).unwrap();
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"["read","write","flush"]"#
        );
        for bad in ["[]", "\"read\"", "[\"reads\"]", "[1]"] {
            assert!(serde_json::from_str::<OpSet>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_word_is_located() {
        let error = "read|wrote".parse::<OpSet>().unwrap_err();
        assert_eq!((error.at, error.found.as_str()), (5, "`wrote`"));
    }

    #[test]
    fn directions_follow_the_data() {
        assert_eq!(Op::Read.direction(), Direction::Destination);
        assert_eq!(Op::Write.direction(), Direction::Source);
        assert_eq!(Op::WriteZeroes.direction(), Direction::None);
    }
}
