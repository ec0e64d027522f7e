//! Watches a running guest: one place that waits for the console, the answers of init, signals to
//! this program and the clock.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::death::{Cause, Sign, sign_of};
use crate::error::Error;
use crate::lines::{Lines, Tail};
use crate::plan::{Answer, Order, PATIENCE};
use crate::progress::Progress;

/// So many lines of the console are shown when the guest dies: a panic with its trace, and what was
/// said before it.
const CONSOLE_LINES: usize = 100;

/// A dying kernel still prints the trace that says why.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// How long the guest may take to switch itself off after everything was sent.
const POWER_OFF: Duration = Duration::from_secs(5);

/// How long a guest that was told to end may take for it: its command's patience, and time to send its files.
const ENDING: Duration = PATIENCE.saturating_add(Duration::from_secs(40));

/// Signals that come closer together are of one wish: timeout(1) sends its own to the program and to its group, and a
/// terminal that closes may hang up twice.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Limits on the guest's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From power on until init speaks.
    pub(crate) boot: Duration,
    /// From power on until the end.
    pub(crate) total: Option<Duration>,
    /// Ends the watch as soon as init has spoken, as if the command had ended well.
    pub(crate) until_ready: bool,
    /// Whether its command can be told to end: init listens to nobody while it has a terminal.
    pub(crate) listens: bool,
    /// Whether it has files to send, so that a guest whose time is up is told to end rather than ended.
    pub(crate) sends: bool,
}

/// How the watch ended. QEMU may still run.
#[derive(Debug)]
pub(crate) enum End {
    /// The command ended with this code and everything was sent.
    Exited(u8),
    /// Init could not do its work.
    Failed(String),
    /// The guest is to be given up.
    Dead(Cause),
    /// QEMU closed its side without more being known.
    Gone,
}

/// SIGINT, SIGTERM and SIGHUP, held back from their default action while a guest runs.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    old: SigSet,
}

impl Signals {
    /// Holds the signals back. Threads started later hold them back as well, children do not.
    pub(crate) fn hold() -> Result<Self, Error> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            mask.add(signal);
        }
        let make = || -> nix::Result<Self> {
            let old = mask.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
            let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
            Ok(Self { fd, old })
        };
        make().map_err(|errno| Error::system("hold back signals")(errno.into()))
    }

    fn received(&self) -> Option<i32> {
        let info = self.fd.read_signal().ok()??;
        i32::try_from(info.ssi_signo).ok()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The old mask was valid when it was read.
        let _ = self.old.thread_set_mask();
    }
}

/// What is known about the guest.
#[derive(Debug)]
pub(crate) struct Monitor<'a> {
    progress: &'a Progress,
    start: Instant,
    limits: Limits,
    console: Lines,
    control: Lines,
    /// The last lines of the console.
    pub(crate) tail: Tail,
    /// The kernel's release as init reported it, and when.
    pub(crate) ready: Option<(String, Duration)>,
    code: Option<u8>,
    failure: Option<String>,
    dying: Option<(String, Instant)>,
    done: Option<Instant>,
    /// Why the guest was told to end, and when.
    ending: Option<Ending>,
}

/// A guest that was told to end.
#[derive(Debug)]
struct Ending {
    cause: Cause,
    since: Instant,
    /// Whether its command was killed since.
    killed: bool,
}

impl<'a> Monitor<'a> {
    /// Starts the clock.
    pub(crate) fn new(progress: &'a Progress, limits: Limits) -> Self {
        Self {
            progress,
            start: Instant::now(),
            limits,
            console: Lines::default(),
            control: Lines::default(),
            tail: Tail::new(CONSOLE_LINES),
            ready: None,
            code: None,
            failure: None,
            dying: None,
            done: None,
            ending: None,
        }
    }

    /// Whether the guest has sent everything.
    pub(crate) const fn has_sent(&self) -> bool {
        self.done.is_some()
    }

    /// Whether the command has ended, so that the guest sends its files.
    pub(crate) const fn sends(&self) -> bool {
        self.code.is_some()
    }

