//! Experiments on requests that are held or made to fail, one question a file.
//!
//! | experiment | question |
//! |---|---|
//! | [`held_page`] | what does the kernel do to the page of a direct read while it is in flight? |
//! | [`medium_error`] | does an injected error arrive once, where it was asked, and nowhere else? |
//!
//! An experiment gets a [`Subject`], a device of a running bvecd, and leaves it as it was: its
//! rules are removed, its held requests released and its children ended on every way out, errors
//! included. It reports what it observed; whether that is right is its caller's affair.
//!
//! The system calls that Rust has no safe form for are in `sys.rs`.

mod direct;
mod error;
pub mod held_page;
mod held_read;
pub mod medium_error;
mod page_counts;
mod subject;
mod sys;

pub use error::{LabError, Result};
pub use held_page::HeldPage;
pub use medium_error::Fault;
pub use page_counts::PageCounts;
pub use subject::Subject;
