//! What numbers depend on beside the programs.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Machine;
use crate::instructions::Instructions;

/// What a session ran on and with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The revision of bvecd, as it was told.
    pub revision: String,
    /// The kernel's release.
    pub kernel: String,
    /// CPUs and accelerator.
    pub machine: Machine,
    /// Whether its clock counts instructions ([`crate::instructions`]), so that a second is none of a watch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_instructions: bool,
    /// The CPU's own name.
    pub cpu_model: String,
    /// What chooses the CPU's clock; `None` where the kernel does not.
    pub governor: Option<String>,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Version of fio.
    pub fio_version: String,
    /// When the session began, in seconds since 1970.
    pub began_s: u64,
}

impl Environment {
    /// That of this machine; `sys` and `proc` are where their file systems are.
    #[must_use]
    pub fn of(sys: &Path, proc: &Path, revision: &str, fio_version: &str, now_s: u64) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let governor = read(sys.join("devices/system/cpu/cpu0/cpufreq/scaling_governor"));
        Self {
            revision: revision.to_owned(),
            kernel: read(proc.join("sys/kernel/osrelease")).trim().to_owned(),
            machine: Machine::this(),
            counts_instructions: Instructions::here(proc).is_some(),
            cpu_model: cpu_model(&read(proc.join("cpuinfo"))),
            governor: Some(governor.trim().to_owned()).filter(|name| !name.is_empty()),
            memory_bytes: memory_bytes(&read(proc.join("meminfo"))),
            fio_version: fio_version.to_owned(),
            began_s: now_s,
        }
    }

    /// What must be alike where numbers are put together or compared, with its name.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let counts = if self.counts_instructions {
            "on"
        } else {
            "off"
        };
        let governor = self.governor.as_deref().unwrap_or("none");
        vec![
            ("kernel", self.kernel.clone()),
            ("CPU", self.cpu_model.clone()),
            ("number of CPUs", self.machine.cpus.to_string()),
            ("accelerator", self.machine.accel.clone()),
            ("counting of instructions", counts.to_owned()),
            ("governor", governor.to_owned()),
            ("fio", self.fio_version.clone()),
        ]
    }
}

/// The scheduler of a block device, which the kernel puts in brackets.
#[must_use]
pub(crate) fn scheduler(sys: &Path, device: &Path) -> Option<String> {
    let name = device.file_name()?;
    let list = fs::read_to_string(sys.join("block").join(name).join("queue/scheduler")).ok()?;
    chosen(&list)
}

fn chosen(list: &str) -> Option<String> {
    let (_, rest) = list.split_once('[')?;
    let (name, _) = rest.split_once(']')?;
    Some(name.to_owned())
}

fn cpu_model(cpuinfo: &str) -> String {
    let name = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")
        .map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = meminfo
        .lines()
        .filter_map(|line| line.strip_prefix("MemTotal:"))
        .find_map(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        });
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: A CPU: fast\n"),
            "A CPU: fast"
        );
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(
            memory_bytes("MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            2 << 20
        );
        assert_eq!(
            chosen("none [mq-deadline] kyber"),
            Some("mq-deadline".to_owned())
        );
        assert_eq!(chosen("none"), None);
    }

    #[test]
    fn a_machine_without_a_governor_has_none() {
        let empty = tempfile::tempdir().unwrap();
        let found = Environment::of(empty.path(), empty.path(), "r", "fio-3.33", 7);
        assert_eq!((found.governor, found.memory_bytes), (None, 0));
    }
}
