//! fio on a device: jobs, results, and the pins and CPU time that they cost.
//!
//! A [`Job`] is a file of `fio-jobs/` or of the user. [`Bench::run`] runs it on a device and
//! returns a [`JobResult`], whose keys are those of `report.json`:
//!
//! | module | what it knows |
//! |---|---|
//! | [`catalogue`] | the shipped job files |
//! | [`fio_output`] | fio's json+ report |
//! | [`pins`] | how pins are counted, and how client and daemon are told apart |
//! | [`cpu`] | the daemon's CPU time |
//! | [`statistics`] | percentiles |
//! | [`table`] | results as rows for people |
//!
//! # Errors
//!
//! A run that gives no answer is a [`BenchError`]. A run that gives a bad answer (verify errors,
//! failed requests, pins left behind) is a [`JobResult`] that says so; see [`JobResult::is_good`].

pub mod catalogue;
mod child;
pub mod cpu;
mod error;
mod fio;
pub mod fio_output;
mod job;
mod measure;
mod observer;
pub mod pins;
mod result;
pub mod statistics;
pub mod table;

pub use error::{BenchError, Result};
pub use fio::{Bound, Fio, FioRun};
pub use job::{Direction, Job};
pub use measure::{Bench, Limits, Setup};
pub use observer::{Observer, Progress, Quiet};
pub use pins::Backing;
pub use result::{JobResult, LatencyNs};
