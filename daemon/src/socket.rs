//! The socket: where it is, who may connect.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::{AccessFlags, access};
use tokio::net::UnixListener;

/// The socket's file; removed when the daemon ends.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

/// `sun_path` of unix(7), less the zero at its end.
const MAX_PATH_BYTES: usize = 107;

/// Makes the socket with mode 0600, and its directory, if it is missing, with 0750.
pub(crate) fn bind(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let shown = path.display();
    let len = path.as_os_str().len();
    // Before anything is made for it.
    if len > MAX_PATH_BYTES {
        bail!(
            "listen on {shown}: its path has {len} bytes, and a socket's has at most {MAX_PATH_BYTES}; choose \
             a shorter --socket PATH"
        );
    }
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .with_context(|| {
                format!("make the directory of {shown}; make it, or choose --socket PATH")
            })?;
    }
    if StdUnixStream::connect(path).is_ok() {
        bail!("listen on {shown}: another bvecd serves there; stop it, or choose --socket PATH");
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        bail!("listen on {shown}: it is there and no socket; choose another --socket PATH");
    }
    if !writable(path) {
        bail!(
            "listen on {shown}: its directory cannot be written to; choose another --socket PATH"
        );
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

/// Whether files can be made beside this path.
fn writable(path: &Path) -> bool {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about a failure at the end, and the next start removes it.
        let _ = fs::remove_file(&self.0);
    }
}
