//! Where tuples are kept: in a file of their own, in memory or beside the backing, eight bytes a block in the
//! order of the blocks.
//!
//! Each bit is kept inverted. So a hole, and a file that is new, hold all ones, which is what a block that
//! was never written has: its application tag says that it is not checked.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::tuple::TUPLE_BYTES;

/// Where a device's tuples are kept.
#[derive(Debug)]
pub enum TagStore {
    /// Nowhere: they are made anew from what is read.
    Nowhere,
    /// In a file.
    File(File),
}

impl TagStore {
    /// Room for the tuples of `blocks` blocks in memory.
    ///
    /// # Errors
    /// The system's.
    pub fn in_memory(blocks: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("bvecd-tags", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(blocks * TUPLE_BYTES as u64)?;
        Ok(Self::File(file))
    }

    /// The file beside a backing: its name with `.pi` at the end.
    #[must_use]
    pub fn beside(backing: &Path) -> PathBuf {
        let mut name = backing.as_os_str().to_owned();
        name.push(".pi");
        name.into()
    }

    /// Opens the file of tuples at `path`; makes it, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, blocks: u64, read_only: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .create(!read_only)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let len = blocks * TUPLE_BYTES as u64;
        if !read_only && file.metadata()?.len() < len {
            file.set_len(len)?;
        }
        Ok(Self::File(file))
    }

    /// Reads tuples from block number `block` on. Returns false if they are kept nowhere.
    pub(super) fn load(&self, block: u64, tuples: &mut [u8]) -> io::Result<bool> {
        let Self::File(file) = self else {
            return Ok(false);
        };
        // The file may be shorter than the device, which can have grown since: what is not there was
        // never written.
        let mut done = 0;
        while done < tuples.len() {
            let at = block * TUPLE_BYTES as u64 + done as u64;
            match file.read_at(&mut tuples[done..], at)? {
                0 => break,
                bytes => done += bytes,
            }
        }
        tuples[done..].fill(0);
        invert(tuples);
        Ok(true)
    }

    /// Writes tuples, and spoils `tuples`.
    pub(super) fn keep(&self, block: u64, tuples: &mut [u8]) -> io::Result<()> {
        let Self::File(file) = self else {
            return Ok(());
        };
        invert(tuples);
        file.write_all_at(tuples, block * TUPLE_BYTES as u64)
    }

    pub(super) fn forget(&self, block: u64, blocks: u64) -> io::Result<()> {
        let Self::File(file) = self else {
            return Ok(());
        };
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let bytes = |blocks: u64| i64::try_from(blocks * TUPLE_BYTES as u64).unwrap_or(i64::MAX);
        Ok(fallocate(file, mode, bytes(block), bytes(blocks))?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(file) => file.sync_data(),
        }
    }
}

fn invert(tuples: &mut [u8]) {
    tuples.iter_mut().for_each(|byte| *byte = !*byte);
}
