//! Sequences of failing and working requests: `xxwxW`.

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::notation::in_words;

/// The longest sequence.
const MAX_TURNS: usize = 4096;

/// Which turns of a rule fire: `x` fires and `w` lets pass, one turn each; the last letter is a capital
/// and stands for all turns from there on. The fail sequences of dm-loki and cuttlefs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence {
    turns: Box<[bool]>,
    rest: bool,
}

in_words!(Sequence => "a sequence such as \"xxwxW\"");

const EXPECTED: &str =
    "x (fires) or w (lets pass) for each turn, then X or W for all that follow, such as xxwxW";

impl Sequence {
    /// Whether the turn with this number, from 0, fires.
    #[must_use]
    pub fn fires(&self, turn: u64) -> bool {
        let turn = usize::try_from(turn).ok();
        let fires = turn.and_then(|turn| self.turns.get(turn));
        fires.copied().unwrap_or(self.rest)
    }

    /// Whether no turn fires.
    #[must_use]
    pub fn is_inert(&self) -> bool {
        !self.rest && self.turns.iter().all(|fires| !fires)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turns = self.turns.iter();
        turns
            .map(|fires| if *fires { "x" } else { "w" })
            .try_for_each(|turn| f.write_str(turn))?;
        f.write_str(if self.rest { "X" } else { "W" })
    }
}

impl FromStr for Sequence {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(last) = text.chars().next_back() else {
            return Err(ValueError::new(0, text, EXPECTED));
        };
        let before = &text[..text.len() - last.len_utf8()];
        let mut turns = Vec::new();
        for (at, letter) in before.char_indices() {
            match letter {
                'x' => turns.push(true),
                'w' => turns.push(false),
                other => return Err(ValueError::new(at, &other.to_string(), EXPECTED)),
            }
        }
        let rest = match last {
            'X' => true,
            'W' => false,
            other => {
                let expected = "X or W at the end, for all turns that follow, such as xxwxW";
                return Err(ValueError::new(before.len(), &other.to_string(), expected));
            }
        };
        if turns.len() > MAX_TURNS {
            let expected = format!("at most {MAX_TURNS} turns before the last");
            return Err(ValueError::new(MAX_TURNS, &text[MAX_TURNS..], expected));
        }
        Ok(Self {
            turns: turns.into(),
            rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_fire_as_they_are_written() {
        let sequence: Sequence = "xxwxW".parse().unwrap();
        let fired: Vec<u64> = (0..20).filter(|turn| sequence.fires(*turn)).collect();
        assert_eq!(fired, [0, 1, 3]);
        let late: Sequence = "wwX".parse().unwrap();
        assert!(!late.fires(1) && late.fires(2) && late.fires(u64::MAX));
        assert!("wwW".parse::<Sequence>().unwrap().is_inert());
        for (text, at) in [("", 0), ("xx", 1), ("xyW", 1), ("XW", 0), ("xé", 1)] {
            assert_eq!(text.parse::<Sequence>().unwrap_err().at, at, "{text}");
        }
    }
}
