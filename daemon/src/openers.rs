//! Who has a block device of ours open, as far as `/proc` tells: for messages only, the kernel decides.

use std::fs;
use std::path::Path;

use crate::state::process_name;

/// How many are named.
const MOST: usize = 4;

/// " by fio (process 4711), a mount at /mnt", or nothing where nobody is found.
#[must_use]
pub fn told(path: &str) -> String {
    let mut found = processes(path);
    found.extend(mount(path));
    match found.len() {
        0 => String::new(),
        count if count > MOST => {
            format!(
                " by {} and {} others",
                found[..MOST].join(", "),
                count - MOST
            )
        }
        _ => format!(" by {}", found.join(", ")),
    }
}

/// Processes with a descriptor of the device or of one of its partitions.
fn processes(path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            // We have the block devices of the NBD client open ourselves.
            .filter(|pid: &i32| pid.unsigned_abs() != std::process::id())
        else {
            continue;
        };
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten();
        let is_open = descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| is_part_of(&target, path));
        if is_open {
            found.push(format!("{} (process {pid})", process_name(pid)));
        }
    }
    found
}

/// `/dev/ublkb1` and `/dev/ublkb1p2` are, `/dev/ublkb12` is not. A node that is gone has " (deleted)".
fn is_part_of(target: &Path, path: &str) -> bool {
    let Some(rest) = target.to_str().and_then(|text| text.strip_prefix(path)) else {
        return false;
    };
    rest.is_empty() || rest.starts_with('p') || rest.starts_with(' ')
}

fn mount(path: &str) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    crate::backing::mounted_at(&metadata).map(|place| format!("a mount at {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_part_of_its_disk_and_a_longer_number_is_not() {
        let part = |target: &str| is_part_of(Path::new(target), "/dev/ublkb1");
        assert!(part("/dev/ublkb1") && part("/dev/ublkb1p2") && part("/dev/ublkb1 (deleted)"));
        assert!(!part("/dev/ublkb12") && !part("/dev/ublkc1") && !part("socket:[1]"));
    }
}
