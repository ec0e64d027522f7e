//! The pin counters of `/proc/vmstat`.
//!
//! `nr_foll_pin_acquired` and `nr_foll_pin_released` count pages, not calls, and only ever grow
//! (`mm/gup.c`: `try_grab_folio`, `gup_put_folio`; kernel 5.7). They are kept per CPU and folded in
//! batches, so that a plain read lags. Writing to `/proc/sys/vm/stat_refresh` folds them at once
//! (`vmstat_refresh` in `mm/vmstat.c`), after which a difference of one is exact.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::need::Needs;
use crate::{PagesError, Result, Roots};

const ACQUIRED: &str = "nr_foll_pin_acquired";
const RELEASED: &str = "nr_foll_pin_released";

/// Pages pinned and unpinned since boot, by everybody on the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinCounters {
    /// Pins taken.
    pub acquired: u64,
    /// Pins given back.
    pub released: u64,
}

impl PinCounters {
    /// Pins taken and not given back.
    ///
    /// Signed, because an unbalanced kernel can give back more than it took.
    #[must_use]
    pub fn outstanding(self) -> i64 {
        self.acquired.wrapping_sub(self.released).cast_signed()
    }

    /// What happened between `earlier` and `self`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            acquired: self.acquired.wrapping_sub(earlier.acquired),
            released: self.released.wrapping_sub(earlier.released),
        }
    }
}

/// A reader of the counters.
#[derive(Debug)]
pub struct VmStat {
    roots: Roots,
    vmstat: PathBuf,
    refresh: PathBuf,
}

impl VmStat {
    /// A reader under `roots`. Opens nothing yet.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            vmstat: roots.proc.join("vmstat"),
            refresh: roots.proc.join("sys/vm/stat_refresh"),
        }
    }

    /// Folds the per-CPU counters and reads them.
    ///
    /// # Errors
    /// [`PagesError::NotAllowed`] when the process is not root, [`PagesError::Absent`] without
    /// `CONFIG_PROC_SYSCTL`, [`PagesError::NoCounter`] before kernel 5.7.
    pub fn pins(&self) -> Result<PinCounters> {
        self.refresh()?;
        let needs = Needs::plain(
            "CONFIG_PROC_FS and CONFIG_VM_EVENT_COUNTERS",
            "read access to procfs",
        );
        let error = |source| needs.error(&self.roots, &self.vmstat, source);
        let mut text = String::new();
        File::open(&self.vmstat)
            .and_then(|mut file| file.read_to_string(&mut text))
            .map_err(error)?;
        Ok(PinCounters {
            acquired: self.counter(&text, ACQUIRED)?,
            released: self.counter(&text, RELEASED)?,
        })
    }

    fn refresh(&self) -> Result<()> {
        File::options()
            .write(true)
            .open(&self.refresh)
            .and_then(|mut file| file.write_all(b"1"))
            .map_err(|source| {
                let needs = Needs::plain(
                    "CONFIG_PROC_SYSCTL and CONFIG_SMP",
                    "root (without it the pin counters lag behind)",
                );
                needs.error(&self.roots, &self.refresh, source)
            })
    }

    fn counter(&self, text: &str, name: &'static str) -> Result<u64> {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .ok_or_else(|| PagesError::NoCounter {
                name,
                path: self.vmstat.clone(),
            })?;
        value.trim().parse().map_err(|_| PagesError::Malformed {
            path: self.vmstat.clone(),
            detail: format!("{name} is \"{value}\", should be a number"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn machine(vmstat: &str) -> (tempfile::TempDir, VmStat) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots {
            proc: dir.path().to_owned(),
            sys: dir.path().to_owned(),
        };
        fs::create_dir_all(dir.path().join("sys/vm")).unwrap();
        fs::write(dir.path().join("sys/vm/stat_refresh"), "").unwrap();
        fs::write(dir.path().join("vmstat"), vmstat).unwrap();
        let reader = VmStat::new(&roots);
        (dir, reader)
    }

    #[test]
    fn reads_both_and_refreshes_before() {
        let (dir, reader) = machine(
            "nr_free 7\nnr_foll_pin_acquired 1030\nnr_foll_pin_released 1029\nnr_foll_pin_acquired_x 5\n",
        );
        let pins = reader.pins().unwrap();
        assert_eq!(
            pins,
            PinCounters {
                acquired: 1030,
                released: 1029
            }
        );
        assert_eq!(pins.outstanding(), 1);
        let refreshed = fs::read(dir.path().join("sys/vm/stat_refresh")).unwrap();
        assert_eq!(refreshed, b"1");
    }

    #[test]
    fn differences_are_signed_where_they_may_be() {
        let earlier = PinCounters {
            acquired: 10,
            released: 10,
        };
        let later = PinCounters {
            acquired: 12,
            released: 13,
        };
        assert_eq!(later.since(earlier).acquired, 2);
        assert_eq!(later.since(earlier).outstanding(), -1);
    }

    #[test]
    fn a_missing_counter_and_a_missing_file_are_told_apart() {
        let (_dir, reader) = machine("nr_free 7\nnr_foll_pin_acquired_x 5\n");
        assert!(matches!(
            reader.pins(),
            Err(PagesError::NoCounter { name: ACQUIRED, .. })
        ));
        let (dir, reader) = machine("");
        fs::remove_file(dir.path().join("sys/vm/stat_refresh")).unwrap();
        assert!(
            matches!(reader.pins(), Err(PagesError::Absent { path, .. }) if path.ends_with("stat_refresh"))
        );
    }

    #[test]
    fn a_counter_that_is_no_number_is_shown() {
        let (_dir, reader) = machine("nr_foll_pin_acquired many\nnr_foll_pin_released 0\n");
        assert!(reader.pins().unwrap_err().to_string().contains("\"many\""));
    }
}
