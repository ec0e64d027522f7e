//! Memory that outlives the daemon: a file on tmpfs, for `ram` devices that another daemon may take over.
//!
//! A memfd would go with the process. The price is a limit on its size, that of the tmpfs, and that a page
//! must be there before it is touched through a mapping: where tmpfs is full the kernel answers with SIGBUS
//! (mmap(2)). So all of it is allocated when it is made, and nothing of it is given back before the end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

/// Where every distribution has a tmpfs (hier(7), shm_overview(7)).
const DIRECTORY: &str = "/dev/shm";

/// Why there is no such memory.
#[derive(Debug, thiserror::Error)]
pub enum KeptMemoryError {
    /// A call on its file failed.
    #[error("{what} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Its directory is no tmpfs.
    #[error(
        "keep memory in {DIRECTORY}: it is not a tmpfs; mount one there, or leave --recovery out"
    )]
    NoTmpfs,
    /// The file is not the one that was left.
    #[error("use {path} as memory: it has {found} bytes, and {expected} were left", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size that it had.
        expected: u64,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => {
            "; the memory of a ram device with --recovery is allocated at once, and /dev/shm has too little left"
        }
        _ => "",
    }
}

/// A file that holds a device's memory. Removed when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub struct KeptMemory {
    path: PathBuf,
    keep: AtomicBool,
}

impl KeptMemory {
    /// Makes a file of `len_bytes` zeroes, all allocated.
    ///
    /// # Errors
    /// [`KeptMemoryError`]; then there is no file.
    pub fn create(len_bytes: u64) -> Result<(Self, OwnedFd), KeptMemoryError> {
        let (path, file) = create_file()?;
        let kept = Self {
            path,
            keep: AtomicBool::new(false),
        };
        kept.refuse_other_file_systems(&file)?;
        kept.allocate(&file, len_bytes)?;
        Ok((kept, file.into()))
    }

    /// Opens the file that another daemon has left. It is kept, whatever happens.
    ///
    /// # Errors
    /// [`KeptMemoryError`].
    pub fn open(path: &Path, len_bytes: u64) -> Result<(Self, OwnedFd), KeptMemoryError> {
        let kept = Self {
            path: path.to_owned(),
            keep: AtomicBool::new(true),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(path)
            .map_err(kept.error("open"))?;
        kept.refuse_other_file_systems(&file)?;
        let found = file.metadata().map_err(kept.error("inspect"))?.size();
        if found < len_bytes {
            return Err(KeptMemoryError::Changed {
                path: path.to_owned(),
                found,
                expected: len_bytes,
            });
        }
        Ok((kept, file.into()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the file stay from now on: its device is there.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Makes the file longer, if it is not, and allocates all of it.
    ///
    /// # Errors
    /// [`KeptMemoryError::Io`]; the file may be longer then, which harms nobody.
    pub fn allocate(&self, file: impl AsFd, len_bytes: u64) -> Result<(), KeptMemoryError> {
        let len = i64::try_from(len_bytes).unwrap_or(i64::MAX);
        fallocate(file, FallocateFlags::empty(), 0, len)
            .map_err(|errno| self.error("allocate")(errno.into()))
    }

    /// Removes the file. What is open of it lives on until it is closed.
    pub fn remove(&self) {
        self.keep();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "memory stays behind");
        }
    }

    fn refuse_other_file_systems(&self, file: &File) -> Result<(), KeptMemoryError> {
        let found = fstatfs(file).map_err(|errno| self.error("inspect")(errno.into()))?;
        match found.filesystem_type() {
            TMPFS_MAGIC => Ok(()),
            _ => Err(KeptMemoryError::NoTmpfs),
        }
    }

    fn error(&self, what: &'static str) -> impl FnOnce(io::Error) -> KeptMemoryError {
        let path = self.path.clone();
        move |source| KeptMemoryError::Io { what, path, source }
    }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed) {
            self.remove();
        }
    }
}

/// A new file under a name that nobody has.
fn create_file() -> Result<(PathBuf, File), KeptMemoryError> {
    let pid = std::process::id();
    for number in 0_u32.. {
        let path = PathBuf::from(format!("{DIRECTORY}/bvecd-ram-{pid}-{number}"));
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC)
            .open(&path);
        match made {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                let what = "make";
                return Err(KeptMemoryError::Io { what, path, source });
            }
        }
    }
    Err(KeptMemoryError::NoTmpfs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_there_for_the_next_one_and_only_if_it_is_kept() {
        let (kept, file) = KeptMemory::create(8192).unwrap();
        let path = kept.path().to_owned();
        nix::sys::uio::pwrite(&file, b"left", 4096).unwrap();
        kept.keep();
        drop((kept, file));
        let (again, file) = KeptMemory::open(&path, 8192).unwrap();
        let mut bytes = [0; 4];
        nix::sys::uio::pread(&file, &mut bytes, 4096).unwrap();
        assert_eq!(&bytes, b"left");
        let shorter = KeptMemory::open(&path, 8193).unwrap_err();
        assert!(shorter.to_string().contains("8193 were left"), "{shorter}");
        again.remove();
        assert!(!path.exists());
        let (dropped, _file) = KeptMemory::create(4096).unwrap();
        let path = dropped.path().to_owned();
        drop(dropped);
        assert!(!path.exists());
    }
}
