//! Orders of the host while the command runs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::plan::Order;

/// How often it is looked whether a process group has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Passes signals on to the command's process group.
#[derive(Debug)]
pub(super) struct Orders {
    group: Pid,
    /// Whether one came that ends the command.
    given: Arc<AtomicBool>,
}

impl Orders {
    /// Listens on `port`, in a thread of its own.
    pub(super) fn obey(port: File, group: Pid) -> Self {
        let given = Arc::new(AtomicBool::new(false));
        let orders = Self {
            group,
            given: Arc::clone(&given),
        };
        // The machine is switched off while the thread still listens.
        thread::spawn(move || {
            for line in BufReader::new(port).lines() {
                match line.as_deref().map(Order::parse) {
                    Ok(Some(Order::End(signal))) => {
                        given.store(true, Ordering::SeqCst);
                        // A group that is gone already has ended.
                        let _ = Signal::try_from(signal).map(|signal| killpg(group, signal));
                    }
                    Ok(None) => {}
                    // The host is gone, and QEMU goes with it.
                    Err(_) => return,
                }
            }
        });
        orders
    }

    /// Waits for the rest of the group, once its first process has ended, if it was told to end: a shell dies of
    /// SIGTERM at once, and leaves behind who still saves what it has. The host has the patience, and kills.
    pub(super) fn wait_for_the_rest(&self) {
        while self.given.load(Ordering::SeqCst) && killpg(self.group, None) != Err(Errno::ESRCH) {
            // Who has ended and is not buried still counts as one of the group.
            while waitpid(None, Some(WaitPidFlag::WNOHANG))
                .is_ok_and(|status| status.pid().is_some())
            {}
            thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// The shell goes on when its child has died of the signal.
    #[test]
    fn a_signal_reaches_the_whole_group() {
        // The child says that it is there: a signal that came before it would be the shell's alone.
        let script = "trap : TERM; sh -c 'echo ready; exec sleep 1000'; exit 7";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut ready).unwrap();
        let (listens, mut says) = std::io::pipe().unwrap();
        let port = File::from(std::os::fd::OwnedFd::from(listens));
        let orders = Orders::obey(port, Pid::from_raw(child.id().cast_signed()));
        says.write_all(b"what?\nend 15\n").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert!(orders.given.load(Ordering::SeqCst));
    }
}
