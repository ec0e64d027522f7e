//! What the daemon asks of the system for itself: files, memory that stays, a namespace of its own.

use std::io;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Memory cannot be locked.
#[derive(Debug, thiserror::Error)]
#[error(
    "lock the memory: {source}; RLIMIT_MEMLOCK allows {limit}, and CAP_IPC_LOCK is missing: raise it \
     (`ulimit -l`, systemd's LimitMEMLOCK=), or leave --mlock out"
)]
pub struct LockError {
    source: io::Error,
    limit: String,
}

/// Ends the process at once, as nothing could help: no destructor runs, no file is closed by us.
pub(crate) fn die() -> ! {
    loop {
        // It cannot fail for a signal to oneself; until it is delivered there is nothing else to do.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

/// Keeps all memory of the process, present and future, in RAM: a queue never waits for a page of its own,
/// which might come back from swap on one of its own devices.
///
/// # Errors
/// `mlockall(2)`, which needs CAP_IPC_LOCK or a limit that is high enough.
pub fn lock_memory() -> Result<(), LockError> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(|errno: Errno| {
        LockError {
            source: errno.into(),
            limit: match getrlimit(Resource::RLIMIT_MEMLOCK) {
                Ok((soft, _)) if soft == libc::RLIM_INFINITY => "any".into(),
                Ok((soft, _)) => format!("{soft} bytes"),
                Err(_) => "an unknown number of bytes".into(),
            },
        }
    })
}

/// Gives the process a mount namespace of its own that later mounts do not reach.
///
/// Without it, a file system mounted on our own device would be a mount of this process too, and the
/// kernel would have to unmount it, through us, while we exit: a deadlock.
///
/// # Errors
/// `unshare(2)` or `mount(2)`; both need CAP_SYS_ADMIN.
pub fn leave_mount_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(())
}

/// Lets the process have as many files as it may: a device takes about half a dozen.
pub fn raise_file_limit() {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    // Where it is refused the daemon serves fewer devices.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
}
