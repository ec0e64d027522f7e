//! Where procfs and sysfs are.

use std::path::PathBuf;

/// The directories that every reader starts from.
///
/// The default is the running kernel's; tests point it at a directory with files of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Mount point of procfs, usually `/proc`.
    pub proc: PathBuf,
    /// Mount point of sysfs, usually `/sys`.
    pub sys: PathBuf,
}

impl Roots {
    /// Where tracefs is: `kernel/tracing` of sysfs, where every kernel since 4.1 has a mount point.
    pub(crate) fn tracefs(&self) -> PathBuf {
        self.sys.join("kernel/tracing")
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
        }
    }
}
