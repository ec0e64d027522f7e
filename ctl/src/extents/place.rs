//! Which ublk device a file system is on, and where on it.

use std::fs;
use std::path::Path;

use nix::sys::stat::{major, minor};

/// A place on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The N of `/dev/ublkbN`.
    pub(super) device: u32,
    /// The partition, if it is one.
    pub(super) partition: Option<u32>,
    /// Its first sector on the device.
    pub(super) start: u64,
}

impl Place {
    /// The place of the block device with this number (`st_dev` of a file), by what `sysfs` says of it.
    ///
    /// # Errors
    /// In words why it is not a ublk device.
    pub(super) fn of(sysfs: &Path, number: u64) -> Result<Self, String> {
        let (major, minor) = (major(number), minor(number));
        let link = sysfs.join(format!("dev/block/{major}:{minor}"));
        let Ok(directory) = fs::canonicalize(&link) else {
            return Err(format!(
                "its file system is on no single block device ({major}:{minor}), as btrfs, overlayfs and \
                 tmpfs are not, expected a file system on /dev/ublkbN or a partition of it"
            ));
        };
        let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let partition = number("partition").and_then(|number| u32::try_from(number).ok());
        // A partition's directory is in that of its disk.
        let disk = match partition {
            Some(_) => directory.parent().unwrap_or(&directory),
            None => &directory,
        };
        let name = disk.file_name().unwrap_or_default().to_string_lossy();
        let device = name
            .strip_prefix("ublkb")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| {
                format!(
                    "its file system is on /dev/{name}, expected one on /dev/ublkbN or a partition of it"
                )
            })?;
        let start = match partition {
            Some(_) => number("start").ok_or("its partition's start cannot be read")?,
            None => 0,
        };
        Ok(Self {
            device,
            partition,
            start,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::makedev;

    use super::*;

    /// A sysfs with a ublk device, a partition of it, and another disk.
    fn sysfs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let block = root.path().join("dev/block");
        fs::create_dir_all(&block).unwrap();
        for (path, number) in [
            ("devices/ublkb3", "259:0"),
            ("devices/ublkb3/ublkb3p2", "259:1"),
            ("devices/sda", "8:0"),
        ] {
            let directory = root.path().join(path);
            fs::create_dir_all(&directory).unwrap();
            symlink(&directory, block.join(number)).unwrap();
        }
        let partition = root.path().join("devices/ublkb3/ublkb3p2");
        fs::write(partition.join("partition"), "2\n").unwrap();
        fs::write(partition.join("start"), "2048\n").unwrap();
        root
    }

    #[test]
    fn a_device_and_a_partition_of_it_are_told_apart() {
        let root = sysfs();
        let at = |major, minor| Place::of(root.path(), makedev(major, minor));
        let place = |partition, start| Place {
            device: 3,
            partition,
            start,
        };
        assert_eq!(at(259, 0), Ok(place(None, 0)));
        assert_eq!(at(259, 1), Ok(place(Some(2), 2048)));
    }

    #[test]
    fn what_is_no_ublk_device_is_named() {
        let root = sysfs();
        let at = |major, minor| Place::of(root.path(), makedev(major, minor)).unwrap_err();
        assert!(at(8, 0).contains("/dev/sda"), "{}", at(8, 0));
        assert!(at(0, 40).contains("btrfs"), "{}", at(0, 40));
    }
}
