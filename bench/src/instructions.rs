//! Instructions of a whole guest, where its clock counts them.
//!
//! QEMU's `-icount shift=0` lets the clock of a guest go one nanosecond an instruction (docs/system/devices of QEMU,
//! "TCG Instruction Counting"). With one CPU the time in which something ran is then the number of instructions that
//! it took, and repeats to three digits. While nothing runs, the clock jumps to the next timer: that time is not
//! counted. What is counted is everybody's: client, daemon, the kernel's workers and interrupts on their time.
//!
//! # Not fio's starting and ending
//!
//! fio takes tens of millions of instructions to start and to write its report. A job is therefore run twice, once
//! for a single request: the slope between the two runs is what a request costs. What fio writes down of a run, a line an
//! interval or a request, is in it. A run with requests that failed has no count: fio does not count them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::error::io_error;
use crate::{BenchError, Machine, Result};

/// `bvecctl vm run --count-instructions` sets it in its guest.
pub const VARIABLE: &str = "BVECD_COUNTS_INSTRUCTIONS";
/// Long enough for this thread to be switched away from and back.
const SWITCH: Duration = Duration::from_millis(1);

/// A machine whose clock counts instructions.
#[derive(Debug)]
pub(crate) struct Instructions {
    schedstat: PathBuf,
}

impl Instructions {
    /// This one, if it is such a machine: it says so, is translated, and has one CPU.
    pub(crate) fn here(proc: &Path) -> Option<Self> {
        let machine = Machine::this();
        let counts = env::var_os(VARIABLE).is_some() && machine.accel == "tcg" && machine.cpus == 1;
        counts.then(|| Self {
            schedstat: proc.join("schedstat"),
        })
    }

    /// So many until now, without those of this program, which reads reports and logs.
    ///
    /// # Errors
    /// The kernel does not count (`CONFIG_SCHEDSTATS`).
    pub(crate) fn so_far(&self) -> Result<u64> {
        // A task's time is added when it is switched away from (`sched_info_depart` in kernel/sched/stats.h).
        thread::sleep(SWITCH);
        let text = fs::read_to_string(&self.schedstat)
            .map_err(io_error("read /proc/schedstat (CONFIG_SCHEDSTATS)"))?;
        let all = ran_ns(&text)
            .ok_or_else(|| BenchError::Peer("/proc/schedstat has no line of a CPU".to_owned()))?;
        let own = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
            .map_err(|errno| io_error("read the clock of this program")(errno.into()))?;
        let own = Duration::from(own).as_nanos();
        Ok(all.saturating_sub(u64::try_from(own).unwrap_or(u64::MAX)))
    }
}

/// For how long tasks ran on all CPUs together, in ns: the seventh number of a CPU's line
/// (`show_schedstat` in kernel/sched/stats.c; Documentation/scheduler/sched-stats.rst).
fn ran_ns(schedstat: &str) -> Option<u64> {
    let cpus = schedstat.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next()?.strip_prefix("cpu")?.parse::<u32>().ok()?;
        words.nth(6)?.parse::<u64>().ok()
    });
    cpus.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version 17\ntimestamp 4294943829\n\
                        cpu0 0 0 23 7 11 11 24000000 1500000 16\n\
                        domain0 MC 3 1 2 3\n\
                        cpu1 0 0 23 7 11 11 6000000 1500000 16\n";

    #[test]
    fn the_time_of_tasks_is_added_over_cpus() {
        assert_eq!(ran_ns(TEXT), Some(30_000_000));
        assert_eq!(ran_ns("version 17\n"), None);
        assert_eq!(ran_ns("cpu0 0 0\n"), None);
    }

    #[test]
    fn a_machine_that_does_not_say_so_counts_none() {
        // The tests' own machine is no guest that counts.
        assert!(Instructions::here(Path::new("/proc")).is_none());
    }
}
