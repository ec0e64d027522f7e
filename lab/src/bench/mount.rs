//! A file system of an experiment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::io_error;
use crate::{LabError, Result};

/// A file system, and how it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsKind {
    Ext4,
    Xfs,
    Btrfs,
}

impl FsKind {
    /// What mount(2) calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    const fn make(self) -> &'static [&'static str] {
        match self {
            // Small, so that making it does not take longer than what is asked.
            Self::Ext4 => &[
                "mkfs.ext4",
                "-q",
                "-F",
                "-N",
                "128",
                "-J",
                "size=4",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
            ],
            Self::Xfs => &["mkfs.xfs", "-q", "-f"],
            Self::Btrfs => &["mkfs.btrfs", "-q", "-f"],
        }
    }
}

/// A mounted file system, taken down when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    kind: FsKind,
    device: String,
    place: PathBuf,
}

impl Mount {
    pub(super) fn make(kind: FsKind, device: &str, directory: &Path) -> Result<Self> {
        let [program, arguments @ ..] = kind.make() else {
            return Err(io_error("make a file system")(
                std::io::ErrorKind::Other.into(),
            ));
        };
        command(program, &[arguments, &[device]].concat())?;
        let place = directory.join(device.trim_start_matches("/dev/"));
        fs::create_dir_all(&place).map_err(io_error("make a directory to mount at"))?;
        let mount = Self {
            kind,
            device: device.to_owned(),
            place,
        };
        mount.again()?;
        Ok(mount)
    }

    fn again(&self) -> Result<()> {
        let (device, kind) = (self.device.as_str(), self.kind.name());
        mount(
            Some(device),
            &self.place,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        )
        .map_err(|errno| io_error("mount a file system")(errno.into()))
    }

    /// Takes it down and up again, so that only what is on the disk is left.
    pub(crate) fn remount(&self) -> Result<()> {
        umount2(&self.place, MntFlags::empty())
            .map_err(|errno| io_error("unmount a file system")(errno.into()))?;
        self.again()
    }

    /// A new file of so many bytes of this value, on the medium.
    pub(crate) fn file(&self, name: &str, bytes: usize, byte: u8) -> Result<PathBuf> {
        let path = self.place.join(name);
        let write = || -> std::io::Result<()> {
            fs::write(&path, vec![byte; bytes])?;
            fs::File::open(&path)?.sync_all()
        };
        write().map_err(io_error("write a file"))?;
        Ok(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // One that stays is found by the check for what is left behind, and detached for the next experiment.
        if umount2(&self.place, MntFlags::empty()).is_err() {
            let _ = umount2(&self.place, MntFlags::MNT_DETACH);
        }
    }
}

/// Runs a program that must succeed.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(io_error("start a program"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(LabError::Program {
        program: program.to_owned(),
        status: output.status,
        said: said.trim().replace('\n', "; "),
    })
}
