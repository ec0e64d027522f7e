//! Where the data of a file lies on a device: from a path to ranges of sectors.

mod place;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use api::fault::{Ranges, SECTOR_BYTES, Sector, SectorRange};

use crate::exit::Failure;
use crate::sys::{self, FileExtent};
use crate::units::Size;
use place::Place;

/// What FIEMAP says of an extent (include/uapi/linux/fiemap.h), as far as it matters here.
const FLAGS: [(u32, &str); 8] = [
    (0x2, "unknown"),
    (0x4, "delayed"),
    (0x8, "encoded"),
    (0x100, "unaligned"),
    (0x200, "inline"),
    (0x400, "tail"),
    (0x800, "unwritten"),
    (0x2000, "shared"),
];

const UNKNOWN: u32 = 0x2 | 0x4;
const ENCODED: u32 = 0x8 | 0x80;
const UNALIGNED: u32 = 0x100 | 0x200 | 0x400;
const UNWRITTEN: u32 = 0x800;
const SHARED: u32 = 0x2000;

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    start: u64,
    length: u64,
}

impl Default for Part {
    /// All of it.
    fn default() -> Self {
        Self {
            start: 0,
            length: u64::MAX,
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (start, length) = text.split_once('+').ok_or_else(|| {
            format!("found `{text}`, expected START+LENGTH in bytes, as in 1M+4K")
        })?;
        let size = |text: &str, at: usize| {
            let size: Result<Size, _> = text.parse();
            size.map(|Size(bytes)| bytes).map_err(|error| match at {
                0 => error.to_string(),
                _ => format!("after `+`: {error}"),
            })
        };
        let (start, length) = (size(start, 0)?, size(length, 1)?);
        if length == 0 {
            return Err("after `+`: found `0`, expected at least one byte".to_owned());
        }
        Ok(Self { start, length })
    }
}

/// Where a file's data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The file.
    pub(crate) path: PathBuf,
    /// The device's number.
    pub(crate) device: u32,
    /// The partition that the file system is on, if it is on one.
    pub(crate) partition: Option<u32>,
    /// The extents, in the order of the file.
    pub(crate) extents: Vec<Extent>,
}

/// A piece of a file that lies in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where it is in the file, in bytes.
    pub(crate) offset_bytes: u64,
    /// Its length in bytes.
    pub(crate) length_bytes: u64,
    /// Where it is on the device; none while it has no place of whole sectors.
    pub(crate) sectors: Option<SectorRange>,
    flags: u32,
}

