//! Following the guests: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lab::matrix::Column;
use lab::{Outcome, Verdict};

use crate::output::{counted, note};

/// Without a terminal, so many answers of a kernel make a line.
const EVERY: usize = 20;

/// Shows what runs and what is left, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    terminal: bool,
    experiments: usize,
    kernels_left: usize,
}

impl Progress {
    /// For so many kernels with so many experiments each.
    pub(super) fn new(kernels: usize, experiments: usize) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let total = u64::try_from(kernels * experiments).ok();
        let bar = ProgressBar::with_draw_target(total, target);
        // The template is constant and right; the plain bar would do, too.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len}  {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            terminal,
            experiments,
            kernels_left: kernels,
        }
    }

    /// A guest boots.
    pub(super) fn boots(&mut self, kernel: &str, experiments: usize, left: usize) {
        self.kernels_left = left;
        let [experiments, left] = [(experiments, "experiment"), (left, "kernel")]
            .map(|(count, noun)| counted(u64::try_from(count).unwrap_or(u64::MAX), noun));
        self.say(format!("{kernel}: {experiments}, {left} after it"));
        self.bar.set_message(format!("{kernel} boots"));
    }

    /// An experiment begins.
    pub(super) fn begins(&self, kernel: &str, experiment: &str) {
        let left = self.kernels_left;
        self.bar
            .set_message(format!("{kernel}: {experiment}  ({left} kernels after it)"));
    }

    /// An experiment is done.
    pub(super) fn done(&self, column: &Column, outcome: &Outcome) {
        let answered = column.cells.len();
        let cell = column.cell(&outcome.experiment);
        if cell.is_some_and(|cell| cell.verdicts.len() == 1) {
            self.bar.inc(1);
            let all = self.experiments;
            match answered {
                _ if self.terminal => {}
                1 => note(format!("{}: the first answer", column.name())),
                _ if answered.is_multiple_of(EVERY) => {
                    note(format!("{}: {answered} of {all}", column.name()));
                }
                _ => {}
            }
        }
        if outcome.verdict > Verdict::Holds {
            let word = match outcome.verdict {
                Verdict::Violated => "violated",
                _ => "changed",
            };
            let reason = outcome.reason.as_deref().unwrap_or_default();
            self.say(format!(
                "{}: {} is {word}: {reason}",
                column.name(),
                outcome.experiment
            ));
        }
    }

    /// A guest has ended, and so many experiments are left for another one.
    pub(super) fn ended(&self, column: &Column, left: usize) {
        let tally = column.tally();
        let seconds = tally.duration().as_secs();
        let failed = column
            .failed
            .as_ref()
            .map(|why| format!("; {why}"))
            .unwrap_or_default();
        let left = match left {
            0 => String::new(),
            left => format!("; {left} go on in a new guest"),
        };
        self.say(format!(
            "{}: {} hold, {} violated, {} changed, {} skipped in {seconds} s{failed}{left}",
            column.name(),
            tally.holds,
            tally.violated,
            tally.changed,
            tally.skipped,
        ));
    }

    /// All are done; the bar goes.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Says a line above the bar.
    fn say(&self, text: String) {
        self.bar.suspend(|| note(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
