//! What a transfer is done on: the device, or what is stacked on it for as long as the value lives.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount, umount};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

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
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::Ext4,
        Self::Xfs,
        Self::Btrfs,
        Self::Loop,
        Self::DmCrypt,
        Self::Md,
    ];
}

/// One of them, taken down when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    // Taken down in this order.
    undo: Option<Undo>,
    _directory: Option<TempDir>,
}

#[derive(Debug)]
enum Undo {
    Unmount(PathBuf),
    Run(Vec<String>),
}

/// As many bytes as a census or a fuzzer uses of a file.
pub(crate) const FILE_BYTES: usize = 4 << 20;

impl Place {
    /// Makes it, or says why it cannot be had here.
    pub(crate) fn make(kind: Kind, device: &str) -> Result<Self, String> {
        match kind {
            Kind::Raw => Ok(Self::plain(device.into(), None)),
            Kind::Ext4 => Self::file_on(device, "ext4", &["mkfs.ext4", "-q", "-F"]),
            Kind::Xfs => Self::file_on(device, "xfs", &["mkfs.xfs", "-q", "-f"]),
            Kind::Btrfs => Self::file_on(device, "btrfs", &["mkfs.btrfs", "-q", "-f"]),
            Kind::Loop => {
                let node = run(&["losetup", "--direct-io=on", "--show", "-f", device])?;
                let node = node.trim().to_owned();
                let undo = ["losetup", "-d", &node].map(str::to_owned).to_vec();
                Ok(Self::plain(node.into(), Some(Undo::Run(undo))))
            }
            Kind::DmCrypt => Self::dm_crypt(device),
            Kind::Md => Self::md(device),
        }
    }

    /// What to open.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn plain(path: PathBuf, undo: Option<Undo>) -> Self {
        Self {
            path,
            undo,
            _directory: None,
        }
    }

    fn file_on(device: &str, name: &str, make: &[&str]) -> Result<Self, String> {
        run(&[make, &[device]].concat())?;
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
        let path = directory.path().join("file");
        let place = Self {
            undo: Some(Undo::Unmount(directory.path().to_owned())),
            _directory: Some(directory),
            path,
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

    fn dm_crypt(device: &str) -> Result<Self, String> {
        let sectors = sectors_of(device)?;
        let name = format!("bvec-lab-{}", std::process::id());
        // CBC is built into more kernels than XTS is.
        let key = "0".repeat(64);
        let table = format!("0 {sectors} crypt aes-cbc-plain64 {key} 0 {device} 0");
        let flags = ["--noudevsync", "--noudevrules"];
        let create = [
            "dmsetup", "create", &name, flags[0], flags[1], "--table", &table,
        ];
        run(&create)?;
        let undo = ["dmsetup", "remove", flags[0], flags[1], &name].map(str::to_owned);
        let undo = Undo::Run(undo.to_vec());
        // The node of the name is udev's to make, the kernel's own is always there.
        let columns = ["-c", "--noheadings", "-o", "minor"];
        let minor = run(&[&["dmsetup", "info"], &columns[..], &[&name]].concat());
        let path = minor
            .as_deref()
            .map(|minor| format!("/dev/dm-{}", minor.trim()));
        let place = Self::plain(path.unwrap_or_default().into(), Some(undo));
        minor.map(|_| place)
    }

    fn md(device: &str) -> Result<Self, String> {
        let node = "/dev/md120";
        let build = [
            "mdadm",
            "--build",
            node,
            "--level=1",
            "--raid-devices=2",
            "--force",
            device,
            "missing",
        ];
        run(&build)?;
        let undo = ["mdadm", "--stop", node].map(str::to_owned).to_vec();
        Ok(Self::plain(node.into(), Some(Undo::Run(undo))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.undo {
            Some(Undo::Unmount(directory)) => {
                // A child that is killed just now may still have a file open, but not for long.
                for _ in 0..50 {
                    if umount(directory) != Err(nix::errno::Errno::EBUSY) {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            }
            Some(Undo::Run(words)) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                // The device that it is on cannot be removed then, and says so.
                let _ = run(&words);
            }
            None => {}
        }
    }
}

fn sectors_of(device: &str) -> Result<u64, String> {
    let name = device.trim_start_matches("/dev/");
    let path = format!("/sys/class/block/{name}/size");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    text.trim().parse().map_err(|_| format!("{path}: {text}"))
}

/// Runs a program to its end: what it printed, or why it failed.
fn run(words: &[&str]) -> Result<String, String> {
    let [program, arguments @ ..] = words else {
        return Err("no program".to_owned());
    };
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("the program {program} is missing"),
        _ => format!("start {program}: {error}"),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(format!("{program}: {}", line.unwrap_or("it failed")))
}
