//! Which process is meant, and whether it is still there.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process, told from a later one with the same number by the time of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since the boot (proc_pid_stat(5), field 22).
    pub start_ticks: u64,
}

impl Process {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let start_ticks = look(pid).unwrap_or(0);
        Self { pid, start_ticks }
    }

    /// Whether it runs. One that has ended and was not waited for does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        look(self.pid) == Some(self.start_ticks)
    }
}

/// Whether a process of this number runs.
#[must_use]
pub(crate) fn is_alive(pid: i32) -> bool {
    look(pid).is_some()
}

/// The name of a process.
pub(crate) fn name(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// When the process of this number began; none if there is none, or a zombie.
fn look(pid: i32) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    start_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start_of(stat: &str) -> Option<u64> {
    // The name, in parentheses, may contain anything; the fields after it do not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // The state is field 3, the start field 22.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_another_of_its_number_is_not_it() {
        let this = Process::this();
        assert!(this.is_alive() && this.start_ticks > 0);
        let other = Process {
            start_ticks: this.start_ticks + 1,
            ..this
        };
        assert!(!other.is_alive());
        assert!(!is_alive(-1) && !is_alive(0));
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse_and_a_zombie_is_gone() {
        let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000";
        assert_eq!(start_of(&format!("5 (a) b) S {rest}")), Some(4711));
        assert_eq!(start_of(&format!("5 (a) Z {rest}")), None);
        assert_eq!(start_of(""), None);
    }
}
