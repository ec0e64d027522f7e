//! Orders of the host while the command runs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::plan::{Order, PATIENCE};

/// Listens on `port`, in a thread of its own, and passes signals on to the process group `group`. What does not end
/// of a signal within [`PATIENCE`] is killed, so that there is time left to send its files.
pub(super) fn obey(port: File, group: Pid) {
    // The machine is switched off while the thread still listens.
    thread::spawn(move || {
        for line in BufReader::new(port).lines() {
            match line.as_deref().map(Order::parse) {
                Ok(Some(Order::End(signal))) => end(group, signal),
                Ok(None) => {}
                // The host is gone, and QEMU goes with it.
                Err(_) => return,
            }
        }
    });
}

fn end(group: Pid, signal: i32) {
    // A group that is gone already has ended.
    if let Ok(signal) = Signal::try_from(signal) {
        let _ = killpg(group, signal);
    }
    thread::spawn(move || {
        thread::sleep(PATIENCE);
        let _ = killpg(group, Signal::SIGKILL);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn a_signal_reaches_the_whole_group() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000; exit 7"])
            .process_group(0)
            .spawn()
            .unwrap();
        let (listens, mut says) = std::io::pipe().unwrap();
        let port = File::from(std::os::fd::OwnedFd::from(listens));
        obey(port, Pid::from_raw(child.id().cast_signed()));
        says.write_all(b"what?\nend 15\n").unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }
}