impl Layout {
    /// Finds out. With `sync`, what is not written yet is written first, so that it has a place.
    ///
    /// # Errors
    /// [`Failure::Input`]: the file is not there, is not on a ublk device, or its file system cannot tell.
    pub(crate) fn of(path: &Path, part: Part, sync: bool) -> Result<Self> {
        let what = || format!("find the sectors of {}", path.display());
        let open = || -> io::Result<(File, Metadata)> {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = open().map_err(|error| input(format!("{}: {error}", what())))?;
        if !metadata.is_file() && !metadata.is_dir() {
            let message = format!("{}: it is no file, expected a file or a directory", what());
            return Err(input(message).into());
        }
        let place = Place::of(Path::new("/sys"), metadata.dev())
            .map_err(|why| input(format!("{}: {why}", what())))?;
        if sys::is_realtime(&file) {
            let message = format!("{}: its data is on the realtime device of its XFS", what());
            return Err(input(message).into());
        }
        let raw = sys::extents(&file, part.start, part.length, sync).map_err(|error| {
            let why = match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::ENOTTY) => {
                    "its file system does not tell (no FIEMAP); use lba= instead".to_owned()
                }
                _ => error.to_string(),
            };
            input(format!("{}: {why}", what()))
        })?;
        let extents = raw
            .iter()
            .filter_map(|raw| Extent::of(raw, part, place.start))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            device: place.device,
            partition: place.partition,
            extents,
        })
    }

    /// The sectors, in the order of the device, for a rule.
    ///
    /// # Errors
    /// [`Failure::Input`]: there are none, or the data cannot be named by sectors.
    pub(crate) fn ranges(&self) -> Result<Ranges> {
        let refuse = |why: &str| {
            let path = self.path.display();
            input(format!("find the sectors of {path}: {why}"))
        };
        if self
            .extents
            .iter()
            .any(|extent| extent.flags & ENCODED != 0)
        {
            return Err(refuse("its data is compressed or encrypted by the file system").into());
        }
        let known = self.extents.iter().filter_map(|extent| extent.sectors);
        Ranges::new(merged(known.collect())).ok_or_else(|| {
            let is = |flags| self.extents.iter().any(|extent| extent.flags & flags != 0);
            let why = if is(UNALIGNED) {
                "its data lies inside the inode, in no sectors of its own"
            } else if is(UNKNOWN) {
                "its data has no place yet; sync it first"
            } else {
                "there is no data, only a hole; write it first"
            };
            refuse(why).into()
        })
    }

    /// What else there is to know before a rule is made of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let count = |flags| self.extents.iter().filter(|e| e.flags & flags != 0).count();
        let of = |flags, what: &str| match count(flags) {
            0 => None,
            1 => Some(format!("1 extent {}", what.replacen("are", "is", 1))),
            n => Some(format!("{n} extents {what}")),
        };
        [
            of(
                UNWRITTEN,
                "are allocated but not written: writes reach the sectors, reads do not",
            ),
            of(
                SHARED,
                "are shared with another file: a write goes elsewhere",
            ),
            of(UNKNOWN, "are not included: no place yet"),
            of(
                UNALIGNED,
                "are not included: inside the inode, not in sectors of its own",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Extent {
    /// An extent of the kernel's, as far as it is in the part that was asked about.
    fn of(raw: &FileExtent, part: Part, partition_start: u64) -> Option<Self> {
        // Whole sectors, so that the part is covered.
        let from = raw.logical.max(part.start) / SECTOR_BYTES * SECTOR_BYTES;
        let from = from.max(raw.logical);
        let end = part.start.saturating_add(part.length);
        let end = end.checked_next_multiple_of(SECTOR_BYTES).unwrap_or(end);
        let end = end.min(raw.logical.saturating_add(raw.length));
        let length_bytes = end.checked_sub(from).filter(|length| *length > 0)?;
        let first = raw.physical.checked_add(from - raw.logical)?;
        let is_placed = raw.flags & (UNKNOWN | UNALIGNED) == 0
            && first.is_multiple_of(SECTOR_BYTES)
            && length_bytes.is_multiple_of(SECTOR_BYTES);
        let sectors = is_placed.then(|| {
            let start = partition_start.checked_add(first / SECTOR_BYTES)?;
            let end = start.checked_add(length_bytes / SECTOR_BYTES)?;
            SectorRange::new(Sector(start), Sector(end))
        });
        Some(Self {
            offset_bytes: from,
            length_bytes,
            sectors: sectors.flatten(),
            flags: raw.flags,
        })
    }

    /// What the file system says of it, in words.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let said = FLAGS.iter().filter(|(flag, _)| self.flags & flag != 0);
        said.map(|(_, word)| *word).collect()
    }
}

/// The same sectors in as few ranges as possible.
fn merged(mut ranges: Vec<SectorRange>) -> Vec<SectorRange> {
    ranges.sort_unstable();
    let mut merged: Vec<SectorRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let joined = merged
            .last()
            .filter(|last| range.start() <= last.end())
            .and_then(|last| SectorRange::new(last.start(), last.end().max(range.end())));
        match joined {
            Some(joined) => {
                merged.pop();
                merged.push(joined);
            }
            None => merged.push(range),
        }
    }
    merged
}

fn input(message: String) -> Failure {
    Failure::Input(message)
}

#[cfg(test)]
mod tests;
