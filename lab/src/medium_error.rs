//! Does an injected medium error arrive once, exactly where it was asked, and nowhere else?
//!
//! **Method.** A rule fails one read of one block. Direct reads go to the block before, the block
//! itself, the block after, and the block itself again.
//!
//! **Prediction.** The second read fails with `ENODATA`, which is what a direct reader sees of
//! `BLK_STS_MEDIUM` (`blk_errors` in `block/blk-core.c`); the three others succeed.

use std::fs::File;
use std::io;
use std::time::Duration;

use api::fault::SECTOR_BYTES;
use serde::{Deserialize, Serialize};

use crate::error::io_error;
use crate::held_read::{SECTORS, offset_bytes};
use crate::sys::{InFlight, PAGE_BYTES, Page};
use crate::{LabError, Result, Subject, direct};

/// The sector that the demo uses: 3 MiB into the device, away from the other experiments.
pub const DEFAULT_SECTOR: u64 = 3 * (1 << 20) / SECTOR_BYTES;
/// How long a read may take that nothing holds.
const LIMIT: Duration = Duration::from_secs(30);

/// What a direct reader saw: `fault` of `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The rule, in words.
    pub rule: String,
    /// The sector that was to fail.
    pub sector: u64,
    /// The errno of the read of that sector; 0 when it did not fail.
    pub errno: i32,
    /// How many of the four reads failed.
    pub seen: u32,
    /// Whether the blocks before and after could be read.
    pub neighbours_ok: bool,
    /// Whether the sector could be read when it was read again.
    pub again_ok: bool,
}

impl Fault {
    /// Whether the error was the documented one, seen once, and nowhere else.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.errno == libc::ENODATA && self.seen == 1 && self.neighbours_ok && self.again_ok
    }
}

/// Does the experiment on `sector`, which must begin a block of 4 KiB and have one on either side;
/// the rule is gone when it returns.
///
/// # Errors
/// The daemon or the device cannot be used, as [`LabError`] says. A read that fails is an
/// observation.
pub fn run(subject: &Subject<'_>, sector: u64) -> Result<Fault> {
    if sector < SECTORS || !sector.is_multiple_of(SECTORS) {
        return Err(LabError::Sector { sector });
    }
    subject.require_sectors(sector.saturating_add(2 * SECTORS))?;
    let device = direct::open(subject.device)?;
    let words = format!("fail:MEDIUM where op=read,lba={sector}+{SECTORS} when count=1");
    let rule = subject.add_rule("medium-error", &words)?;
    let read = |sector| errno_of(read(&device, sector)?);
    let before = read(sector - SECTORS)?;
    let errno = read(sector)?;
    let after = read(sector + SECTORS)?;
    let again = read(sector)?;
    let failed = [before, errno, after, again].map(|errno| u32::from(errno != 0));
    Ok(Fault {
        rule: rule.words(),
        sector,
        errno,
        seen: failed.iter().sum(),
        neighbours_ok: before == 0 && after == 0,
        again_ok: again == 0,
    })
}

/// Reads one page's length from `sector`.
fn read(device: &File, sector: u64) -> Result<io::Result<usize>> {
    let page = Page::filled_with(0).map_err(io_error("map a page"))?;
    let file = device.try_clone().map_err(io_error("duplicate a file"))?;
    let read =
        InFlight::begin(file, offset_bytes(sector)?, page).map_err(io_error("start a thread"))?;
    read.finish(LIMIT).ok_or(LabError::NotReturned {
        sector,
        limit: LIMIT,
    })
}

/// The errno of a failed read, 0 of a whole one. A short read is neither.
fn errno_of(outcome: io::Result<usize>) -> Result<i32> {
    let unexpected = |source| LabError::Io {
        action: "read from the device",
        source,
    };
    match outcome {
        Ok(PAGE_BYTES) => Ok(0),
        Ok(count) => Err(unexpected(io::Error::other(format!(
            "{count} of {PAGE_BYTES} bytes"
        )))),
        Err(error) => error.raw_os_error().ok_or_else(|| unexpected(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        Fault {
            rule: "fail(status=MEDIUM) where op=read,lba=6144+8 when count=1".to_owned(),
            sector: 6144,
            errno: libc::ENODATA,
            seen: 1,
            neighbours_ok: true,
            again_ok: true,
        }
    }

    #[test]
    fn only_the_predicted_observation_is_exact() {
        assert!(fault().is_exact());
        for wrong in [
            Fault {
                errno: libc::EIO,
                ..fault()
            },
            Fault {
                errno: 0,
                seen: 0,
                ..fault()
            },
            Fault {
                seen: 2,
                again_ok: false,
                ..fault()
            },
            Fault {
                seen: 2,
                neighbours_ok: false,
                ..fault()
            },
        ] {
            assert!(!wrong.is_exact(), "{wrong:?}");
        }
    }

    #[test]
    fn keys_are_those_of_the_report() {
        let value = serde_json::to_value(fault()).unwrap();
        for key in ["rule", "sector", "errno", "seen"] {
            assert!(value.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn outcomes_become_errnos_and_a_short_read_is_an_error() {
        assert_eq!(errno_of(Ok(PAGE_BYTES)).unwrap(), 0);
        let medium = io::Error::from_raw_os_error(libc::ENODATA);
        assert_eq!(errno_of(Err(medium)).unwrap(), libc::ENODATA);
        let short = errno_of(Ok(512)).unwrap_err();
        assert!(short.to_string().contains("512 of 4096 bytes"), "{short}");
    }
}
