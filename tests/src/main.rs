//! bvecd-suite: every test that needs a real ublk device. It runs as root on a kernel with ublk_drv,
//! which is what `cargo xtask test` boots; it drives the built `bvecd` and `bvecctl` from the
//! directory that it stands in itself, or from PATH.
//!
//! A test panics when something is wrong. One that this kernel cannot have is *not applicable*; one
//! that lacks a program or a right is *skipped*, which in CI fails the run.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected must panic where it does"
)]
#![expect(
    clippy::print_stdout,
    reason = "the report of a test run goes to stdout"
)]

mod cases;
mod client_io;
mod daemon;
mod deadline;
mod filesystem;
mod load;
mod model;
mod open_metrics;
mod outcome;
mod pins;
mod programs;
mod relay;
mod runner;
mod scratch;
mod server;
mod shard;
mod sys;
mod tracing;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((cases::deferral::SERVE, words)) = words.split_first().map(|(f, r)| (f.as_str(), r))
    {
        cases::deferral::serve(words);
        return ExitCode::SUCCESS;
    }
    if let Some((relay::RELAY, words)) = words.split_first().map(|(f, r)| (f.as_str(), r)) {
        relay::run(words);
        return ExitCode::SUCCESS;
    }
    runner::run(&cases::all(), &words)
}
