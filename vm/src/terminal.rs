//! This process's terminal, connected to the guest's.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::Error;

/// A terminal in raw mode: every key goes to the guest, Ctrl-C too. Dropping it restores the mode;
/// the guest must be gone by then.
#[derive(Debug)]
pub(crate) struct Terminal {
    before: Option<Termios>,
    thread: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Connects standard input and output to the guest's terminal.
    pub(crate) fn connect(guest: UnixStream) -> Result<Self, Error> {
        let mut before = None;
        if io::stdin().is_terminal() {
            let set = || -> nix::Result<Termios> {
                let old = tcgetattr(io::stdin())?;
                let mut raw = old.clone();
                cfmakeraw(&mut raw);
                tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
                Ok(old)
            };
            let failed = |errno: nix::errno::Errno| {
                Error::system("set the terminal to raw mode")(errno.into())
            };
            before = Some(set().map_err(failed)?);
        }
        let thread = Some(thread::spawn(move || relay(guest)));
        Ok(Self { before, thread })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The relay ends with the guest and does not panic.
            let _ = thread.join();
        }
        if let Some(before) = &self.before {
            // There is nothing better to do than to leave it as it is.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// Carries bytes both ways until the guest closes its side.
fn relay(mut guest: UnixStream) {
    let stdin = io::stdin();
    let mut input_open = true;
    let mut chunk = [0; 4096];
    loop {
        let guest_fd = PollFd::new(guest.as_fd(), PollFlags::POLLIN);
        let input_fd = PollFd::new(stdin.as_fd(), PollFlags::POLLIN);
        let mut fds = [guest_fd, input_fd];
        let watched = if input_open { 2 } else { 1 };
        match poll(&mut fds[..watched], PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        let [from_guest, from_input] = fds.map(|fd| fd.any() == Some(true));
        if from_guest {
            let Ok(count @ 1..) = guest.read(&mut chunk) else {
                return;
            };
            let mut stdout = io::stdout();
            if stdout
                .write_all(&chunk[..count])
                .and_then(|()| stdout.flush())
                .is_err()
            {
                return;
            }
        }
        if input_open && from_input {
            match nix::unistd::read(&stdin, &mut chunk) {
                // The guest's shell takes Ctrl-D as the end.
                Ok(0) | Err(_) => {
                    input_open = false;
                    let _ = guest.write_all(&[4]);
                }
                Ok(count) => {
                    if guest.write_all(&chunk[..count]).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Rows and columns of the terminal; 24 and 80 if there is none.
pub(crate) fn size() -> (u16, u16) {
    let output = Command::new("stty")
        .arg("size")
        .stdin(Stdio::inherit())
        .output();
    output
        .ok()
        .and_then(|output| parse_size(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or((24, 80))
}

fn parse_size(text: &str) -> Option<(u16, u16)> {
    let (rows, columns) = text.trim().split_once(' ')?;
    let size = (rows.parse().ok()?, columns.parse().ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("50 132\n"), Some((50, 132)));
        assert_eq!(parse_size("0 0\n"), None);
        assert_eq!(parse_size(""), None);
    }
}
