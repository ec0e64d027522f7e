//! How a guest ends without an exit code, and the console lines that say so.

use std::fmt;

/// A guest that ended without giving an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// What happened.
    pub cause: Cause,
    /// The last lines of the guest's console.
    pub console: Vec<String>,
}

/// Why a guest ended without an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel reported its own death on the console.
    Panicked {
        /// The console line with the marker.
        line: String,
    },
    /// The time limit passed.
    TimedOut {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// QEMU ended, or nothing was heard for too long, before the guest's init spoke.
    BeforeInit {
        /// What was seen.
        detail: String,
    },
    /// QEMU ended while the command ran.
    Vanished {
        /// QEMU's exit status and what it wrote to its standard error.
        detail: String,
    },
    /// This program received a signal.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

impl Death {
    /// 128 + the signal's number after an interruption, else 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(125),
            _ => 125,
        }
    }
}

impl std::error::Error for Death {}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Panicked { line } => {
                write!(f, "run the command: the guest's kernel died: {line}")?;
            }
            Cause::TimedOut { limit_s } => {
                write!(f, "finish in time: the guest was stopped after {limit_s} s")?;
            }
            Cause::BeforeInit { detail } => {
                write!(f, "boot: the guest died before its init spoke: {detail}")?;
            }
            Cause::Vanished { detail } => {
                write!(
                    f,
                    "run the command: the guest ended without an exit code: {detail}"
                )?;
            }
            Cause::Interrupted { signal } => {
                return write!(f, "finish: interrupted by signal {signal}");
            }
        }
        if self.console.is_empty() {
            return write!(f, "\n  the guest's console is empty");
        }
        write!(f, "\n  last lines of the guest's console:")?;
        for line in &self.console {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

/// What a console line means for the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The kernel is dead or cannot be trusted any more.
    Death,
    /// Worth telling the user; the guest goes on.
    Warning,
}

/// Recognises the kernel's own reports of its death.
///
/// The texts are those of panic() in kernel/panic.c, oops_begin() and show_fault_oops() in
/// arch/x86, watchdog_timer_fn() in kernel/watchdog.c, print_other_cpu_stall() and
/// print_cpu_stall() in kernel/rcu/tree_stall.h, and check_hung_task() in kernel/hung_task.c.
#[must_use]
pub fn sign_of(line: &str) -> Option<Sign> {
    const DEADLY: [&str; 6] = [
        "Kernel panic - not syncing",
        "end Kernel panic",
        "watchdog: BUG: soft lockup",
        "BUG: ",
        "kernel BUG at ",
        "Oops:",
    ];
    if DEADLY.iter().any(|marker| line.contains(marker)) {
        return Some(Sign::Death);
    }
    let rcu_stall = line.split_once("rcu: ").is_some_and(|(_, rest)| {
        rest.contains("detected stall")
            || rest.contains("self-detected stall")
            || rest.contains("kthread starved")
    });
    if rcu_stall {
        return Some(Sign::Death);
    }
    // 7.x says between these words what the task waits for: "blocked in I/O wait for more than".
    let is_hung = ["INFO: task ", " blocked ", "for more than "]
        .iter()
        .all(|words| line.contains(words));
    is_hung.then_some(Sign::Warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_are_recognised() {
        for line in [
            "[    1.2] Kernel panic - not syncing: sysrq triggered crash",
            "[    1.2] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---",
            "[   28.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:71]",
            "[    3.0] BUG: unable to handle page fault for address: ffffc900",
            "[    3.0] kernel BUG at mm/gup.c:123!",
            "[    0.3] Oops: int3: 0000 [#1] SMP NOPTI",
            "[   25.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "[   25.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
        ] {
            assert_eq!(sign_of(line), Some(Sign::Death), "{line}");
        }
    }

    #[test]
    fn a_blocked_task_is_a_warning() {
        for line in [
            "[  243.1] INFO: task fio:93 blocked for more than 120 seconds.",
            "[  212.6] INFO: task exe:2200 blocked in I/O wait for more than 1 seconds.",
        ] {
            assert_eq!(sign_of(line), Some(Sign::Warning), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_mean_nothing() {
        for line in [
            "[    0.1] rcu: Hierarchical SRCU implementation.",
            "[    1.0] ublk_drv: module loaded",
            "[    1.0] debugging information: BUGs are reported elsewhere",
        ] {
            assert_eq!(sign_of(line), None, "{line}");
        }
    }

    #[test]
    fn the_console_is_quoted() {
        let death = Death {
            cause: Cause::Panicked {
                line: "Kernel panic - not syncing: x".into(),
            },
            console: vec!["one".into(), "two".into()],
        };
        let text = death.to_string();
        assert!(text.contains("Kernel panic - not syncing: x"));
        assert!(text.ends_with("  | one\n  | two"));
    }
}
