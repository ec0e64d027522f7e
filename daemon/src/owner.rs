//! Whose an unprivileged device is: what the udev rules of `daemon/udev/` ask, as root, when a node of a
//! device appears.

use anyhow::{Context, Result, bail};
use ublk::{Features, control};

/// The user and the group that own the device of a node, such as `1000 1000`.
///
/// # Errors
/// The name is not a node's, there is no such device, or the device is no ordinary user's.
pub fn owner_of(node: &str) -> Result<String> {
    let id = number(node).with_context(|| {
        format!("tell the owner of `{node}`: expected a node's name, such as ublkc0 or ublkb0")
    })?;
    let Some(info) = control::info_by_node(id)? else {
        bail!("tell the owner of {node}: there is no such device");
    };
    if !info.flags.contains(Features::UNPRIVILEGED_DEV) {
        bail!("tell the owner of {node}: it is no ordinary user's");
    }
    Ok(format!("{} {}", info.owner_uid, info.owner_gid))
}

/// The N of `ublkcN`, `ublkbN` or a partition `ublkbNpM`.
fn number(node: &str) -> Option<u32> {
    let name = node.strip_prefix("/dev/").unwrap_or(node);
    let rest = name
        .strip_prefix("ublkc")
        .or_else(|| name.strip_prefix("ublkb"))?;
    rest.split_once('p')
        .map_or(rest, |(disk, _)| disk)
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_by_name() {
        for (node, found) in [
            ("ublkc0", Some(0)),
            ("ublkb17", Some(17)),
            ("/dev/ublkb3", Some(3)),
            ("ublkb3p1", Some(3)),
            ("ublk-control", None),
            ("ublkb", None),
            ("sda", None),
        ] {
            assert_eq!(number(node), found, "{node}");
        }
    }
}
