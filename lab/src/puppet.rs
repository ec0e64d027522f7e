//! A puppet: a process of its own that does what it is told, so that an experiment can map, fork, unmap or be killed
//! without the controller being touched.
//!
//! It is this program started again under another name ([`is_called`], [`act`]), and talks over two pipes, one JSON
//! object a line. Everything that the device's requests can block happens in it; the controller only asks, each time
//! with a limit. A puppet that is dropped first gets everything healed that is held, then SIGKILL, and is waited for.

mod act;
mod calls;
mod job;
pub(crate) mod order;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::{BlockingClient, call};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::io_error;
use crate::{LabError, Result};
use order::{Answer, Order, Said};

pub use act::act;

/// What a puppet's program is called, in place of its name.
const NAME: &str = "bvecctl-puppet";
/// How long an answer to an order may take; orders that block are begun and awaited.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a released operation may take to come back.
const BACK: Duration = Duration::from_secs(10);
/// How long a killed puppet may take to be gone.
const GONE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// Whether this process was started to be a puppet, and must call [`act`].
#[must_use]
pub fn is_called() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// A running puppet.
#[derive(Debug)]
pub(crate) struct Puppet<'a> {
    client: &'a BlockingClient,
    pid: Pid,
    line: RefCell<Line>,
    /// Whether it is known to be gone.
    gone: std::cell::Cell<bool>,
}

#[derive(Debug)]
struct Line {
    orders: File,
    answers: BufReader<File>,
}

impl<'a> Puppet<'a> {
    /// Starts one. What it holds on to is healed through `client` when it is dropped.
    pub(crate) fn new(client: &'a BlockingClient) -> Result<Self> {
        let start = || -> io::Result<Self> {
            let mut child = Command::new("/proc/self/exe")
                .arg0(NAME)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C is for the controller, which ends its puppets in order.
                .process_group(0)
                .spawn()?;
            let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
            let ends = child.stdin.take().zip(child.stdout.take());
            let (orders, answers) = ends.ok_or_else(|| io::Error::other("no pipes"))?;
            Ok(Self {
                client,
                pid: Pid::from_raw(pid),
                line: RefCell::new(Line {
                    orders: OwnedFd::from(orders).into(),
                    answers: BufReader::new(OwnedFd::from(answers).into()),
                }),
                gone: false.into(),
            })
        };
        let puppet = start().map_err(io_error("start a puppet"))?;
        puppet.hear("begin").map(|_| ())?;
        Ok(puppet)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Gives an order; the outer error is ours, the inner one the errno that the puppet got.
    pub(crate) fn tell(&self, order: &Order) -> Result<Said> {
        let name = self.say(order)?;
        self.hear(&name)
    }

    fn say(&self, order: &Order) -> Result<String> {
        let mut text = serde_json::to_string(order)
            .map_err(|error| io_error("write an order")(error.into()))?;
        text.push('\n');
        let name = name_of(order);
        self.line
            .borrow_mut()
            .orders
            .write_all(text.as_bytes())
            .map_err(|_| self.ended(&name))?;
        Ok(name)
    }

    /// As [`Self::tell`], for what must not fail.
    fn get(&self, order: &Order) -> Result<Answer> {
        self.tell(order)?.map_err(|errno| LabError::Refused {
            order: name_of(order),
            source: io::Error::from_raw_os_error(errno),
        })
    }

    /// Gives an order that must not fail and has nothing to tell.
    pub(crate) fn order(&self, order: &Order) -> Result<()> {
        self.get(order).map(drop)
    }

    /// Whether there is something to hear, or will be within `time`.
    fn speaks_within(&self, time: Duration) -> Result<bool> {
        let line = self.line.borrow();
        let start = Instant::now();
        loop {
            let mut polled = [PollFd::new(
                line.answers.get_ref().as_fd(),
                PollFlags::POLLIN,
            )];
            match poll(&mut polled, PollTimeout::from(20_u8)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(io_error("wait for a puppet")(errno.into())),
            }
            if start.elapsed() > time {
                return Ok(false);
            }
        }
    }

    fn hear(&self, order: &str) -> Result<Said> {
        if !self.speaks_within(LIMIT)? {
            return Err(LabError::Silent {
                pid: self.pid(),
                order: order.to_owned(),
                limit: LIMIT,
            });
        }
        let mut line = self.line.borrow_mut();
        let mut text = String::new();
        match line.answers.read_line(&mut text) {
            Ok(length) if length > 0 => serde_json::from_str(&text)
                .map_err(|error| io_error("understand a puppet")(error.into())),
            _ => Err(self.ended(order)),
        }
    }

    fn ended(&self, order: &str) -> LabError {
        LabError::PuppetEnded {
            pid: self.pid(),
            order: order.to_owned(),
        }
    }

    /// Forks it.
    pub(crate) fn fork(&self) -> Result<Puppet<'a>> {
        let (pid, orders, answers) = match self.get(&Order::Fork)? {
            Answer::Forked {
                pid,
                orders,
                answers,
            } => (pid, orders, answers),
            other => return Err(odd(&Order::Fork, &other)),
        };
        let end = |fd: i32, write: bool| {
            File::options()
                .read(!write)
                .write(write)
                .open(format!("/proc/{}/fd/{fd}", self.pid()))
                .map_err(io_error("open a pipe to a child"))
        };
        let line = Line {
            orders: end(orders, true)?,
            answers: BufReader::new(end(answers, false)?),
        };
        self.get(&Order::Forked)?;
        let child = Puppet {
            client: self.client,
            pid: Pid::from_raw(pid.cast_signed()),
            line: RefCell::new(line),
            gone: false.into(),
        };
        child.hear("begin after fork").map(drop)?;
        Ok(child)
    }

