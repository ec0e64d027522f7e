//! The file systems of the kernel, and the loopback interface.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::Failure;

/// Where, what, options.
type Mount = (&'static str, &'static str, &'static str);

/// Without these the guest is useless. Nothing is mounted on /tmp and /run: that would hide what
/// was packed there, and the root is a tmpfs as well (init_rootfs() in init/do_mounts.c).
const NEEDED: [Mount; 3] = [
    ("/proc", "proc", ""),
    ("/sys", "sysfs", ""),
    ("/dev", "devtmpfs", "mode=0755"),
];

/// How much of the memory files may take. A tmpfs may take half of it unless told, which is little
/// for a root with the disks of a test in its /tmp.
const ROOT_OPTIONS: &str = "size=80%";

/// A kernel may lack these, or have them only once a module is loaded (configfs).
const OPTIONAL: [Mount; 6] = [
    ("/dev/pts", "devpts", "mode=0620,ptmxmode=0666"),
    ("/dev/shm", "tmpfs", "mode=1777"),
    ("/sys/kernel/debug", "debugfs", ""),
    ("/sys/kernel/tracing", "tracefs", ""),
    ("/sys/kernel/config", "configfs", ""),
    ("/sys/fs/cgroup", "cgroup2", ""),
];

fn mount_one((place, kind, options): Mount) -> Result<(), Failure> {
    // A directory inside sysfs exists if the kernel has the file system; elsewhere we make it.
    let _ = fs::create_dir_all(place);
    match mount(
        Some(kind),
        place,
        Some(kind),
        MsFlags::empty(),
        Some(options),
    ) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(format!("mount {kind} on {place}: {errno}")),
    }
}

/// Mounts what programs expect, when the modules are loaded.
pub(super) fn mount_optional() {
    for entry in OPTIONAL {
        // Whoever needs it will say so.
        let _ = mount_one(entry);
    }
}

/// Mounts what this init needs.
pub(super) fn mount_needed() -> Result<(), Failure> {
    NEEDED.into_iter().try_for_each(mount_one)?;
    // A ramfs, as the root of a kernel without tmpfs, knows no limit.
    let _ = mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REMOUNT,
        Some(ROOT_OPTIONS),
    );
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/etc/mtab", "/proc/self/mounts"),
    ] {
        if !Path::new(link).exists() {
            symlink(target, link).map_err(|error| format!("make the link {link}: {error}"))?;
        }
    }
    Ok(())
}

/// Brings up `lo`; the kernel gives it 127.0.0.1 by itself (inetdev_event() in net/ipv4/devinet.c).
pub(super) fn loopback_up() -> Result<(), Failure> {
    const IFF_UP: &str = "0x1";
    fs::write("/sys/class/net/lo/flags", IFF_UP)
        .map_err(|error| format!("bring the loopback interface up: {error}"))
}
