//! The daemon as a process: its socket, its namespace, its signals, its end.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::device::Failure;
use crate::devices::Devices;
use crate::server;

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

/// Serves until a signal says stop, then removes every device.
///
/// # Errors
/// The socket cannot be made, or a device could not be removed.
pub async fn run(socket: &Path) -> Result<()> {
    // First, so that an early signal is not lost.
    let mut stop = StopSignals::new()?;
    let (listener, _socket) = bind(socket)?;
    let (devices, failures) = Devices::new();
    let cleaner = tokio::spawn(remove_failed(Arc::clone(&devices), failures));
    // Fails only where the service manager's socket is broken, which is no reason not to serve.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(socket = %socket.display(), "serving");
    let server = server::serve(listener, Arc::clone(&devices));
    let signal = tokio::select! {
        signal = stop.next() => signal,
        // It ends only when the listener fails.
        ended = server => return ended.context("serve the API"),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!(signal, devices = devices.all().len(), "stopping");
    cleaner.abort();
    let failed = devices.close().await;
    if failed > 0 {
        bail!("{failed} devices could not be removed; see the messages above");
    }
    Ok(())
}

/// Removes devices whose queues ended by themselves: their clients get errors instead of waiting.
async fn remove_failed(devices: Arc<Devices>, mut failures: mpsc::UnboundedReceiver<Failure>) {
    while let Some(failure) = failures.recv().await {
        let Some(device) = devices.get(failure.device) else {
            continue;
        };
        tracing::error!(device = failure.device, error = %failure.error, "removing a failed device");
        let devices = Arc::clone(&devices);
        // Each by itself: one that waits must not keep the others waiting.
        tokio::spawn(async move {
            if let Err(error) = devices.delete(device).await {
                tracing::error!(device = failure.device, %error, "could not be removed");
            }
        });
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("wait for SIGINT")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The socket's file; removed when the daemon ends.
struct SocketFile(PathBuf);

/// Makes the socket with mode 0600, and its directory, if it is missing, with 0750.
fn bind(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let shown = path.display();
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .with_context(|| format!("make the directory of {shown}"))?;
    }
    if StdUnixStream::connect(path).is_ok() {
        bail!("listen on {shown}: another bvecd serves there; stop it, or choose --socket PATH");
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        bail!("listen on {shown}: it is there and no socket; choose another --socket PATH");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove the stale socket {shown}"));
        }
        _ => {}
    }
    // The mask, not a later chmod: between bind and chmod anybody could connect.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = bound.with_context(|| format!("listen on {shown}"))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .with_context(|| format!("protect {shown}"))?;
    Ok((listener, SocketFile(path.to_owned())))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about a failure at the end, and the next start removes it.
        let _ = fs::remove_file(&self.0);
    }
}
