//! CPU time of a process and how often its threads were switched away from, from `/proc/PID`.

use std::fs;
use std::io;
use std::path::Path;

use crate::{BenchError, Result};

/// `USER_HZ`: the unit of the file is 1/100 s on every architecture but alpha
/// (`include/asm-generic/param.h`, `fs/proc/array.c`).
const TICK_NS: u64 = 10_000_000;

/// CPU time that process `pid` has used, all its threads together, in ns, in steps of 10 ms.
///
/// Kernel threads that work for the process (kworkers) are not in it.
///
/// # Errors
/// [`BenchError::Cpu`] when there is no such process.
pub fn used_ns(proc: &Path, pid: u32) -> Result<u64> {
    fs::read_to_string(proc.join(pid.to_string()).join("stat"))
        .and_then(|stat| parse(&stat).ok_or(io::ErrorKind::InvalidData.into()))
        .map_err(|source| BenchError::Cpu { pid, source })
}

/// How often the threads of process `pid` that are there now were switched away from, of their own accord
/// (they waited) or not.
///
/// # Errors
/// [`BenchError::Cpu`] when there is no such process.
pub fn switches(proc: &Path, pid: u32) -> Result<u64> {
    let failed = |source| BenchError::Cpu { pid, source };
    let tasks = fs::read_dir(proc.join(pid.to_string()).join("task")).map_err(failed)?;
    let mut sum = 0;
    for task in tasks {
        let status = task.map_err(failed)?.path().join("status");
        // A thread that ended meanwhile counts no more.
        sum += fs::read_to_string(status).map_or(0, |status| switched(&status));
    }
    Ok(sum)
}

/// Both counts of a thread's `status` (`proc_pid_status(5)`).
fn switched(status: &str) -> u64 {
    status
        .lines()
        .filter_map(|line| line.split_once("ctxt_switches:"))
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

/// Fields 14 and 15, user and system time (`proc_pid_stat(5)`).
fn parse(stat: &str) -> Option<u64> {
    // Field 2 is a name in parentheses that may hold anything, so counting begins after it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?.checked_mul(TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 5 0 99 1000 5";
        assert_eq!(parse(stat), Some(42 * TICK_NS));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn both_kinds_of_switches_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(switched(status), 10);
        assert!(switches(Path::new("/proc"), std::process::id()).unwrap() > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = used_ns(dir.path(), 7).unwrap_err();
        assert!(matches!(error, BenchError::Cpu { pid: 7, .. }));
    }
}
