//! fio on a device: jobs, results, and the pins and CPU time that they cost.
//!
//! A [`Job`] is a file of `fio-jobs/` or of the user. [`Bench::run`] runs it on a device and
//! returns a [`JobResult`], whose keys are those of `report.json`:
//!
//! | module | what it knows |
//! |---|---|
//! | [`catalogue`] | the shipped job files |
//! | [`fio_output`] | fio's json+ report |
//! | [`fio_log`] | what fio writes down while it runs |
//! | [`pins`] | how pins are counted, and how client and daemon are told apart |
//! | [`cpu`] | the daemon's CPU time |
//! | [`instructions`] | instructions of a guest whose clock counts them |
//! | [`statistics`] | percentiles, spread, steadiness, and what a difference is worth |
//! | [`matrix`], [`session`] | many cells, measured round by round |
//! | [`record`] | the result file |
//! | [`report`] | tables, and a page with figures |
//! | [`compare`] | two result files against each other |
//! | [`table`] | results as rows for people |
//!
//! # Errors
//!
//! A run that gives no answer is a [`BenchError`]. A run that gives a bad answer (verify errors,
//! failed requests, pins left behind) is a [`JobResult`] that says so; see [`JobResult::is_good`].

pub mod catalogue;
mod child;
pub mod compare;
pub mod cpu;
mod error;
mod fio;
pub mod fio_log;
pub mod fio_output;
pub mod instructions;
mod job;
mod machine;
pub mod matrix;
mod measure;
mod observer;
pub mod pins;
pub mod record;
pub mod report;
mod result;
pub mod session;
mod setup;
pub mod statistics;
pub mod table;

pub use error::{BenchError, Result};
pub use fio::{Bound, Fio, FioRun, LEAST as LEAST_FIO, Order};
pub use fio_log::{Log, Logs};
pub use job::{Direction, Job};
pub use machine::Machine;
pub use measure::{Bench, Measured};
pub use observer::{Observer, Progress, Quiet};
pub use pins::Backing;
pub use result::{JobResult, LatencyNs};
pub use setup::{Limits, Setup};
