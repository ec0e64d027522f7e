//! The fault engine: decides what becomes of each request of a device.
//!
//! A [`Rule`] says *what* to do ([`Action`]), to *which* requests ([`Selector`]) and *when* ([`Trigger`]).
//! It is the one description of a fault: words of a command line, TOML, JSON and the engine share it. Rules
//! are compiled into a [`RuleSet`], which answers each [`Request`] with a [`Verdict`].
//!
//! # What it promises
//! - **Pure**: no I/O, no clock, no threads, no entropy, no unsafe code. Seed and time are arguments.
//! - **Repeatable**: same rules, same seed, same requests in the same order, same verdicts. What rule `r` does
//!   to the n-th request it selects depends on (seed, name of `r`, n) and on how often it has fired, never on
//!   other rules' draws. With several queues the *order* of requests is the scheduler's, so which of them is
//!   the n-th may differ between runs; how many fire does not, for a rule whose own selection and place
//!   in the set are not shadowed by another.
//! - **Cheap**: a decision allocates nothing and takes no lock; an empty set costs one comparison.
//! - **Whole**: a set with one bad rule is refused, and the error says which rule, which field, and what would
//!   be right.
//!
//! # Order of evaluation
//! Rules in the order of their list; for each: selectors, then `skip`, `nth` or `every`, `prob`, `count`, then
//! conflicts. Delays add up; the first terminal action (fail, hold) decides; later ones are counted as
//! shadowed. See [`RuleSet::decide`].

mod action;
mod check;
mod draw;
mod engine;
mod error;
mod history;
mod matcher;
mod op;
mod range;
mod request;
mod rule;
mod ruleset;
mod sector;
mod selector;
mod span;
mod status;
#[cfg(test)]
mod testing;
mod trigger;
mod verdict;
pub mod words;

pub use action::{Action, DEFAULT_HOLD_NS, MAX_PARK_NS, Then};
pub use check::MAX_RULES;
pub use error::{RuleError, ValueError, WordsError};
pub use history::Counters;
pub use op::{Direction, Op, OpSet};
pub use range::{Ranges, SectorRange};
pub use request::Request;
pub use rule::Rule;
pub use ruleset::{RuleReport, RuleSet};
pub use sector::{Geometry, SECTOR_BYTES, Sector};
pub use selector::{Overlap, Selector};
pub use span::{format_ns, parse_ns};
pub use status::Status;
pub use trigger::{Trigger, parse_prob};
pub use verdict::{RuleIndex, Terminal, Verdict};
