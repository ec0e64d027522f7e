//! The file or block device behind a `loop` device: opened, checked, and asked what it can do,
//! before anything is told to the kernel's driver.

mod claim;
mod grow;
mod limits;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};

use crate::target::Zeroing;

pub(crate) use claim::mounted_at;
pub use grow::{GrowError, Grown};

/// Why a backing was refused. Each message names the file, the reason and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// It cannot be opened.
    #[error("open {path}: {source}{hint}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
        /// What would be right.
        hint: &'static str,
    },
    /// It is neither a file nor a block device.
    #[error("use {path} as a backing: it is {what}; a regular file or a block device is needed", path = path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Somebody else uses it.
    #[error("use {path} as a backing: {by}", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who, and what would be right.
        by: String,
    },
    /// It is too small for one logical block.
    #[error("use {path} as a backing: it has {size_bytes} bytes, less than one logical block of {block_bytes}; make it larger, e.g. `truncate -s 256M {path}`", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// What a block needs.
        block_bytes: u32,
    },
    /// A call on it failed.
    #[error("{what} of {path}: {source}", path = path.display())]
    Inspect {
        /// The file.
        path: PathBuf,
        /// What was asked.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// How the backing is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Bypass the page cache (O_DIRECT).
    pub direct: bool,
    /// Do not write.
    pub read_only: bool,
}

/// An open backing.
#[derive(Debug)]
pub struct Backing {
    /// The open file; the queues register it with their rings.
    pub file: Arc<OwnedFd>,
    /// Its size in bytes, as it was when it was opened.
    pub size_bytes: u64,
    /// The smallest unit of I/O that it takes.
    pub logical_block_bytes: u32,
    /// The unit that its medium or file system writes without reading first.
    pub physical_block_bytes: u32,
    /// What memory must be aligned to for O_DIRECT, in bytes.
    pub memory_alignment_bytes: u32,
    /// The unit in which it discards, in bytes.
    pub discard_granularity_bytes: u32,
    /// Whether a write that has ended may be lost until a flush.
    pub volatile_cache: bool,
    /// How ranges are zeroed.
    pub zeroing: Zeroing,
    /// Whether it is a file of tmpfs or ramfs, used through the page cache that it consists of.
    pub in_memory: bool,
    /// Whether it is open for reading only.
    pub read_only: bool,
    /// Keeps other servers away; released with the backing.
    _claim: Flock<File>,
}

impl Backing {
    /// Opens and claims `path`.
    ///
    /// # Errors
    /// [`BackingError`], with nothing left open.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, BackingError> {
        let metadata = std::fs::metadata(path).map_err(open_error(path, mode))?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            let what = if kind.is_dir() {
                "a directory"
            } else {
                "neither file nor block device"
            };
            return Err(BackingError::Kind {
                path: path.to_owned(),
                what,
            });
        }
        claim::refuse_if_used(path, &metadata)?;
        let file = Self::open_file(path, mode, kind.is_block_device())?;
        let claimed = Self::lock(path, mode, &file)?;
        let limits = limits::read(path, &file, &metadata, mode)?;
        if limits.size_bytes < u64::from(limits.logical_block_bytes) {
            return Err(BackingError::Empty {
                path: path.to_owned(),
                size_bytes: limits.size_bytes,
                block_bytes: limits.logical_block_bytes,
            });
        }
        Ok(Self {
            file: Arc::new(file.into()),
            size_bytes: limits.size_bytes,
            logical_block_bytes: limits.logical_block_bytes,
            physical_block_bytes: limits.physical_block_bytes,
            memory_alignment_bytes: limits.memory_alignment_bytes,
            discard_granularity_bytes: limits.discard_granularity_bytes,
            volatile_cache: limits.volatile_cache,
            zeroing: limits.zeroing,
            in_memory: limits.in_memory,
            read_only: mode.read_only,
            _claim: claimed,
        })
    }

    fn open_file(path: &Path, mode: Mode, block_device: bool) -> Result<File, BackingError> {
        let mut flags = libc::O_CLOEXEC;
        if mode.direct {
            flags |= libc::O_DIRECT;
        }
        if block_device {
            // Without O_CREAT this claims the device: it fails while a file system, dm, md or swap
            // has it (open(2)).
            flags |= libc::O_EXCL;
        }
        OpenOptions::new()
            .read(true)
            .write(!mode.read_only)
            .custom_flags(flags)
            .open(path)
            .map_err(|source| match source.raw_os_error() {
                Some(libc::EBUSY) => claim::busy(path),
                _ => open_error(path, mode)(source),
            })
    }

    /// Locks the file against other servers, and against a second device of this one.
    fn lock(path: &Path, mode: Mode, file: &File) -> Result<Flock<File>, BackingError> {
        let how = if mode.read_only {
            FlockArg::LockSharedNonblock
        } else {
            FlockArg::LockExclusiveNonblock
        };
        // A description of its own: the lock must not be shared with the ring's file.
        let own = OpenOptions::new()
            .read(true)
            .write(!mode.read_only)
            .open(path)
            .or_else(|_| file.try_clone())
            .map_err(open_error(path, mode))?;
        Flock::lock(own, how).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => BackingError::InUse {
                path: path.to_owned(),
                by: "another device or server has it locked; see `bvecctl dev list`".into(),
            },
            other => BackingError::Inspect {
                path: path.to_owned(),
                what: "lock",
                source: other.into(),
            },
        })
    }
}

fn open_error(path: &Path, mode: Mode) -> impl FnOnce(io::Error) -> BackingError {
    move |source| {
        let hint = match source.raw_os_error() {
            Some(libc::EROFS | libc::EACCES | libc::EPERM | libc::ETXTBSY) if !mode.read_only => {
                "; it is not writable: make it so, or add --read-only"
            }
            Some(libc::EINVAL) if mode.direct => {
                "; its file system has no O_DIRECT: leave --direct out"
            }
            Some(libc::ENOENT) => "; make it first, e.g. with `truncate -s 256M FILE`",
            _ => "",
        };
        BackingError::Open {
            path: path.to_owned(),
            source,
            hint,
        }
    }
}

/// Major and minor number of a block device.
pub(crate) fn device_number(metadata: &std::fs::Metadata) -> (u64, u64) {
    let number = metadata.rdev();
    (libc::major(number).into(), libc::minor(number).into())
}
