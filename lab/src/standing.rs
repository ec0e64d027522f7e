//! What must hold after every experiment: every pin given back, the kernel's log clean, nothing left behind.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use pages::{PinCounters, VmStat};

use crate::Result;
use crate::error::io_error;
use crate::kernel_log::KernelLog;

/// How long pins and processes may outlast an experiment: an asynchronous completion is seen before
/// its pins are given back (`blkdev_bio_end_io_async` in block/fops.c).
const SETTLE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);

/// The machine before an experiment.
#[derive(Debug)]
pub(crate) struct Standing {
    pins: PinCounters,
    log: KernelLog,
    things: BTreeSet<String>,
}

impl Standing {
    /// Looks at the machine.
    pub(crate) fn before(vmstat: &VmStat) -> Result<Self> {
        Ok(Self {
            pins: vmstat.pins()?,
            log: KernelLog::begin()?,
            things: things()?,
        })
    }

    /// The pin counters at that moment.
    pub(crate) const fn pins(&self) -> PinCounters {
        self.pins
    }

    /// What does not hold afterwards, in words.
    pub(crate) fn broken(mut self, vmstat: &VmStat, tolerated: &[&str]) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let start = Instant::now();
        loop {
            let left = vmstat.pins()?.since(self.pins).outstanding();
            let more: Vec<String> = things()?.difference(&self.things).cloned().collect();
            reap(&more);
            if left == 0 && more.is_empty() {
                break;
            }
            if start.elapsed() > SETTLE {
                if left != 0 {
                    broken.push(unbalanced(left));
                }
                if !more.is_empty() {
                    broken.push(format!("left behind: {}", more.join(", ")));
                }
                break;
            }
            std::thread::sleep(POLL);
        }
        broken.extend(
            self.log
                .alarms(tolerated)?
                .into_iter()
                .map(|line| format!("the kernel logged: {line}")),
        );
        Ok(broken)
    }
}

/// Waits for those that have ended: a child of a puppet that is gone becomes ours to wait for.
fn reap(things: &[String]) {
    for thing in things {
        let pid = thing
            .strip_prefix("process ")
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        if let Some(pid) = pid {
            // One that still lives stays in the list.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn unbalanced(left: i64) -> String {
    if left > 0 {
        format!("{left} more pins were acquired than released")
    } else {
        format!(
            "{} more pins were released than acquired",
            left.unsigned_abs()
        )
    }
}

/// What may be left behind: our children, mounts, block devices.
fn things() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let us = std::process::id().to_string();
    for entry in fs::read_dir("/proc").map_err(io_error("list the processes"))? {
        let path = entry.map_err(io_error("list the processes"))?.path();
        // A process may end while it is looked at.
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        if rest.split(' ').nth(1) == Some(us.as_str()) {
            found.insert(format!("process {}", name.replacen(" (", " ", 1)));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(io_error("list the mounts"))?;
    for line in mounts.lines() {
        if let Some(place) = line.split(' ').nth(1) {
            found.insert(format!("mount {place}"));
        }
    }
    for entry in fs::read_dir("/sys/block").map_err(io_error("list the block devices"))? {
        let entry = entry.map_err(io_error("list the block devices"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Loop devices stay when they are detached.
        if !name.starts_with("loop") || entry.path().join("loop").exists() {
            found.insert(format!("block device {name}"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_that_is_left_is_seen_until_it_is_gone() {
        let before = things().unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().to_string();
        let more = |before: &BTreeSet<String>| {
            let now = things().unwrap();
            let mut more = now.difference(before).cloned().collect::<Vec<_>>();
            more.retain(|thing| thing.contains(&pid));
            more
        };
        assert_eq!(more(&before).len(), 1, "{:?}", more(&before));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(more(&before), Vec::<String>::new());
    }

    #[test]
    fn both_kinds_of_imbalance_are_told() {
        assert_eq!(unbalanced(2), "2 more pins were acquired than released");
        assert_eq!(unbalanced(-3), "3 more pins were released than acquired");
    }
}
