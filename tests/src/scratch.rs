//! Things to put under a device, gone when the test ends: disks of null_blk, mounted file systems.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::daemon::shell;
use crate::deadline::wait_for;

/// A disk of the kernel's null_blk, made through configfs.
pub(crate) struct NullBlk {
    directory: PathBuf,
    pub(crate) path: String,
}

impl NullBlk {
    /// A disk with these attributes (Documentation/block/null_blk.rst); none if the kernel has no null_blk.
    pub(crate) fn with(name: &str, attributes: &[(&str, u32)]) -> Option<Self> {
        let root = Path::new("/sys/kernel/config/nullb");
        if !root.is_dir() {
            return None;
        }
        let directory = root.join(name);
        fs::create_dir(&directory).unwrap();
        let disk = Self {
            directory,
            path: format!("/dev/{name}"),
        };
        for (attribute, value) in attributes {
            disk.set(attribute, *value);
        }
        disk.set("power", 1);
        wait_for("null_blk's node", || {
            Path::new(&disk.path).exists().then_some(())
        });
        Some(disk)
    }

    fn set(&self, attribute: &str, value: u32) {
        let file = self.directory.join(attribute);
        fs::write(&file, value.to_string())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl Drop for NullBlk {
    fn drop(&mut self) {
        let _ = fs::write(self.directory.join("power"), "0");
        let _ = fs::remove_dir(&self.directory);
    }
}

/// A file system mounted in a directory of its own. A daemon does not see what is mounted after its
/// start, so this comes first.
pub(crate) struct Mounted {
    directory: tempfile::TempDir,
    is_mounted: bool,
}

impl Mounted {
    /// A tmpfs of this size.
    pub(crate) fn tmpfs(size_bytes: u64) -> Self {
        Self::new(&format!("mount -t tmpfs -o size={size_bytes} none"))
    }

    /// A fresh ext4 on one of brd's disks, of 16 MiB; none if the kernel has no brd.
    pub(crate) fn ext4() -> Option<Self> {
        Self::ext(true)
    }

    /// As [`Mounted::ext4`], but as ext2 makes files: such a file has no extents, and can be punched, but
    /// neither zeroed in place nor allocated ahead.
    pub(crate) fn ext4_without_extents() -> Option<Self> {
        Self::ext(false)
    }

    fn ext(extents: bool) -> Option<Self> {
        if !Path::new(RAM_DISK).exists() {
            return None;
        }
        Some(Self::ext_on(RAM_DISK, extents))
    }

    /// A fresh ext4 on a block device.
    pub(crate) fn ext4_on(path: &str) -> Self {
        Self::ext_on(path, true)
    }

    fn ext_on(path: &str, extents: bool) -> Self {
        /// `s_feature_incompat` of the superblock, and its bit for extents (fs/ext4/ext4.h).
        const INCOMPATIBLE: u64 = 1024 + 0x60;
        const EXTENTS: u8 = 0x40;
        shell(&format!("mke2fs -F {path} 2>&1"));
        if extents {
            // The guest's mke2fs knows ext2 only.
            let disk = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap();
            let mut features = [0];
            disk.read_exact_at(&mut features, INCOMPATIBLE).unwrap();
            disk.write_all_at(&[features[0] | EXTENTS], INCOMPATIBLE)
                .unwrap();
            disk.sync_all().unwrap();
        }
        Self::new(&format!("mount -t ext4 {path}"))
    }

    /// What this line of a shell mounts; the directory follows.
    pub(crate) fn new(mount: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mount").tempdir().unwrap();
        shell(&format!("{mount} {}", directory.path().display()));
        Self {
            directory,
            is_mounted: true,
        }
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        let place = self.directory.path().display();
        shell(&format!("mount -o remount,{options} {place}"));
    }

    /// Unmounts it, now.
    pub(crate) fn unmount(mut self) {
        shell(&format!("umount {}", self.directory.path().display()));
        self.is_mounted = false;
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A fresh file of zeroes, sparse where the file system can.
    pub(crate) fn file(&self, name: &str, size_bytes: u64) -> PathBuf {
        let path = self.path().join(name);
        fs::File::create(&path)
            .unwrap()
            .set_len(size_bytes)
            .unwrap();
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        // Lazily: a daemon of a failed test may still use it.
        let line = format!("umount -l {}", self.directory.path().display());
        let _ = std::process::Command::new("sh")
            .arg("-c")
            .arg(line)
            .status();
    }
}

/// A disk of brd that no other test uses at the same time.
pub(crate) const RAM_DISK: &str = "/dev/ram15";