    /// Watches until the guest has ended or is to be ended.
    pub(crate) fn watch(
        &mut self,
        console: &mut UnixStream,
        control: &mut UnixStream,
        signals: &Signals,
    ) -> Result<End, Error> {
        for stream in [&*console, &*control] {
            stream
                .set_nonblocking(true)
                .map_err(Error::system("watch the guest"))?;
        }
        loop {
            if let Some(end) = self.expired(control) {
                return Ok(end);
            }
            let mut fds = [
                PollFd::new(console.as_fd(), PollFlags::POLLIN),
                PollFd::new(control.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, self.patience()) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Error::system("watch the guest")(errno.into())),
            }
            if let Some(signal) = signals.received() {
                let cause = Cause::Interrupted { signal };
                let again = self.ending.as_ref().map(|ending| ending.since.elapsed());
                if again.is_some_and(|after| after >= ONE_WISH)
                    || again.is_none() && !self.tell(control, signal, cause.clone())
                {
                    return Ok(End::Dead(cause));
                }
            }
            // Control goes first: when QEMU is gone, both have what is left of them.
            self.take_control(control);
            if self.limits.until_ready && self.ready.is_some() {
                return Ok(End::Exited(0));
            }
            if !self.take_console(console) {
                self.take_control(control);
                return Ok(self.gone());
            }
        }
    }

    /// Reads what the console has; false at its end, which is QEMU's.
    fn take_console(&mut self, console: &mut UnixStream) -> bool {
        let (bytes, open) = read_available(console);
        let mut lines = self.console.feed(&bytes);
        if !open {
            lines.push(self.console.take());
        }
        for line in lines {
            self.tail.push(&line);
            match sign_of(&line) {
                Some(Sign::Death) if self.dying.is_none() => {
                    self.dying = Some((line, Instant::now()));
                }
                Some(Sign::Warning) => self.progress.warn(format!("the guest says: {line}")),
                _ => {}
            }
        }
        open
    }

    fn take_control(&mut self, control: &mut UnixStream) {
        let (bytes, _) = read_available(control);
        for line in self.control.feed(&bytes) {
            match Answer::parse(&line) {
                Some(Answer::Ready(release)) => {
                    let after = self.start.elapsed();
                    self.progress.say(format!(
                        "kernel {release} booted in {:.1} s",
                        after.as_secs_f64()
                    ));
                    self.ready = Some((release, after));
                }
                Some(Answer::Exit(code)) => self.code = Some(code),
                Some(Answer::Failed(text)) => self.failure = Some(text),
                Some(Answer::Note(text)) => self.progress.warn(text),
                Some(Answer::Done) => self.done = Some(Instant::now()),
                None => self.progress.warn(format!("the guest's init says: {line}")),
            }
        }
    }

    /// Tells the guest to end its command and to send what it has; false if it does not listen.
    fn tell(&mut self, control: &mut UnixStream, signal: i32, cause: Cause) -> bool {
        if self.ready.is_none() || !self.limits.listens || !order(control, signal) {
            return false;
        }
        let patience = PATIENCE.as_secs();
        self.progress.warn(match &cause {
            Cause::TimedOut { limit_s } => {
                format!("{limit_s} s are over: the guest's command gets {patience} s to end")
            }
            _ => format!(
                "the guest's command was told to end and gets {patience} s; a second signal ends the guest at once"
            ),
        });
        self.ending = Some(Ending {
            cause,
            since: Instant::now(),
            killed: false,
        });
        true
    }

    /// Says whether a limit has passed.
    fn expired(&mut self, control: &mut UnixStream) -> Option<End> {
        let elapsed = self.start.elapsed();
        if let Some((line, since)) = &self.dying
            && since.elapsed() >= LAST_WORDS
        {
            return Some(End::Dead(Cause::Panicked { line: line.clone() }));
        }
        if self.done.is_some_and(|since| since.elapsed() >= POWER_OFF) {
            return Some(self.gone());
        }
        if let Some(ending) = &mut self.ending {
            // What it was told outlasts the limit on its time.
            if self.code.is_none() && !ending.killed && ending.since.elapsed() >= PATIENCE {
                ending.killed = true;
                order(control, Signal::SIGKILL as i32);
            }
            return (self.done.is_none() && ending.since.elapsed() >= ENDING)
                .then(|| End::Dead(ending.cause.clone()));
        }
        let total = self.limits.total.filter(|limit| elapsed >= *limit);
        if let Some(limit) = total.filter(|_| self.done.is_none()) {
            let cause = Cause::TimedOut {
                limit_s: limit.as_secs(),
            };
            if !self.limits.sends || !self.tell(control, Signal::SIGTERM as i32, cause.clone()) {
                return Some(End::Dead(cause));
            }
        }
        if self.ready.is_none() && elapsed >= self.limits.boot {
            let seconds = self.limits.boot.as_secs();
            let detail = format!("nothing was heard from it for {seconds} s");
            return Some(End::Dead(Cause::BeforeInit { detail }));
        }
        None
    }

    /// How long to wait for the next event.
    fn patience(&self) -> PollTimeout {
        let now = self.start.elapsed();
        let mut next = Duration::from_secs(3600);
        let mut until = |at: Duration| next = next.min(at.saturating_sub(now));
        if self.ready.is_none() {
            until(self.limits.boot);
        }
        if self.done.is_none() {
            match (&self.ending, self.limits.total) {
                (Some(ending), _) => {
                    let since = ending.since.duration_since(self.start);
                    let sends = ending.killed || self.code.is_some();
                    until(since + if sends { ENDING } else { PATIENCE });
                }
                (None, Some(limit)) => until(limit),
                (None, None) => {}
            }
        }
        if let Some((_, since)) = &self.dying {
            until(since.duration_since(self.start) + LAST_WORDS);
        }
        if let Some(since) = self.done {
            until(since.duration_since(self.start) + POWER_OFF);
        }
        // A millisecond more, so that the limit has passed when we wake up.
        PollTimeout::try_from(next + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    }

    /// What is known when QEMU has ended, or will not end by itself.
    fn gone(&mut self) -> End {
        if let Some((line, _)) = self.dying.take() {
            return End::Dead(Cause::Panicked { line });
        }
        if let Some(ending) = self.ending.take() {
            return End::Dead(ending.cause);
        }
        match (self.done, self.code, self.failure.take()) {
            (_, _, Some(failure)) => End::Failed(failure),
            (Some(_), Some(code), None) => End::Exited(code),
            _ => End::Gone,
        }
    }
}

/// Gives an order; false if the guest cannot get it. A socket has room for a line, or the guest is dead and has not
/// read any.
fn order(control: &mut UnixStream, signal: i32) -> bool {
    let order = Order::End(signal).to_string();
    control.write_all(order.as_bytes()).is_ok()
}

/// Reads without waiting; false at the end of the stream.
fn read_available(stream: &mut UnixStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (bytes, false),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (bytes, true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A reset socket is QEMU's death as well.
            Err(_) => return (bytes, false),
        }
    }
}

#[cfg(test)]
mod tests;
