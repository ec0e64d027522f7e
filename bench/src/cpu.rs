//! CPU time of a process, from `/proc/PID/stat`.

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
    fn a_process_that_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = used_ns(dir.path(), 7).unwrap_err();
        assert!(matches!(error, BenchError::Cpu { pid: 7, .. }));
    }
}
