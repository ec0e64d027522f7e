//! What a measurement ran on.

use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

/// The machine, as far as numbers depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// `kvm`, `tcg`, or `none` for a machine of its own or one under another hypervisor.
    pub accel: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let clocks = read("/sys/devices/system/clocksource/clocksource0/available_clocksource");
        let vendor = read("/sys/class/dmi/id/sys_vendor");
        Self {
            cpus: thread::available_parallelism().map_or(1, usize::from),
            accel: accelerator(&clocks, &vendor).to_owned(),
        }
    }
}

/// Only KVM offers its guests this clock (arch/x86/kernel/kvmclock.c); QEMU without it translates.
fn accelerator(clocks: &str, vendor: &str) -> &'static str {
    if clocks.split_whitespace().any(|clock| clock == "kvm-clock") {
        "kvm"
    } else if vendor.trim() == "QEMU" {
        "tcg"
    } else {
        "none"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_and_acceleration_are_told_apart() {
        assert_eq!(accelerator("kvm-clock tsc acpi_pm\n", "QEMU\n"), "kvm");
        assert_eq!(accelerator("tsc hpet acpi_pm \n", "QEMU\n"), "tcg");
        assert_eq!(accelerator("tsc hpet acpi_pm \n", "Some Vendor\n"), "none");
        assert_eq!(accelerator("", ""), "none");
    }
}
