//! The flags of a request, and which of them a rule asks for.

use std::fmt;
use std::str::FromStr;

use bitflags::bitflags;

use crate::error::ValueError;
use crate::notation::in_words;

bitflags! {
    /// Flags of a request that reach a ublk server (`ublk_req_build_flags`, drivers/block/ublk_drv.c).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// The data must be on the medium before the answer.
        const FUA = 1;
        /// It is about metadata of a file system.
        const META = 1 << 1;
        /// Blocks must not be deallocated.
        const NOUNMAP = 1 << 2;
        /// It is of the swap device.
        const SWAP = 1 << 3;
        /// The client wants no retries after an error of the device, the transport or the driver.
        const FAILFAST = 1 << 4;
        /// It carries protection information.
        const INTEGRITY = 1 << 5;
    }
}

const NAMES: [(&str, Flags); 6] = [
    ("fua", Flags::FUA),
    ("meta", Flags::META),
    ("nounmap", Flags::NOUNMAP),
    ("swap", Flags::SWAP),
    ("failfast", Flags::FAILFAST),
    ("integrity", Flags::INTEGRITY),
];

const EXPECTED: &str = "flags joined by `+`, each with `!` before it for its absence: fua, meta, \
                        nounmap, swap, failfast, integrity (a server sees no others)";

/// Flags that a request must have, and flags that it must not have. In words and JSON `fua+!meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlagTest {
    set: Flags,
    clear: Flags,
}

in_words!(FlagTest => "flags, such as \"fua+!meta\"");

impl FlagTest {
    /// Requests with all of `set` and none of `clear`; none if that names no flag, or one twice.
    #[must_use]
    pub fn new(set: Flags, clear: Flags) -> Option<Self> {
        let sound = !set.intersects(clear) && !(set | clear).is_empty();
        sound.then_some(Self { set, clear })
    }

    /// Whether a request with these flags is meant.
    #[must_use]
    pub const fn holds(self, flags: Flags) -> bool {
        flags.contains(self.set) && !flags.intersects(self.clear)
    }

    /// The flags it must have.
    #[must_use]
    pub const fn set(self) -> Flags {
        self.set
    }
}

impl fmt::Display for FlagTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plus = "";
        for (name, flag) in NAMES {
            let not = match (self.set.contains(flag), self.clear.contains(flag)) {
                (true, _) => "",
                (_, true) => "!",
                _ => continue,
            };
            write!(f, "{plus}{not}{name}")?;
            plus = "+";
        }
        Ok(())
    }
}

impl FromStr for FlagTest {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (mut set, mut clear) = (Flags::empty(), Flags::empty());
        let mut at = 0;
        for word in text.split('+') {
            let (name, into) = match word.strip_prefix('!') {
                Some(name) => (name, &mut clear),
                None => (word, &mut set),
            };
            let flag = NAMES.into_iter().find(|(known, _)| *known == name);
            let (_, flag) = flag.ok_or_else(|| ValueError::new(at, word, EXPECTED))?;
            into.insert(flag);
            if set.intersects(clear) {
                return Err(ValueError::new(
                    at,
                    word,
                    "each flag with `!` or without, not both",
                ));
            }
            at += word.len() + 1;
        }
        Ok(Self { set, clear })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_written_and_hold() {
        let test: FlagTest = "!meta+fua".parse().unwrap();
        assert_eq!(test.to_string(), "fua+!meta");
        assert!(test.holds(Flags::FUA | Flags::SWAP));
        assert!(!test.holds(Flags::FUA | Flags::META) && !test.holds(Flags::empty()));
        for (text, at) in [
            ("", 0),
            ("fau", 0),
            ("fua+", 4),
            ("fua+!fua", 4),
            ("sync", 0),
        ] {
            assert_eq!(text.parse::<FlagTest>().unwrap_err().at, at, "{text}");
        }
    }
}
