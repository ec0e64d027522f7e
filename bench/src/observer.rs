//! Following a run while it lasts.

use std::time::Duration;

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Time since the start.
    pub elapsed: Duration,
    /// fio's status line, once there is one.
    pub status: Option<String>,
}

/// Somebody who follows a run and may end it.
pub trait Observer {
    /// Called before the run that counts; one of a single request may come before it.
    fn begins(&mut self) {}

    /// Called several times a second.
    fn progress(&mut self, progress: &Progress);

    /// Asked as often; `true` kills fio. A program sets it from its signal handler.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that lets a run go on unseen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn progress(&mut self, _: &Progress) {}
}
