//! The file systems of the kernel, and the loopback interface.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::Failure;

/// Where, what, options, and whether the guest is useless without it.
const MOUNTS: [(&str, &str, &str, bool); 11] = [
    ("/proc", "proc", "", true),
    ("/sys", "sysfs", "", true),
    ("/dev", "devtmpfs", "mode=0755", true),
    ("/dev/pts", "devpts", "mode=0620,ptmxmode=0666", false),
    ("/dev/shm", "tmpfs", "mode=1777", false),
    ("/tmp", "tmpfs", "mode=1777", true),
    ("/run", "tmpfs", "mode=0755", true),
    ("/sys/kernel/debug", "debugfs", "", false),
    ("/sys/kernel/tracing", "tracefs", "", false),
    ("/sys/kernel/config", "configfs", "", false),
    ("/sys/fs/cgroup", "cgroup2", "", false),
];

/// Mounts what programs expect; a kernel may lack the optional ones.
pub(super) fn mount_all() -> Result<(), Failure> {
    for (place, kind, options, needed) in MOUNTS {
        // A directory inside sysfs exists if the kernel has the file system; elsewhere we make it.
        let _ = fs::create_dir_all(place);
        match mount(
            Some(kind),
            place,
            Some(kind),
            MsFlags::empty(),
            Some(options),
        ) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(_) if !needed => {}
            Err(errno) => return Err(format!("mount {kind} on {place}: {errno}")),
        }
    }
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
