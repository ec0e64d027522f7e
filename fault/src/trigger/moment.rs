//! Moments and intervals since a rule was armed.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::notation::in_words;
use crate::span::{format_ns, parse_ns};

/// How far a device has come since a rule was armed. In words and JSON `5s`, `op:1000`, `epoch:7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// So many nanoseconds.
    Time(u64),
    /// So many requests of the device.
    Op(u64),
    /// So many completed flushes.
    Epoch(u64),
}

in_words!(Moment => "a moment since the rule was armed: \"5s\", \"op:1000\" or \"epoch:7\"");

const EXPECTED: &str =
    "a time such as 5s, op:N (requests) or epoch:N (completed flushes), since the rule was armed";

impl Moment {
    /// The number, whatever it counts.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Time(number) | Self::Op(number) | Self::Epoch(number) => number,
        }
    }

    /// Whether both count the same.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(ns) => f.write_str(&format_ns(*ns)),
            Self::Op(number) => write!(f, "op:{number}"),
            Self::Epoch(number) => write!(f, "epoch:{number}"),
        }
    }
}

impl FromStr for Moment {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = |at: usize, word: &str| -> Result<u64, ValueError> {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let number = word.parse().ok().filter(|_| digits);
            number.ok_or_else(|| ValueError::new(at, word, EXPECTED))
        };
        match text.split_once(':') {
            Some(("op", word)) => number(3, word).map(Self::Op),
            Some(("epoch", word)) => number(6, word).map(Self::Epoch),
            Some(_) => Err(ValueError::new(0, text, EXPECTED)),
            None => {
                let bare = text.strip_prefix('+').unwrap_or(text);
                match parse_ns(bare) {
                    Ok(ns) => Ok(Self::Time(ns)),
                    Err(error) if bare.starts_with(|c: char| c.is_ascii_digit()) => {
                        Err(error.shifted(text.len() - bare.len()))
                    }
                    Err(_) => Err(ValueError::new(0, text, EXPECTED)),
                }
            }
        }
    }
}

/// A device that is up and down by turns, since the rule was armed: the rule rests while it is up and acts
/// while it is down. In words and JSON `3s/500ms`, `op:100/op:5`, and with a third value the point of the
/// first turn at which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// How long it is up.
    pub up: Moment,
    /// How long it is down.
    pub down: Moment,
    /// How far into a turn it begins; at its beginning if none.
    pub phase: Option<Moment>,
}

in_words!(Interval => "up and down times: \"3s/500ms\" or \"3s/500ms/1s\"");

const INTERVAL: &str = "UP/DOWN or UP/DOWN/PHASE, such as 3s/500ms or op:100/op:5, all of one kind, \
                        together above 0";

impl Interval {
    /// Whether it is down so far after arming.
    pub(crate) fn is_down(self, since: u64) -> bool {
        let (up, down) = (self.up.number(), self.down.number());
        let turn = u128::from(up) + u128::from(down);
        let phase = self.phase.map_or(0, Moment::number);
        let at = (u128::from(since) + u128::from(phase)).checked_rem(turn);
        at.is_some_and(|at| at >= u128::from(up))
    }

    pub(crate) fn is_sound(self) -> bool {
        let whole = self.down.number() > 0;
        whole && self.up.is_like(self.down) && self.phase.is_none_or(|phase| phase.is_like(self.up))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.up, self.down)?;
        match self.phase {
            Some(phase) => write!(f, "/{phase}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Interval {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut moments = Vec::new();
        let mut at = 0;
        for word in text.split('/') {
            moments.push(word.parse().map_err(|e: ValueError| e.shifted(at))?);
            at += word.len() + 1;
        }
        let interval = match *moments.as_slice() {
            [up, down] => Self {
                up,
                down,
                phase: None,
            },
            [up, down, phase] => Self {
                up,
                down,
                phase: Some(phase),
            },
            _ => return Err(ValueError::new(0, text, INTERVAL)),
        };
        match interval.is_sound() {
            true => Ok(interval),
            false => Err(ValueError::new(0, text, INTERVAL)),
        }
    }
}
