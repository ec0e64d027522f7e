//! Huge pages for whoever needs some for a while.

use std::fs;
use std::path::{Path, PathBuf};

/// How many are added to what the machine has.
const HUGE_PAGES: u64 = 4;
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The machine's pool of huge pages, as it was before when this is dropped.
#[derive(Debug)]
pub(crate) struct HugePages {
    before: Option<u64>,
}

impl HugePages {
    pub(crate) fn fill() -> Self {
        let pool = Self {
            before: Self::number("nr_hugepages"),
        };
        if let Some(before) = pool.before {
            // The kernel may have no room; vectors then do without.
            let _ = fs::write(
                Self::path("nr_hugepages"),
                (before + HUGE_PAGES).to_string(),
            );
        }
        pool
    }

    fn path(file: &str) -> PathBuf {
        Path::new(POOL).join(file)
    }

    fn number(file: &str) -> Option<u64> {
        fs::read_to_string(Self::path(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    pub(crate) fn free(&self) -> u64 {
        self.before
            .and_then(|_| Self::number("free_hugepages"))
            .unwrap_or(0)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = fs::write(Self::path("nr_hugepages"), before.to_string());
        }
    }
}
