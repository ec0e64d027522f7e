//! Block devices of the kernel that are stacked on one of ours, so that a bvec is handed down: loop, dm-crypt, dm-integrity,
//! a mirror of md, a LIO target, a NVMe target.
//!
//! Each is made step by step, and each step leaves behind how it is undone; whatever was done is undone in reverse when the
//! value is dropped, also when a later step fails.

mod device_mapper;
mod lio;
mod nvmet;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount, umount};

use crate::error::io_error;
use crate::{LabError, Result};

/// How long a device may take to appear that the kernel looks for in the background.
const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A device on top of another, taken down when dropped.
#[derive(Debug, Default)]
pub(crate) struct Stacked {
    path: PathBuf,
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Run(Vec<String>),
    Set(PathBuf, &'static str),
    RemoveDirectory(PathBuf),
    RemoveLink(PathBuf),
    Unmount(&'static str),
}

impl Stacked {
    /// The device.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A loop device, with direct I/O or through the page cache.
    pub(crate) fn on_loop(device: &str, direct: bool) -> Result<Self> {
        let how = if direct {
            "--direct-io=on"
        } else {
            "--direct-io=off"
        };
        let mut stacked = Self::default();
        // busybox has another losetup, which knows nothing of direct I/O.
        let path = run(&["losetup", how, "--find", "--show", device])
            .map_err(|error| LabError::Lacking(format!("losetup of util-linux: {error}")))?;
        let path = path.trim();
        stacked.undo_by(&["losetup", "--detach", path]);
        stacked.path = path.into();
        Ok(stacked)
    }

    /// A RAID1 of md without metadata; a leg may be `missing`.
    pub(crate) fn mirror(legs: [&str; 2]) -> Result<Self> {
        const NODE: &str = "/dev/md120";
        let mut stacked = Self::default();
        let build = ["mdadm", "--build", NODE, "--level=1", "--raid-devices=2"];
        let how = ["--force", "--assume-clean"];
        run(&[&build[..], &how, &legs].concat())?;
        stacked.undo_by(&["mdadm", "--stop", NODE]);
        stacked.path = NODE.into();
        Ok(stacked)
    }

    /// Its name below `/sys/block`.
    pub(crate) fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

    fn undo_by(&mut self, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned());
        self.undo.push(Undo::Run(words.collect()));
    }

    /// Makes an object of configfs.
    fn object(&mut self, path: impl Into<PathBuf>) -> Result<PathBuf> {
        let path = path.into();
        fs::create_dir(&path).map_err(io_error("make an object of configfs"))?;
        self.undo.push(Undo::RemoveDirectory(path.clone()));
        Ok(path)
    }

    /// Links an object of configfs to another.
    fn link(&mut self, to: &Path, at: PathBuf) -> Result<()> {
        symlink(to, &at).map_err(io_error("link an object of configfs"))?;
        self.undo.push(Undo::RemoveLink(at));
        Ok(())
    }

    /// Sees to it that configfs is where it belongs.
    fn configfs(&mut self) -> Result<()> {
        const PLACE: &str = "/sys/kernel/config";
        let mounts =
            fs::read_to_string("/proc/self/mounts").map_err(io_error("list the mounts"))?;
        let is_there = |line: &str| line.split(' ').nth(1) == Some(PLACE);
        if mounts.lines().any(is_there) {
            return Ok(());
        }
        let none: Option<&str> = None;
        mount(
            Some("config"),
            PLACE,
            Some("configfs"),
            MsFlags::empty(),
            none,
        )
        .map_err(|errno| io_error("mount configfs")(errno.into()))?;
        self.undo.push(Undo::Unmount(PLACE));
        Ok(())
    }

    /// Waits for a block device of this kind that was not there before and is of some size.
    fn appears(&mut self, before: &BTreeSet<String>, prefix: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = block_devices()?;
            let new = now.difference(before).find(|name| {
                let size = fs::read_to_string(format!("/sys/block/{name}/size"));
                let has_size = size.is_ok_and(|size| size.trim() != "0");
                // A path of a multipath device has no node of its own.
                name.starts_with(prefix) && has_size && Path::new("/dev").join(name).exists()
            });
            if let Some(name) = new {
                self.path = Path::new("/dev").join(name);
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                return Err(LabError::Stuck {
                    what: format!("a block device {prefix}* of the target"),
                    limit: LIMIT,
                });
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Stacked {
    fn drop(&mut self) {
        // What cannot be undone keeps the device below, whose removal says so.
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Run(words) => {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    let _ = run(&words);
                }
                Undo::Set(path, value) => {
                    let _ = fs::write(path, value);
                }
                Undo::RemoveDirectory(path) => {
                    let _ = fs::remove_dir(path);
                }
                Undo::RemoveLink(path) => {
                    let _ = fs::remove_file(path);
                }
                Undo::Unmount(place) => {
                    let _ = umount(place);
                }
            }
        }
    }
}

/// The block devices that there are.
fn block_devices() -> Result<BTreeSet<String>> {
    let entries = fs::read_dir("/sys/block").map_err(io_error("list the block devices"))?;
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.collect())
}

/// Refuses what the kernel lacks, by the name of the module that has it.
fn needs_module(name: &str, config: &str) -> Result<()> {
    if Path::new("/sys/module").join(name).exists() {
        return Ok(());
    }
    Err(LabError::Lacking(format!(
        "the module {name} ({config}) is not loaded"
    )))
}

/// Stores a value in a file of configfs or sysfs.
fn set(path: impl AsRef<Path>, value: &str) -> Result<()> {
    fs::write(path, value).map_err(io_error("set an attribute of a target"))
}

/// Runs a program that must succeed: what it printed.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let [program, arguments @ ..] = words else {
        return Err(io_error("start a program")(
            std::io::ErrorKind::InvalidInput.into(),
        ));
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                LabError::Lacking(format!("the program {program} is missing"))
            }
            _ => io_error("start a program")(error),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(LabError::Program {
        program: (*program).to_owned(),
        status: output.status,
        said: line.unwrap_or("it says nothing").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_undone_in_reverse() {
        let place = tempfile::tempdir().unwrap();
        let (outer, log) = (place.path().join("outer"), place.path().join("log"));
        let mut stacked = Stacked::default();
        let outer = stacked.object(outer).unwrap();
        let inner = stacked.object(outer.join("inner")).unwrap();
        stacked.link(&inner, outer.join("link")).unwrap();
        stacked.undo.push(Undo::Set(log.clone(), "undone"));
        // A step that fails leaves nothing of its own.
        assert!(stacked.object(outer.join("no/such")).is_err());
        drop(stacked);
        assert!(!outer.exists(), "an inner directory would have kept it");
        assert_eq!(fs::read_to_string(log).unwrap(), "undone");
    }

    #[test]
    fn programs_tell_what_they_say() {
        assert_eq!(run(&["echo", "a"]).unwrap(), "a\n");
        let missing = run(&["no-such-program-anywhere"]).unwrap_err();
        assert!(matches!(missing, LabError::Lacking(_)), "{missing}");
        let failed = run(&["sh", "-c", "echo why >&2; exit 3"]).unwrap_err();
        assert!(failed.to_string().contains("run sh: why"), "{failed}");
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = needs_module("no_such_module", "CONFIG_X").unwrap_err();
        let said = "have what it needs: the module no_such_module (CONFIG_X) is not loaded";
        assert_eq!(error.to_string(), said);
    }
}
