//! A fresh file system on a device of ours, mounted in a directory of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::daemon::shell;
use crate::scratch::Mounted;
use crate::sys;

/// What is made, and how it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The line that makes it; the device follows.
    pub(crate) make: &'static str,
    /// Its type and options for mount(8).
    pub(crate) mount: &'static str,
    /// The programs that this needs.
    pub(crate) programs: &'static [&'static str],
}

impl Kind {
    pub(crate) const EXT4: Self = Self {
        make: "mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0",
        mount: "-t ext4",
        programs: &["mkfs.ext4"],
    };
    pub(crate) const XFS: Self = Self {
        make: "mkfs.xfs -q -f",
        mount: "-t xfs",
        programs: &["mkfs.xfs"],
    };
    pub(crate) const BTRFS: Self = Self {
        make: "mkfs.btrfs -q -f",
        mount: "-t btrfs",
        programs: &["mkfs.btrfs"],
    };
}

/// It, mounted.
pub(crate) struct FileSystem(Mounted);

impl FileSystem {
    /// Makes it on the device and mounts it.
    pub(crate) fn make(kind: Kind, device: &str) -> Self {
        shell(&format!("{} {device} 2>&1", kind.make));
        Self::mount(kind, device)
    }

    /// Mounts what is there already.
    pub(crate) fn mount(kind: Kind, device: &str) -> Self {
        Self(Mounted::new(&format!("mount {} {device}", kind.mount)))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file with these bytes, on the medium.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        let file = File::create(&path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_all().unwrap();
        path
    }

    /// Whether a new file can be made and made durable.
    pub(crate) fn is_usable(&self) -> bool {
        let path = self.path().join("another");
        let make = || -> io::Result<()> {
            let file = File::create(&path)?;
            file.write_all_at(b"still there", 0)?;
            file.sync_all()
        };
        make().is_ok()
    }

    /// Takes it down, so that its device can go.
    pub(crate) fn unmount(self) {
        self.0.unmount();
    }
}

/// Where a file lies on its file system's device, in the words of a rule's `lba=`.
pub(crate) fn sectors_of(path: &Path) -> String {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    let extents = sys::extents(&file).unwrap();
    assert!(!extents.is_empty(), "{} has no extents", path.display());
    let ranges = extents
        .iter()
        .map(|(start, len)| format!("{}+{}", start / 512, len / 512));
    ranges.collect::<Vec<_>>().join("|")
}

/// Forgets what the page cache has of a file, as far as it is clean.
pub(crate) fn forget(file: &File) {
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
}
