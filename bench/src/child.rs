//! fio while it runs: its lines, its end, and how it is made to end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::io_error;
use crate::{BenchError, Observer, Progress, Result};

/// How often the child and the observer are asked.
const POLL: Duration = Duration::from_millis(50);
/// How long a killed fio may take to end; its requests must come back first.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// A line of the child.
enum Line {
    Status(String),
    Complaint(String),
}

/// The child while it runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<Line>,
    ended: bool,
}

impl Running {
    pub(crate) fn new(mut child: Child) -> Self {
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            forward(output, sender.clone(), Line::Status);
        }
        if let Some(output) = child.stderr.take() {
            forward(output, sender, Line::Complaint);
        }
        Self {
            child,
            lines,
            ended: false,
        }
    }

    /// Waits for the end, reporting to the observer; returns the status and the complaints.
    pub(crate) fn wait(
        mut self,
        limit: Duration,
        observer: &mut dyn Observer,
    ) -> Result<(ExitStatus, Vec<String>)> {
        let start = Instant::now();
        let mut status = None;
        let mut complaints = Vec::new();
        loop {
            match self.lines.recv_timeout(POLL) {
                Ok(Line::Status(line)) => status = Some(line),
                Ok(Line::Complaint(line)) => complaints.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
            }
            if let Some(exit) = self.ended()? {
                // The pipes close with the process, so this ends.
                complaints.extend(self.lines.iter().filter_map(|line| match line {
                    Line::Complaint(line) => Some(line),
                    Line::Status(_) => None,
                }));
                return Ok((exit, complaints));
            }
            let elapsed = start.elapsed();
            observer.progress(&Progress {
                elapsed,
                status: status.clone(),
            });
            if observer.cancelled() {
                self.kill()?;
                return Err(BenchError::Interrupted);
            }
            if elapsed > limit {
                self.kill()?;
                return Err(BenchError::TimedOut { limit });
            }
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().map_err(io_error("wait for fio"))?;
        self.ended = status.is_some();
        Ok(status)
    }

    /// Kills fio. It ends when its requests have come back, which a held one does not.
    fn kill(&mut self) -> Result<()> {
        self.child.kill().map_err(io_error("kill fio"))?;
        let start = Instant::now();
        while self.ended()?.is_none() {
            if start.elapsed() > KILL_GRACE {
                return Err(BenchError::Stuck {
                    pid: self.child.id(),
                });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody is left to tell: this is an unwinding caller or one who has had the error.
            let _ = self.child.kill();
            let _ = self.child.try_wait();
        }
    }
}

/// Sends the lines of a pipe from a thread of its own until the pipe closes.
fn forward(output: impl Read + Send + 'static, sender: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&bytes);
            // fio rewrites its status line with carriage returns.
            let lines = text.split(['\r', '\n']).map(str::trim);
            for line in lines.filter(|line| !line.is_empty()) {
                if sender.send(kind(line.to_owned())).is_err() {
                    return;
                }
            }
            bytes.clear();
        }
    });
}
