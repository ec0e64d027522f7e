//! What can be missing when pages are looked at.

use std::io;
use std::path::PathBuf;

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
    #[error("open {}: not allowed, it needs {needs}; {because}", path.display())]
    NotAllowed {
        /// The file.
        path: PathBuf,
        /// The capabilities and settings that it takes.
        needs: &'static str,
        /// Which of them is missing.
        because: String,
    },
    /// A container has mounted something over a file of procfs.
    #[error("open {}: something else is mounted over it, as containers do to hide it", path.display())]
    Masked {
        /// The file.
        path: PathBuf,
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
    #[error(
        "learn the pfn of address {address:#x}: pagemap hides it, it needs CAP_SYS_ADMIN; {because}"
    )]
    PfnHidden {
        /// The virtual address.
        address: u64,
        /// What is missing.
        because: String,
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
    /// The page of this process that was just stored to is not marked.
    #[error(
        "follow stores by soft-dirty bits: this kernel sets none, it needs CONFIG_MEM_SOFT_DIRTY"
    )]
    NoSoftDirty,
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
    /// Whether the machine or this process lacks something, as opposed to an unexpected failure.
    ///
    /// Programs answer with the exit code for "something needed is missing".
    #[must_use]
    pub fn is_missing_requirement(&self) -> bool {
        matches!(
            self,
            Self::Absent { .. }
                | Self::NotAllowed { .. }
                | Self::Masked { .. }
                | Self::NoSoftDirty
                | Self::NoCounter { .. }
                | Self::PfnHidden { .. }
                | Self::NoSymbol { .. }
                | Self::SymbolHidden { .. }
                | Self::UnknownLayout { .. }
        )
    }
}
