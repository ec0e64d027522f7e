//! Targets of the device mapper.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Stacked, needs_module, run};
use crate::Result;
use crate::error::io_error;

/// There is no udev to wait for, nor one that should act.
const NO_UDEV: [&str; 2] = ["--noudevsync", "--noudevrules"];

impl Stacked {
    /// dm-crypt with AES-CBC, which more kernels have built in than XTS.
    pub(crate) fn crypt(device: &str) -> Result<Self> {
        needs_module("dm_crypt", "CONFIG_DM_CRYPT")?;
        let (sectors, key) = (sectors_of(device)?, "0".repeat(64));
        Self::mapped(&format!(
            "0 {sectors} crypt aes-cbc-plain64 {key} 0 {device} 0"
        ))
    }

    /// dm-integrity without a journal: it formats a device of zeroes, and says then how much of it is left for data
    /// (Documentation/admin-guide/device-mapper/dm-integrity.rst).
    pub(crate) fn integrity(device: &str) -> Result<Self> {
        needs_module("dm_integrity", "CONFIG_DM_INTEGRITY")?;
        let table =
            |sectors: u64| format!("0 {sectors} integrity {device} 0 - D 1 internal_hash:sha256");
        drop(Self::mapped(&table(8))?);
        // provided_data_sectors of struct superblock (drivers/md/dm-integrity.c).
        let mut sectors = [0; 8];
        let mut read = || File::open(device)?.read_exact_at(&mut sectors, 16);
        read().map_err(io_error("read what dm-integrity wrote"))?;
        Self::mapped(&table(u64::from_le_bytes(sectors)))
    }

    fn mapped(table: &str) -> Result<Self> {
        let mut stacked = Self::default();
        let name = format!("bvec-lab-{}", std::process::id());
        let create = ["dmsetup", "create", &name];
        run(&[&create[..], &NO_UDEV, &["--table", table]].concat())?;
        stacked.undo_by(&[&["dmsetup", "remove"], &NO_UDEV[..], &[&name]].concat());
        // The node of the name is udev's to make, the kernel's own is always there.
        let columns = ["-c", "--noheadings", "-o", "minor"];
        let minor = run(&[&["dmsetup", "info"], &columns[..], &[&name]].concat())?;
        stacked.path = format!("/dev/dm-{}", minor.trim()).into();
        Ok(stacked)
    }
}

fn sectors_of(device: &str) -> Result<u64> {
    let name = device.trim_start_matches("/dev/");
    let path = format!("/sys/class/block/{name}/size");
    let size = std::fs::read_to_string(path).map_err(io_error("ask for the size of a device"))?;
    size.trim()
        .parse()
        .map_err(|error| io_error("ask for the size of a device")(std::io::Error::other(error)))
}
