//! Settings of the machine that an experiment needs otherwise for a while.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::bench::command;
use crate::error::io_error;

/// A file of procfs or sysfs that gets its old value back.
#[derive(Debug)]
pub(crate) struct Setting {
    path: PathBuf,
    old: String,
}

impl Setting {
    /// Changes it for as long as the value lives.
    pub(crate) fn to(path: impl AsRef<Path>, value: &str) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let old = fs::read_to_string(&path).map_err(io_error("read a setting"))?;
        fs::write(&path, value).map_err(io_error("change a setting"))?;
        Ok(Self { path, old })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // It could be written before.
        let _ = fs::write(&self.path, self.old.trim());
    }
}

/// A block device that is swapped to, until it is dropped: then everything comes back from it.
#[derive(Debug)]
pub(crate) struct Swap(String);

impl Swap {
    /// Makes the device a swap device, and uses it.
    pub(crate) fn on(device: &str) -> Result<Self> {
        command("mkswap", &[device])?;
        command("swapon", &[device])?;
        Ok(Self(device.to_owned()))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // One that stays keeps its device, which is found by the check for what is left behind.
        let _ = command("swapoff", &[&self.0]);
    }
}
