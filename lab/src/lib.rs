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
//! [`census`] counts the pins of every way of reaching a device, [`fuzz`] draws vectors of direct I/O.
//! Both store over the device that they are given.
//!
//! The system calls that Rust has no safe form for are in `sys.rs`.

pub mod census;
mod direct;
mod direction;
mod error;
pub mod fuzz;
pub mod held_page;
mod held_read;
mod huge_pages;
pub mod medium_error;
mod page_counts;
mod subject;
mod sys;

pub use direction::Direction;
pub use error::{LabError, Result};
pub use held_page::HeldPage;
pub use medium_error::Fault;
pub use page_counts::PageCounts;
pub use subject::Subject;
pub use sys::buffer::Memory;
