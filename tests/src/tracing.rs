//! The kernel's own trace of what a file system is asked (tracefs): a ring hides its requests from strace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::daemon::shell;

/// Where the guest has the trace file system, once somebody mounted it.
const MOUNT: &str = "/sys/kernel/tracing";

/// One event that is recorded, in an instance of its own.
pub(crate) struct Tracing {
    instance: PathBuf,
}

impl Tracing {
    /// Records an event, `GROUP/NAME`; none if this kernel cannot.
    pub(crate) fn of(event: &str) -> Option<Self> {
        let mount = Path::new(MOUNT);
        if !mount.join("events").exists() {
            shell(&format!("mount -t tracefs none {MOUNT} 2>&1 || true"));
        }
        let instance = mount.join("instances/bvecd");
        let enable = instance.join("events").join(event).join("enable");
        fs::create_dir_all(&instance).ok()?;
        let this = Self { instance };
        fs::write(enable, "1").ok()?;
        Some(this)
    }

    /// The recorded lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let trace = self.instance.join("trace");
        let text = fs::read_to_string(&trace).unwrap();
        fs::write(trace, "").unwrap();
        let is_comment = |line: &&str| line.trim_start().starts_with('#');
        let lines = text.lines().filter(|line| !is_comment(line));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // The directory of an instance is removed as a whole.
        let _ = fs::remove_dir(&self.instance);
    }
}
