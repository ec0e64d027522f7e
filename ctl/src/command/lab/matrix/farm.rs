//! Runs the guests, and fills the table with what they say.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::thread::JoinHandleExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ::vm::{Cause, Death, Error, Vm};
use anyhow::{Context as _, Result};
use lab::matrix::{Column, Matrix};
use lab::{Observations, Outcome, Verdict};
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;

use super::forms;
use super::lines::{Event, Reader};
use super::progress::Progress;
use crate::interrupt::Interrupt;

/// How often it is looked whether the user wants it to end.
const LOOK: Duration = Duration::from_millis(100);
/// How often the table is written while it fills.
const WRITE: Duration = Duration::from_secs(1);
/// So many lines of what a guest said are told when it fails.
const LAST_WORDS: usize = 5;

/// What a machine failed for, from what is told to what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failed {
    /// The kernel as it was asked for makes no sense.
    Input,
    /// It lacks something.
    Missing,
    /// It hung, or could not be made.
    Harness,
}

/// All guests, by the columns of the table.
#[derive(Debug)]
pub(super) struct Farm<'a> {
    matrix: Matrix,
    guests: Vec<Guest>,
    names: Vec<&'a str>,
    out: Option<&'a Path>,
    interrupt: &'a Interrupt,
    progress: Progress,
    written: Option<Instant>,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Guest {
    vm: Vm,
    running: Option<String>,
    began: Instant,
    said: VecDeque<String>,
    log: Option<File>,
}

impl<'a> Farm<'a> {
    /// For a table without answers; one description of a guest a column.
    pub(super) fn new(
        matrix: Matrix,
        guests: Vec<Vm>,
        names: Vec<&'a str>,
        out: Option<&'a Path>,
        interrupt: &'a Interrupt,
    ) -> Self {
        let guests = guests.into_iter().map(|vm| Guest {
            vm,
            running: None,
            began: Instant::now(),
            said: VecDeque::new(),
            log: None,
        });
        Self {
            progress: Progress::new(matrix.kernels.len(), names.len()),
            matrix,
            guests: guests.collect(),
            names,
            out,
            interrupt,
            written: None,
            failed: None,
        }
    }

    /// Runs everything, so many guests at a time. An interrupt ends the guests; the table then has what was answered.
    ///
    /// # Errors
    /// What was answered cannot be written.
    pub(super) fn run(mut self, jobs: usize) -> Result<(Matrix, Option<Failed>)> {
        let (sender, events) = channel();
        let mut waiting: VecDeque<(usize, Vec<&str>)> = (0..self.guests.len())
            .map(|index| (index, self.names.clone()))
            .collect();
        let mut running = Vec::new();
        let mut trouble = None;
        loop {
            let stop = self.interrupt.is_raised() || trouble.is_some();
            while !stop
                && running.len() < jobs
                && let Some((index, names)) = waiting.pop_front()
            {
                running.push((index, self.start(index, &names, waiting.len(), &sender)));
            }
            if running.is_empty() {
                break;
            }
            if stop {
                running.iter().for_each(|(_, thread)| end(thread));
            }
            match self.next(&events, &mut running) {
                Ok(Some((index, rest))) if !rest.is_empty() => waiting.push_front((index, rest)),
                Ok(_) => {}
                Err(error) => trouble = Some(error),
            }
        }
        self.progress.end();
        match trouble {
            Some(error) => Err(error),
            None => Ok((self.matrix, self.failed)),
        }
    }

    /// Boots a guest that asks these.
    fn start(
        &mut self,
        index: usize,
        names: &[&str],
        left: usize,
        sender: &Sender<(usize, Event)>,
    ) -> JoinHandle<()> {
        let command = command(&self.matrix, names);
        let guest = &mut self.guests[index];
        guest.began = Instant::now();
        guest.said.clear();
        let vm = Vm {
            command,
            ..guest.vm.clone()
        };
        self.progress
            .boots(&self.matrix.kernels[index].asked, names.len(), left);
        let events = sender.clone();
        thread::spawn(move || {
            let reader = || Reader::new(index, events.clone());
            let result = vm.run_into(reader(), reader());
            // The farm listens until every guest has ended.
            let _ = events.send((index, Event::Ended(Box::new(result))));
        })
    }

    /// Takes one event in, if there is one: which guest has ended, and what it leaves to be asked in another one.
    fn next(
        &mut self,
        events: &Receiver<(usize, Event)>,
        running: &mut Vec<(usize, JoinHandle<()>)>,
    ) -> Result<Option<(usize, Vec<&'a str>)>> {
        let Ok((index, event)) = events.recv_timeout(LOOK) else {
            return Ok(None);
        };
        match event {
            Event::Begins(name) => {
                self.progress
                    .begins(self.matrix.kernels[index].name(), &name);
                self.guests[index].running = Some(name);
            }
            Event::Done(line, outcome) => self.done(index, &line, &outcome)?,
            Event::Says(line) => {
                let said = &mut self.guests[index].said;
                said.push_back(line);
                if said.len() > LAST_WORDS {
                    said.pop_front();
                }
            }
            Event::Ended(result) => {
                if let Some(place) = running.iter().position(|(of, _)| *of == index) {
                    // It has sent its last word, and does not panic.
                    let _ = running.swap_remove(place).1.join();
                }
                let rest = self.ended(index, *result);
                self.progress.ended(&self.matrix.kernels[index], rest.len());
                self.write(true)?;
                return Ok(Some((index, rest)));
            }
        }
        Ok(None)
    }

