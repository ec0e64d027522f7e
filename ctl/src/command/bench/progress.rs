//! Following jobs while they run: a bar on a terminal, else a line a job.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use ::bench::session::{Beginning, Follow};
use ::bench::{Observer, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::output::note;

/// Shows where a series of jobs is, on standard error.
#[derive(Debug)]
pub(crate) struct Following {
    interrupt: Interrupt,
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    terminal: bool,
    done: usize,
    total: usize,
    current: String,
}

impl Following {
    /// For `total` jobs.
    pub(crate) fn new(interrupt: &Interrupt, total: usize) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target);
        // The template is constant and right; the plain bar would do, too.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len}  {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            interrupt: interrupt.clone(),
            bar,
            terminal,
            done: 0,
            total,
            current: String::new(),
        }
    }

    /// A job begins.
    pub(crate) fn begin(&mut self, job: &str, device: &str) {
        self.show(format!("{job} on {device}"));
        if !self.terminal {
            note(format!(
                "job {} of {}: {}",
                self.done, self.total, self.current
            ));
        }
    }

    /// What is shown while it runs.
    fn show(&mut self, current: String) {
        self.current = current;
        self.bar.set_position(u64::try_from(self.done).unwrap_or(0));
        self.bar.set_message(self.current.clone());
        self.done += 1;
    }

    /// All are done; the bar goes.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Follow for Following {
    fn begin(&mut self, beginning: &Beginning) {
        let left = about(beginning.left);
        self.show(format!(
            "{left} left  round {}: {}",
            beginning.round, beginning.cell
        ));
        if !self.terminal {
            let (done, total) = (beginning.done + 1, beginning.total);
            note(format!("run {done} of {total}, {}", self.current));
        }
    }
}

/// A time to wait, roughly.
fn about(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{} s", time.as_secs()),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

impl Observer for Following {
    fn progress(&mut self, progress: &Progress) {
        let seconds = Duration::from_secs(progress.elapsed.as_secs()).as_secs();
        self.bar
            .set_message(format!("{}  {seconds} s", self.current));
    }

    fn cancelled(&self) -> bool {
        self.interrupt.is_raised()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
