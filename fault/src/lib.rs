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
mod damage;
mod device;
mod document;
mod draw;
mod engine;
mod error;
mod explain;
mod extent;
mod facts;
mod history;
mod import;
mod index;
mod label;
mod length;
mod matcher;
mod notation;
mod op;
mod options;
mod range;
mod request;
mod rule;
mod rule_file;
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

pub use action::{
    Action, Corruption, CrashPoint, DEFAULT_HOLD_NS, DEFAULT_REORDER_NS, Dist, Effect, Heal, Kind,
    MAX_PARK_NS, MAX_PARTS, MAX_POINTS, Persist, PiTag, Place, Point, Removal, Scope, Side, Stage,
    Then, Torn, Unit, Window,
};
pub use check::{MAX_BAD_SECTORS, MAX_RULES};
pub use device::{DeviceHistory, DeviceSnapshot, MAX_MARKS, START};
pub use document::{Document, DocumentError, Format, MAX_DOCUMENT_BYTES, Written};
pub use draw::{MAX_ORDER, permutation};
pub use error::{RuleError, ValueError, WordsError};
pub use explain::{Explained, Explanation, Outcome};
pub use extent::Extent;
pub use facts::{ActionSet, DeviceFacts};
pub use history::addresses::AddressCount;
pub use history::bad_map::BadRun;
pub use history::{ArmedAt, Counters};
pub use import::{Foreign, Imported, Refused, import};
pub use label::Label;
pub use length::{Bytes, Sectors};
pub use op::{Direction, Op, OpSet};
pub use options::{Arm, DrawBy, OnRemove, Options};
pub use range::{Ranges, SectorRange};
pub use request::Request;
pub use rule::Rule;
pub use rule_file::{RuleFile, Version};
pub use ruleset::{Keep, Needs, RuleReport, RuleSet, RuleSnapshot, Snapshot};
pub use sector::{SECTOR_BYTES, Sector};
pub use selector::{
    Comparison, CountTest, DataTest, Epochs, FlagTest, Flags, Overlap, Selector, SizeTest,
};
pub use span::{format_ns, parse_ns};
pub use status::Status;
pub use trigger::{Interval, Moment, Rate, Sequence, Trigger, parse_prob};
pub use verdict::{Few, RuleIndex, Signals, Terminal, Touch, Touches, Verdict};