    fn done(&mut self, index: usize, line: &str, outcome: &Outcome) -> Result<()> {
        self.matrix.kernels[index].add(outcome);
        self.guests[index].running = None;
        self.progress.done(&self.matrix.kernels[index], outcome);
        if let Some(out) = self.out {
            let log = &mut self.guests[index].log;
            let file = match log {
                Some(file) => file,
                None => log.insert(forms::log(out, &outcome.kernel)?),
            };
            writeln!(file, "{line}").context("write what a guest said")?;
        }
        self.write(false)
    }

    /// Writes the table as it is, not too often unless told.
    fn write(&mut self, now: bool) -> Result<()> {
        let Some(out) = self.out else { return Ok(()) };
        if now || self.written.is_none_or(|at| at.elapsed() > WRITE) {
            forms::write_json(&self.matrix, out)?;
            self.written = Some(Instant::now());
        }
        Ok(())
    }

    /// A guest has ended. Gives what is to be asked in another one.
    fn ended(&mut self, index: usize, result: Result<::vm::Outcome, Error>) -> Vec<&'a str> {
        let (guest, column) = (&mut self.guests[index], &mut self.matrix.kernels[index]);
        let took = u64::try_from(guest.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        column.duration_ns = column.duration_ns.saturating_add(took);
        let running = guest.running.take();
        let open = |column: &Column| -> Vec<&'a str> {
            let names = self.names.iter().copied();
            names.filter(|name| column.cell(name).is_none()).collect()
        };
        let (why, kind) = match (result, running) {
            (Ok(outcome), _) => {
                column.kernel = Some(outcome.kernel);
                column.accelerator = Some(outcome.accelerator.to_string());
                if open(column).is_empty() {
                    return Vec::new();
                }
                let said = guest
                    .said
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(" / ");
                let code = outcome.exit_code;
                let kind = if code == 4 {
                    Failed::Missing
                } else {
                    Failed::Harness
                };
                (format!("`lab run` ended with {code}: {said}"), kind)
            }
            (
                Err(Error::Death(Death {
                    cause: Cause::Interrupted { .. },
                    ..
                })),
                _,
            ) => {
                self.interrupt.raise();
                column.failed = Some("interrupted".to_owned());
                return Vec::new();
            }
            (Err(Error::Death(death)), Some(name)) if is_of_the_experiment(&death.cause) => {
                column.add(&took_down(column, &name, &death));
                if let Some(out) = self.out {
                    // The table says that it died; the console says more, if it can be written.
                    let _ = forms::console(out, column.name(), &name, &death.to_string());
                }
                return open(column);
            }
            (Err(error), running) => {
                let during = running
                    .map(|name| format!(", at {name}"))
                    .unwrap_or_default();
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default().to_owned();
                let kind = match error.exit_code() {
                    2 => Failed::Input,
                    4 => Failed::Missing,
                    _ => Failed::Harness,
                };
                (format!("failed to {line}{during}"), kind)
            }
        };
        column.failed = Some(why);
        self.failed = self.failed.max(Some(kind));
        Vec::new()
    }
}

/// Whether the guest's kernel died while it ran, which is an answer; a time-out may be the host's.
const fn is_of_the_experiment(cause: &Cause) -> bool {
    matches!(cause, Cause::Panicked { .. } | Cause::Vanished { .. })
}

/// An experiment that took its kernel down.
fn took_down(column: &Column, name: &str, death: &Death) -> Outcome {
    let text = death.to_string();
    let line = text.lines().next().unwrap_or_default();
    Outcome {
        schema: api::SCHEMA,
        experiment: name.to_owned(),
        kernel: column.name().to_owned(),
        driver: column
            .cells
            .first()
            .map(|cell| cell.driver)
            .unwrap_or_default(),
        verdict: Verdict::Violated,
        reason: Some(format!("it took the kernel down: failed to {line}")),
        not_applicable: false,
        observations: Observations::new(),
        seed: 0,
        duration_ns: 0,
    }
}

/// What the guest runs.
fn command(matrix: &Matrix, names: &[&str]) -> Vec<String> {
    let plan = &matrix.plan;
    let words = [
        "bvecctl",
        "--json",
        "lab",
        "run",
        "--dangerous",
        "--announce",
        "--repeat",
    ];
    let mut command: Vec<String> = words.map(str::to_owned).into();
    command.push(plan.repeat.to_string());
    if plan.seed > 0 {
        command.extend(["--seed".to_owned(), plan.seed.to_string()]);
    }
    if let Some(driver) = plan.driver {
        command.extend(["--driver".to_owned(), driver.to_string()]);
    }
    if let Some(version) = &plan.judged_as {
        command.extend(["--judge-as".to_owned(), version.clone()]);
    }
    command.extend(names.iter().map(|name| (*name).to_owned()));
    command
}

/// Sends the signal that makes a guest end to the thread that watches it. One that does not watch yet, or no more,
/// takes it for ours, which is known already; so it is sent until the thread has ended.
fn end(thread: &JoinHandle<()>) {
    // The thread has not been joined, so that its name is still its own.
    let _ = pthread_kill(thread.as_pthread_t(), Signal::SIGTERM);
}

#[cfg(test)]
mod tests;
