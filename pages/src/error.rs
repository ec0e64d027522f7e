//! What can be missing when pages are looked at.

use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, PagesError>;

/// Why the kernel could not be asked. The messages fit "failed to ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PagesError {
    /// A file of procfs or sysfs does not exist.
    #[error("open {}: the kernel does not offer it, it needs {needs}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// The configuration that provides it.
        needs: &'static str,
    },
    /// A file exists, and this process may not use it.
    #[error("open {}: not allowed, it needs {needs}", path.display())]
    NotAllowed {
        /// The file.
        path: PathBuf,
        /// The capability or setting that is missing.
        needs: &'static str,
    },
    /// No such process, or it has ended.
    #[error("look at process {pid}: there is no such process")]
    NoProcess {
        /// The process id that was asked for.
        pid: u32,
    },
    /// Any other failure of a read or write.
    #[error("read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// `/proc/vmstat` has no line of this name.
    #[error("find {name} in {}: the kernel is older than 5.7", path.display())]
    NoCounter {
        /// The counter.
        name: &'static str,
        /// The file that lacks it.
        path: PathBuf,
    },
    /// pagemap shows a present page with pfn 0.
    #[error("learn the pfn of address {address:#x}: pagemap hides it, it needs CAP_SYS_ADMIN")]
    PfnHidden {
        /// The virtual address.
        address: u64,
    },
    /// A symbol is not in kallsyms.
    #[error("find the symbol {name} in {}: it needs x86-64 and CONFIG_KALLSYMS_ALL", path.display())]
    NoSymbol {
        /// The symbol.
        name: &'static str,
        /// The file that lacks it.
        path: PathBuf,
    },
    /// kallsyms shows address 0 for a symbol.
    #[error(
        "learn the address of {name}: {} hides it, it needs CAP_SYSLOG and \
         kernel.kptr_restrict below 2", path.display()
    )]
    SymbolHidden {
        /// The symbol.
        name: &'static str,
        /// The file that hides it.
        path: PathBuf,
    },
    /// A file does not have the form that it should have.
    #[error("understand {}: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found, and what would be right.
        detail: String,
    },
    /// An address that no segment of `/proc/kcore` contains.
    #[error("read kernel address {address:#x}: no segment of {} contains it", path.display())]
    Unmapped {
        /// The kernel virtual address.
        address: u64,
        /// The kcore file.
        path: PathBuf,
    },
    /// No frame has this number.
    #[error("look at frame {pfn:#x}: the machine has no such page")]
    NoFrame {
        /// The page frame number.
        pfn: u64,
    },
    /// A type or field that the kernel's BTF does not have.
    #[error("find {what} in {}: this kernel's layout of pages is not known", path.display())]
    UnknownLayout {
        /// The type, field or enumerator.
        what: &'static str,
        /// The BTF file.
        path: PathBuf,
    },
    /// A range that ends beyond the address space or is longer than a snapshot may be.
    #[error("look at {length_bytes} bytes from {address:#x}: {detail}")]
    BadRange {
        /// First address.
        address: u64,
        /// Length in bytes.
        length_bytes: u64,
        /// What would be right.
        detail: &'static str,
    },
}

impl PagesError {
    /// Sorts an error of opening or reading `path`; `config` and `right` say what it would need.
    pub(crate) fn from_io(
        path: &Path,
        source: io::Error,
        config: &'static str,
        right: &'static str,
    ) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent {
                path,
                needs: config,
            },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { path, needs: right },
            _ => Self::Io { path, source },
        }
    }

    /// Whether the machine or this process lacks something, as opposed to an unexpected failure.
    ///
    /// Programs answer with the exit code for "something needed is missing".
    #[must_use]
    pub fn is_missing_requirement(&self) -> bool {
        matches!(
            self,
            Self::Absent { .. }
                | Self::NotAllowed { .. }
                | Self::NoCounter { .. }
                | Self::PfnHidden { .. }
                | Self::NoSymbol { .. }
                | Self::SymbolHidden { .. }
                | Self::UnknownLayout { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_name_what_is_missing() {
        let path = Path::new("/proc/kcore");
        let absent = PagesError::from_io(path, io::ErrorKind::NotFound.into(), "A", "B");
        assert_eq!(
            absent.to_string(),
            "open /proc/kcore: the kernel does not offer it, it needs A"
        );
        let refused = PagesError::from_io(path, io::ErrorKind::PermissionDenied.into(), "A", "B");
        assert_eq!(
            refused.to_string(),
            "open /proc/kcore: not allowed, it needs B"
        );
        assert!(absent.is_missing_requirement() && refused.is_missing_requirement());
        let other = PagesError::from_io(path, io::ErrorKind::TimedOut.into(), "A", "B");
        assert!(!other.is_missing_requirement());
    }
}
