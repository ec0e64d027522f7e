//! Rules from what other tools call faults: people bring what they have.
//!
//! What a tool does is translated where the same can be said here; a line of which that is not so is refused
//! with the reason, and the others are translated all the same, so that the caller decides.

mod blkdebug;
mod ddrescue;
mod dust;
mod flakey;
mod null_blk;

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::range::{Ranges, SectorRange};
use crate::rule::Rule;
use crate::sector::{SECTOR_BYTES, Sector};

/// How many ranges a rule of an import has at most; more make more rules.
const MAX_RANGES: usize = 4096;

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A bad block list of dm-dust: block numbers one a line, as `listbadblocks` prints them, or the
    /// messages that make them (`addbadblock 60`), or a script of `dmsetup`.
    Dust,
    /// Table lines of dm-flakey: `0 409600 flakey /dev/sdb 0 5 1 1 drop_writes`.
    Flakey,
    /// A map file of GNU ddrescue.
    Ddrescue,
    /// Bad blocks in the words of null_blk: `+8-15`, `-10-11`.
    NullBlk,
    /// A configuration of QEMU's blkdebug.
    Blkdebug,
}

const NAMES: [(&str, Foreign); 5] = [
    ("dm-dust", Foreign::Dust),
    ("dm-flakey", Foreign::Flakey),
    ("ddrescue", Foreign::Ddrescue),
    ("null_blk", Foreign::NullBlk),
    ("blkdebug", Foreign::Blkdebug),
];

impl Foreign {
    /// The format's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = NAMES.into_iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Foreign {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = NAMES.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| format).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            ValueError::new(0, text, format!("one of {names}"))
        })
    }
}

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Lines that could not be translated.
    pub refused: Vec<Refused>,
    /// What is different here from there, though it was translated.
    pub notes: Vec<String>,
}

/// A line that could not be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}`: {reason}")]
pub struct Refused {
    /// The line, from 1.
    pub line: usize,
    /// What stands there, at most 80 characters of it.
    pub text: String,
    /// Why it cannot be translated, and what can be said instead.
    pub reason: String,
}

/// Makes rules of a text of another tool. Their names begin with `name`.
#[must_use]
pub fn import(format: Foreign, name: &str, text: &str) -> Imported {
    let mut into = Import {
        name,
        done: Imported::default(),
    };
    match format {
        Foreign::Dust => dust::import(text, &mut into),
        Foreign::Flakey => flakey::import(text, &mut into),
        Foreign::Ddrescue => ddrescue::import(text, &mut into),
        Foreign::NullBlk => null_blk::import(text, &mut into),
        Foreign::Blkdebug => blkdebug::import(text, &mut into),
    }
    into.done
}

/// An import under way.
struct Import<'n> {
    name: &'n str,
    done: Imported,
}

impl Import<'_> {
    fn refuse(&mut self, line: usize, text: &str, reason: impl Into<String>) {
        self.done.refused.push(Refused {
            line,
            text: text.trim().chars().take(80).collect(),
            reason: reason.into(),
        });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.done.notes.push(note.into());
    }

    /// Adds a rule, of words that this code has put together.
    fn add(&mut self, line: usize, suffix: &str, words: &str) {
        let name = match suffix {
            "" => self.name.to_owned(),
            suffix => format!("{}-{suffix}", self.name),
        };
        match Rule::parse(&name, words) {
            Ok(rule) => self.done.rules.push(rule),
            Err(error) => self.refuse(line, words, error.to_string()),
        }
    }

    /// Adds rules about these sectors, as many as their number of ranges takes. `words` makes the words
    /// of one from its `lba`.
    fn add_ranges(&mut self, suffix: &str, sectors: &[(u64, u64)], words: impl Fn(&str) -> String) {
        let ranges = joined(sectors);
        let several = ranges.len() > MAX_RANGES;
        for (number, part) in ranges.chunks(MAX_RANGES).enumerate() {
            let Some(lba) = Ranges::new(part.to_vec()) else {
                continue;
            };
            let suffix = match (several, suffix) {
                (false, suffix) => suffix.to_owned(),
                (true, "") => number.to_string(),
                (true, suffix) => format!("{suffix}-{number}"),
            };
            self.add(0, &suffix, &words(&lba.to_string()));
        }
    }
}

/// The sectors `start..end`, sorted and joined.
fn joined(sectors: &[(u64, u64)]) -> Vec<SectorRange> {
    let mut sorted = sectors.to_vec();
    sorted.sort_unstable();
    let mut whole: Vec<(u64, u64)> = Vec::new();
    for (start, end) in sorted {
        match whole.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => whole.push((start, end)),
        }
    }
    let range = |(start, end)| SectorRange::new(Sector(start), Sector(end));
    whole.into_iter().filter_map(range).collect()
}

/// The lines of a text that say something, with their numbers from 1; `#` begins a comment.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate();
    let said =
        numbered.map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()));
    said.filter(|(_, line)| !line.is_empty())
}

/// A whole number: decimal, `0x` hexadecimal, or octal with a leading 0, as C reads it.
fn c_number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let digits = lower.bytes().all(|byte| byte.is_ascii_digit());
    match lower.strip_prefix('0') {
        Some(octal) if digits && !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ => lower.parse().ok().filter(|_| digits),
    }
}

/// The sectors that bytes `start..start + bytes` touch.
fn touched(start: u64, bytes: u64) -> Option<(u64, u64)> {
    let end = start.checked_add(bytes)?;
    Some((start / SECTOR_BYTES, end.div_ceil(SECTOR_BYTES)))
}

#[cfg(test)]
mod tests;
