//! Experiments on requests that are held or made to fail, one question a file.
//!
//! | module | what it is |
//! |---|---|
//! | [`experiments`] | the experiments, one question a file; how to write one is told there |
//! | [`Experiment`], [`Expected`] | question, prediction, source, needs; what is known per kernel version |
//! | [`Bench`] | what an experiment works with: disks, holds, puppets, ways to look |
//! | [`puppet`] | processes that do as they are told, so that the controller is never blocked |
//! | [`Lab`] | runs experiments with a bvecd of its own and judges them |
//! | `stack.rs` | block devices of the kernel that are stacked on ours |
//! | `standing.rs`, `kernel_log.rs` | what must hold after each: pins balanced, log clean, nothing left behind |
//! | [`held_page`], [`medium_error`] | the two of the demo, which report and do not judge |
//!
//! The controller never touches memory that is backed by a device it holds: puppets do. Rules are removed,
//! held requests released, puppets ended and mounts taken down on every way out, errors included.
//!
//! [`matrix`] is the table of experiments and kernels that `bvecctl lab matrix` fills, with a guest a kernel.
//!
//! [`census`] counts the pins of every way of reaching a device, [`fuzz`] draws vectors of direct I/O.
//! Both store over the device that they are given.
//!
//! The system calls that Rust has no safe form for are in `sys.rs` and below `sys/`.

mod bench;
pub mod census;
mod daemon;
mod direct;
mod direction;
mod error;
mod expected;
mod experiment;
pub mod experiments;
pub mod fuzz;
pub mod held_page;
mod held_read;
mod huge_pages;
mod kernel_log;
pub mod matrix;
pub mod medium_error;
mod order;
mod outcome;
mod page_counts;
pub mod puppet;
mod run;
mod stack;
mod standing;
mod subject;
mod sys;

pub use api::Driver;
pub use bench::Bench;
pub use daemon::OwnDaemon;
pub use direction::Direction;
pub use error::{LabError, Result};
pub use expected::{Expected, Is, Observations, Version};
pub use experiment::{Danger, Experiment, Need, Tolerated};
pub use held_page::HeldPage;
pub use medium_error::Fault;
pub use order::{in_order, shuffled};
pub use outcome::{Outcome, Tally, Verdict};
pub use page_counts::PageCounts;
pub use run::{Lab, Settings};
pub use subject::Subject;
pub use sys::buffer::Memory;
