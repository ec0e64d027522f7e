//! The directory where fetched kernels are kept.
//!
//! `$BVECD_CACHE`, else `$XDG_CACHE_HOME/bvecd`, else `~/.cache/bvecd`:
//!
//! ```text
//! lock                 taken by whoever changes anything below
//! suites/NAME/         a private package root with the index of one suite
//! kernels/RELEASE/     image, config, modules/, kernel.json; later vmlinux and plain/
//! images/HASH/         what was derived from a kernel that is not ours: vmlinux, plain/
//! emulators/VERSION/   a newer QEMU than the host's: root/, emulator.json
//! accelerator.json     whether KVM works here
//! ```

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::error::{At, Error};
use crate::progress::Progress;

/// How directories of work that is not finished are called.
const SCRATCH_PREFIX: &str = "tmp-";

/// The cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Keeps other runs from changing the cache until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl Cache {
    /// Opens the user's cache directory, creating it if needed.
    ///
    /// # Errors
    /// If no directory can be derived from the environment, or it cannot be created.
    pub fn open() -> Result<Self, Error> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let root = set("BVECD_CACHE")
            .map(PathBuf::from)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| PathBuf::from(dir).join("bvecd")))
            .or_else(|| set("HOME").map(|dir| PathBuf::from(dir).join(".cache/bvecd")))
            .ok_or_else(|| Error::Option {
                option: "the cache directory".into(),
                reason: "none of BVECD_CACHE, XDG_CACHE_HOME and HOME is set".into(),
            })?;
        Self::at(root)
    }

    /// Uses `root` as the cache directory, creating it if needed.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        fs::create_dir_all(&root).at("create", &root)?;
        let root = root.canonicalize().at("find", &root)?;
        Ok(Self { root })
    }

    /// A path below the cache directory.
    #[must_use]
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// Waits until no other run changes the cache.
    pub(crate) fn lock(&self, progress: &Progress) -> Result<Lock, Error> {
        let path = self.path("lock");
        let file = File::create(&path).at("create", &path)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((file, _)) => {
                progress.say("waiting for another run that is filling the cache");
                Flock::lock(file, FlockArg::LockExclusive)
                    .map_err(|(_, errno)| errno.into())
                    .at("lock", &path)?
            }
        };
        self.remove_leftovers();
        Ok(Lock { _file: file })
    }

    /// Removes what a run that was killed left behind; under the lock nobody else can be using it.
    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(SCRATCH_PREFIX)
            {
                // What cannot be removed now will be tried again.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// A directory on the cache's file system, from which finished work is renamed into place.
    pub(crate) fn scratch(&self) -> Result<TempDir, Error> {
        tempfile::Builder::new()
            .prefix(SCRATCH_PREFIX)
            .tempdir_in(&self.root)
            .at("write in", &self.root)
    }
}

/// Writes a file so that a reader sees all of it or nothing.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).at("create", dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir).at("write in", dir)?;
    std::io::Write::write_all(&mut file, bytes).at("write", path)?;
    file.persist(path)
        .map_err(|error| error.error)
        .at("write", path)?;
    Ok(())
}
