//! Rules in words: `ACTION [where SEL,...] [when TRIG,...] [with OPT,...]`.
//!
//! ```
//! let rule = fault::Rule::parse("bad", "fail:MEDIUM where op=read,lba=1M+4K when count=1")?;
//! assert_eq!(rule.to_string(), "fail(status=MEDIUM) where op=read,lba=2048+8 when count=1");
//! # Ok::<(), fault::WordsError>(())
//! ```

mod action;
mod actions;
mod fields;
mod parse;
mod places;
mod scan;

pub use parse::parse;
pub(crate) use places::places;
