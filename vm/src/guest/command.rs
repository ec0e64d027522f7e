//! Runs the command and brings its output to the ports.
//!
//! The command writes into pipes, not into the ports themselves: a port can be opened only once, so
//! `echo >/dev/stderr` in a script would fail on one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::orders::Orders;
use super::{Failure, ports};
use crate::plan::{Plan, port};

/// The terminal of an interactive guest: the first virtio console.
const TERMINAL: &str = "/dev/hvc0";

/// More than a pipe can hold unless root enlarged it (pipe(7), /proc/sys/fs/pipe-max-size).
const PIPE_BYTES_MAX: usize = 1 << 20;

/// Runs the plan's command to its end, or until an order ends it, and returns its exit code, 128 + n after
/// signal n.
pub(super) fn run(plan: &Plan, orders: File) -> Result<u8, Failure> {
    let Some((program, arguments)) = plan.command.split_first() else {
        return Err("run the command: it is empty".into());
    };
    let mut command = match plan.terminal {
        None => {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null());
            command
        }
        Some(size) => on_terminal(&plan.command, size)?,
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/root")
        .env("USER", "root")
        .envs(plan.env.iter().map(|(key, value)| (key, value)))
        .current_dir("/root");
    let mut pumps = Vec::new();
    if plan.terminal.is_none() {
        let (out, err) = (Pump::start(port::OUT)?, Pump::start(port::ERR)?);
        command.stdout(out.input).stderr(err.input);
        pumps = vec![(out.stop, out.thread), (err.stop, err.thread)];
        // What a terminal does to the programs in front, an order does to those of this group.
        command.process_group(0);
    }
    let child = command.spawn();
    // The command holds the pipes' writing ends; dropping it closes ours.
    drop(command);
    let code = match child {
        Ok(child) => {
            let child = pid_of(child.id())?;
            let orders = plan.terminal.is_none().then(|| Orders::obey(orders, child));
            let code = wait_for(child)?;
            if let Some(orders) = orders {
                orders.wait_for_the_rest();
            }
            code
        }
        Err(error) => {
            // As a shell does: 127 for a program that is not there, 126 for one that cannot run.
            let code = if error.kind() == std::io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            finish(pumps);
            return say(&format!("{program}: {error}"), plan.terminal.is_some()).map(|()| code);
        }
    };
    finish(pumps);
    Ok(code)
}

fn say(text: &str, on_terminal: bool) -> Result<(), Failure> {
    let mut place = match on_terminal {
        true => OpenOptions::new()
            .write(true)
            .open(TERMINAL)
            .map_err(|error| error.to_string())?,
        false => ports::open(port::ERR)?,
    };
    writeln!(place, "{text}").map_err(|error| format!("report that {text}: {error}"))
}

/// Puts the command on the virtio console as the leader of a session that owns the terminal.
/// setsid, stty and sh are busybox's.
fn on_terminal(words: &[String], (rows, columns): (u16, u16)) -> Result<Command, Failure> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(TERMINAL)
            .map_err(|error| format!("open the terminal {TERMINAL}: {error}"))
    };
    let mut command = Command::new("setsid");
    command
        .args(["-c", "sh", "-c"])
        .arg(format!(
            "stty rows {rows} cols {columns} 2>/dev/null; exec \"$@\""
        ))
        .arg("sh")
        .args(words)
        .stdin(open()?)
        .stdout(open()?)
        .stderr(open()?);
    Ok(command)
}

/// Waits for the command and buries orphans, which are PID 1's children.
fn wait_for(child: Pid) -> Result<u8, Failure> {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait for the command: {errno}")),
        }
    }
}

fn pid_of(id: u32) -> Result<Pid, Failure> {
    let pid = i32::try_from(id).map(Pid::from_raw);
    pid.map_err(|error| error.to_string())
}

fn finish(pumps: Vec<(OwnedFd, JoinHandle<()>)>) {
    for (stop, thread) in pumps {
        drop(stop);
        // A pump does not panic, and there is nobody to tell if it did.
        let _ = thread.join();
    }
}

/// Carries bytes from a pipe to a port.
struct Pump {
    /// The pipe's writing end, for the command.
    input: OwnedFd,
    /// Closed when the command has ended; then the pump takes what is in the pipe and ends, even if
    /// a daemon left behind still holds the pipe.
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

impl Pump {
    fn start(name: &str) -> Result<Self, Failure> {
        let pipe = || {
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
                .map_err(|errno| format!("make a pipe: {errno}"))
        };
        let (output, input) = pipe()?;
        let (stopped, stop) = pipe()?;
        let name = name.to_owned();
        // The port is opened by the thread only when there is something to write, so that a message
        // of init itself can use it if there is not.
        let thread = thread::spawn(move || {
            pump(output.into(), &stopped, || ports::open(&name));
        });
        Ok(Self {
            input,
            stop,
            thread,
        })
    }
}

fn pump(mut from: File, stopped: &OwnedFd, open: impl Fn() -> Result<File, Failure>) {
    let mut port = None;
    let mut chunk = vec![0; 32 << 10];
    let mut last_round = false;
    let mut left = PIPE_BYTES_MAX;
    // A daemon left behind may write for ever: what was in the pipe when the command ended is all.
    while left > 0 {
        let timeout = if last_round {
            PollTimeout::ZERO
        } else {
            PollTimeout::NONE
        };
        let mut fds = [
            PollFd::new(from.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if fds[0].any() != Some(true) {
            if last_round {
                return;
            }
            last_round = fds[1].any() == Some(true);
            continue;
        }
        let Ok(count @ 1..) = from.read(&mut chunk) else {
            return;
        };
        if port.is_none() {
            port = open().ok();
        }
        let Some(port) = &mut port else { return };
        if port.write_all(&chunk[..count]).is_err() {
            return;
        }
        if last_round {
            left = left.saturating_sub(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pump_ends_though_the_pipe_is_still_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("port");
        let (output, input) = nix::unistd::pipe().unwrap();
        let (stopped, stop) = nix::unistd::pipe().unwrap();
        File::from(input.try_clone().unwrap())
            .write_all(b"all of it")
            .unwrap();
        drop(stop);
        pump(output.into(), &stopped, || {
            File::create(&path).map_err(|error| error.to_string())
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
        drop(input);
    }

    #[test]
    fn a_pump_without_input_opens_no_port() {
        let (output, input) = nix::unistd::pipe().unwrap();
        let (stopped, _stop) = nix::unistd::pipe().unwrap();
        drop(input);
        pump(output.into(), &stopped, || panic!("opened"));
    }
}
