//! Who else uses a backing: file systems, device mappers, loop devices, swap.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{BackingError, device_number};

/// Refuses a backing that something on this machine uses already, naming what.
pub(super) fn refuse_if_used(path: &Path, metadata: &Metadata) -> Result<(), BackingError> {
    let user = if metadata.file_type().is_block_device() {
        block_device_user(metadata)
    } else {
        file_user(path, metadata)
    };
    match user {
        Some(by) => Err(BackingError::InUse {
            path: path.to_owned(),
            by,
        }),
        None => Ok(()),
    }
}

/// The error for a block device whose exclusive open failed, with what can be found out.
pub(super) fn busy(path: &Path) -> BackingError {
    let found = fs::metadata(path)
        .ok()
        .and_then(|metadata| block_device_user(&metadata));
    let by = found.unwrap_or_else(|| {
        "something in the kernel has it exclusively (EBUSY); `lsblk` and `fuser -v` may tell what"
            .into()
    });
    BackingError::InUse {
        path: path.to_owned(),
        by,
    }
}

/// Every mount that we can see. Ours is a private copy from when the daemon started; what was mounted since
/// is in init's.
fn mounts() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    read("/proc/1/mountinfo") + &read("/proc/self/mountinfo")
}

/// Where a block device is mounted.
pub(crate) fn mounted_at(metadata: &Metadata) -> Option<String> {
    let (major, minor) = device_number(metadata);
    mount_point(&mounts(), major, minor)
}

fn block_device_user(metadata: &Metadata) -> Option<String> {
    let (major, minor) = device_number(metadata);
    let mounts = mounts();
    if let Some(place) = mount_point(&mounts, major, minor) {
        return Some(format!("it is mounted at {place}; unmount it first"));
    }
    let node = format!("/sys/dev/block/{major}:{minor}");
    if let Some(holder) = first_entry(&format!("{node}/holders")) {
        return Some(format!("{holder} is built on it; take that down first"));
    }
    let own_name = fs::read_link(&node)
        .ok()?
        .file_name()?
        .to_string_lossy()
        .into_owned();
    // A partition in use makes its whole disk unsafe to write.
    for entry in fs::read_dir(&node).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&own_name) {
            continue;
        }
        let number = fs::read_to_string(entry.path().join("dev")).unwrap_or_default();
        if let Some((major, minor)) = parse_device(number.trim())
            && let Some(place) = mount_point(&mounts, major, minor)
        {
            return Some(format!(
                "its partition {name} is mounted at {place}; unmount it first"
            ));
        }
    }
    None
}

fn file_user(path: &Path, metadata: &Metadata) -> Option<String> {
    if let Some(name) = loop_device_on(metadata) {
        return Some(format!(
            "{name} is attached to it; `losetup -d {name}` first"
        ));
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let own = fs::canonicalize(path).ok()?;
    let is_swap = swaps.lines().skip(1).any(|line| {
        line.split_whitespace()
            .next()
            .is_some_and(|name| Path::new(name) == own)
    });
    is_swap.then(|| "it is swap space; `swapoff` it first".into())
}

/// The kernel loop device on the same inode, if any.
fn loop_device_on(metadata: &Metadata) -> Option<String> {
    for entry in fs::read_dir("/sys/block").ok()?.flatten() {
        let backing = entry.path().join("loop/backing_file");
        let Ok(name) = fs::read_to_string(backing) else {
            continue;
        };
        let Ok(other) = fs::metadata(name.trim_end()) else {
            continue;
        };
        if (other.dev(), other.ino()) == (metadata.dev(), metadata.ino()) {
            return Some(format!("/dev/{}", entry.file_name().to_string_lossy()));
        }
    }
    None
}

/// Where a block device is mounted, from the text of `/proc/self/mountinfo` (proc(5): the third
/// field is the device, the fifth the mount point).
fn mount_point(mountinfo: &str, major: u64, minor: u64) -> Option<String> {
    let number = format!("{major}:{minor}");
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ');
        (fields.nth(2)? == number).then(|| fields.nth(1).unwrap_or("?").to_owned())
    })
}

fn first_entry(directory: &str) -> Option<String> {
    let entry = fs::read_dir(directory).ok()?.flatten().next()?;
    Some(format!("/dev/{}", entry.file_name().to_string_lossy()))
}

fn parse_device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_device_is_found_by_its_number() {
        let text = "25 1 254:0 / / rw - ext4 /dev/vda rw\n\
                    31 25 7:3 / /mnt/two rw,nosuid shared:9 - xfs /dev/loop3 rw\n";
        assert_eq!(mount_point(text, 7, 3).as_deref(), Some("/mnt/two"));
        assert_eq!(mount_point(text, 7, 4), None);
    }
}
