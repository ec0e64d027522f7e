//! What a transfer is done on: the device, or what is stacked on it for as long as the value lives.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount, umount};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::LabError;
use crate::stack::{Stacked, run};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The device itself.
    Raw,
    /// A file of ext4 on it.
    Ext4,
    /// A file of XFS on it.
    Xfs,
    /// A file of btrfs on it.
    Btrfs,
    /// A loop device with direct I/O on it.
    Loop,
    /// dm-crypt on it.
    DmCrypt,
    /// A RAID1 of md with it as its only leg.
    Md,
    /// A SCSI disk of a LIO target on it, whose backstore does direct I/O.
    LioFileio,
    /// A NVMe namespace of a target on it.
    NvmetLoop,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Raw,
        Self::Ext4,
        Self::Xfs,
        Self::Btrfs,
        Self::Loop,
        Self::DmCrypt,
        Self::Md,
        Self::LioFileio,
        Self::NvmetLoop,
    ];
}

/// One of them, taken down when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    _below: Below,
}

/// What is taken down.
#[derive(Debug)]
#[expect(dead_code, reason = "kept to be dropped")]
enum Below {
    Nothing,
    Stacked(Stacked),
    Mounted(Mounted),
}

/// A directory that something is mounted on.
#[derive(Debug)]
struct Mounted(TempDir);

/// As many bytes as a census or a fuzzer uses of a file.
pub(crate) const FILE_BYTES: usize = 4 << 20;

impl Place {
    /// Makes it, or says why it cannot be had here.
    pub(crate) fn make(kind: Kind, device: &str) -> Result<Self, String> {
        match kind {
            Kind::Raw => Ok(Self {
                path: device.into(),
                _below: Below::Nothing,
            }),
            Kind::Ext4 => Self::file_on(device, "ext4", &["mkfs.ext4", "-q", "-F"]),
            Kind::Xfs => Self::file_on(device, "xfs", &["mkfs.xfs", "-q", "-f"]),
            Kind::Btrfs => Self::file_on(device, "btrfs", &["mkfs.btrfs", "-q", "-f"]),
            Kind::Loop => Self::stacked(Stacked::on_loop(device, true)),
            Kind::DmCrypt => Self::stacked(Stacked::crypt(device)),
            Kind::Md => Self::stacked(Stacked::mirror([device, "missing"])),
            Kind::LioFileio => Self::stacked(Stacked::lio_file(device, true)),
            Kind::NvmetLoop => Self::stacked(Stacked::nvme_loop(device)),
        }
    }

    fn stacked(stacked: crate::Result<Stacked>) -> Result<Self, String> {
        let stacked = stacked.map_err(why)?;
        Ok(Self {
            path: stacked.path().to_owned(),
            _below: Below::Stacked(stacked),
        })
    }

    /// What to open.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn file_on(device: &str, name: &str, make: &[&str]) -> Result<Self, String> {
        run(&[make, &[device]].concat()).map_err(why)?;
        let text = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let directory = tempfile::Builder::new()
            .prefix("bvec-lab-")
            .tempdir()
            .map_err(|error| text("make a directory", &error))?;
        let none: Option<&str> = None;
        mount(
            Some(device),
            directory.path(),
            Some(name),
            MsFlags::empty(),
            none,
        )
        .map_err(|errno| match errno {
            nix::errno::Errno::ENODEV => format!("the kernel has no {name} (module {name})"),
            errno => text(&format!("mount {name}"), &errno),
        })?;
        let place = Self {
            path: directory.path().join("file"),
            _below: Below::Mounted(Mounted(directory)),
        };
        // Blocks that are there already: what is counted is the transfer, not the allocation.
        let fill = || -> std::io::Result<()> {
            let file = File::create(&place.path)?;
            file.write_all_at(&vec![3; FILE_BYTES], 0)?;
            file.sync_all()
        };
        fill().map_err(|error| text("make a file", &error))?;
        Ok(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A child that is killed just now may still have a file open, but not for long.
        for _ in 0..50 {
            if umount(self.0.path()) != Err(nix::errno::Errno::EBUSY) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn why(error: LabError) -> String {
    match error {
        LabError::Lacking(what) => what,
        error => error.to_string(),
    }
}
