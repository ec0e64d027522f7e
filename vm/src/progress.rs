//! Lines on standard error that say what is being fetched, built and booted.

use std::io::{self, Write};
use std::time::Instant;

/// Says what is going on, with the time since the start; silent if so asked.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    start: Instant,
    quiet: bool,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self {
            start: Instant::now(),
            quiet,
        }
    }

    /// Says what begins now.
    pub fn say(&self, what: impl std::fmt::Display) {
        if !self.quiet {
            self.warn(what);
        }
    }

    /// Says what the user must see even when quiet was asked for.
    pub fn warn(&self, what: impl std::fmt::Display) {
        let seconds = self.start.elapsed().as_secs_f64();
        // Nobody can be told about a standard error that is closed.
        let _ = writeln!(io::stderr(), "vm [{seconds:5.1} s] {what}");
    }
}