    /// Sends it SIGKILL and does not wait.
    pub(crate) fn kill(&self) {
        // One that has ended already is what is wanted.
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Waits at most `time` until it has ended; whether it has.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            if self.has_ended()? {
                return Ok(true);
            }
            if start.elapsed() > time {
                return Ok(false);
            }
            std::thread::sleep(POLL);
        }
    }

    fn has_ended(&self) -> Result<bool> {
        if self.gone.get() {
            return Ok(true);
        }
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => Ok(false),
            Ok(_) => {
                self.gone.set(true);
                Ok(true)
            }
            // A grandchild whose parent still lives is not ours to wait for; a zombie of it is as good as gone.
            Err(Errno::ECHILD) => {
                let ended = matches!(self.state(), None | Some('Z' | 'X'));
                self.gone.set(ended);
                Ok(ended)
            }
            Err(errno) => Err(io_error("wait for a puppet")(errno.into())),
        }
    }

    /// The state of its main thread as `/proc` says it; none if there is no such process.
    pub(crate) fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

impl Drop for Puppet<'_> {
    fn drop(&mut self) {
        if self.has_ended().unwrap_or(false) {
            return;
        }
        self.kill();
        if self.ends_within(POLL * 5).unwrap_or(false) {
            return;
        }
        // Something that it waits for is held. A daemon that cannot be reached holds nothing either.
        let _ = self.client.send(call::heal(None));
        // One that does not end is found by the check for what is left behind.
        let _ = self.ends_within(GONE);
    }
}

/// The first word of an order, for messages.
fn name_of(order: &Order) -> String {
    let text = format!("{order:?}");
    let job = text
        .strip_prefix("Do(")
        .or_else(|| text.strip_prefix("Start("));
    let text = job.unwrap_or(&text);
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

fn number(order: &Order, said: Said) -> Result<i64> {
    match said {
        Ok(Answer::Done(number)) => Ok(number),
        Ok(Answer::Bytes(bytes)) => Ok(i64::try_from(bytes.0.len()).unwrap_or(i64::MAX)),
        Err(errno) => Ok(-i64::from(errno)),
        Ok(other) => Err(odd(order, &other)),
    }
}

fn odd(order: &Order, answer: &Answer) -> LabError {
    LabError::Odd {
        order: name_of(order),
        answer: format!("{answer:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use order::{Job, Mem};

    #[test]
    fn an_order_is_named_by_its_word() {
        let part = Mem::default_for_tests().all();
        assert_eq!(name_of(&Order::Fork), "Fork");
        assert_eq!(name_of(&Order::Do(Job::Fill(part, 3))), "Fill");
        assert_eq!(name_of(&Order::Start(Job::Sync(part))), "Sync");
    }
}
