//! Is a page pinned? Asked without any capability, of page tables that treat pinned pages apart.
//!
//! # Soft-dirty
//!
//! Writing 4 to `/proc/PID/clear_refs` clears the soft-dirty bit of every page of the process, but
//! for a pinned page, which cannot be write-protected (`pte_is_pinned` in `fs/proc/task_mmu.c`,
//! since 5.12). What is still marked afterwards was pinned, or was stored to since; asking again
//! tells these apart for pages that are not stored to all the time. [`SoftDirty::ask`]
//!
//! # Fork
//!
//! A child shares the parent's anonymous pages, but for those that may be pinned, which are copied
//! at once (`copy_present_page` in `mm/memory.c`, since 5.9). A shared page is not exclusive (bit 56
//! of pagemap) in either process, a copied one is in both. Forking is the caller's.
//! [`pinned_at_fork`]
//!
//! # What they cannot see
//!
//! Both ask `folio_maybe_dma_pinned`, which 1024 plain references to a small page satisfy as well;
//! both need that the process ever pinned a page by itself (`MMF_HAS_PINNED`). Neither sees pages of
//! shared mappings; soft-dirty sees neither a transparent huge page that is mapped whole nor a pin of a
//! page that the table maps read-only, such as that of a source which was never stored to since the
//! last time.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::need::Needs;
use crate::pagemap::Pagemap;
use crate::{PAGE_SIZE_BYTES, PagemapEntry, PagesError, Result, Roots};

/// How often a page must be seen marked before it counts as pinned.
const ROUNDS: u32 = 3;
/// Between two rounds: who stores to a page now and then is to miss one of them.
const BETWEEN: Duration = Duration::from_millis(5);

/// What an oracle says about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinned {
    /// Pinned, or referred to so often or stored to so often that it looks like it.
    Maybe,
    /// Not pinned, as far as the oracle can see (see the module).
    No,
    /// The oracle cannot tell: no page, or one that is shared.
    Unknown,
}

/// The oracle of soft-dirty bits for one process.
#[derive(Debug)]
pub struct SoftDirty {
    roots: Roots,
    clear: PathBuf,
    pid: u32,
}

impl SoftDirty {
    /// For process `pid`, whose soft-dirty bits are cleared by every question: who else follows its
    /// stores by them (a checkpointer) is disturbed.
    ///
    /// # Errors
    /// [`PagesError::NoSoftDirty`] when this kernel keeps no such bits.
    pub fn of(roots: &Roots, pid: u32) -> Result<Self> {
        require_soft_dirty(roots)?;
        Ok(Self {
            roots: roots.clone(),
            clear: roots.proc.join(pid.to_string()).join("clear_refs"),
            pid,
        })
    }

    /// Asks about `pages` pages from page number `first` on (an address divided by the page size).
    ///
    /// # Errors
    /// [`PagesError::NotAllowed`] when the process is somebody else's, [`PagesError::NoProcess`],
    /// [`PagesError::Io`].
    pub fn ask(&self, first: u64, pages: usize) -> Result<Vec<Pinned>> {
        let pagemap = Pagemap::open(&self.roots, self.pid)?;
        let mut answers = vec![Pinned::Maybe; pages];
        for round in 0..ROUNDS {
            if round > 0 {
                thread::sleep(BETWEEN);
            }
            self.clear()?;
            for (answer, entry) in answers.iter_mut().zip(pagemap.entries(first, pages)?) {
                *answer = match *answer {
                    Pinned::Maybe => by_soft_dirty(entry),
                    answer => answer,
                };
            }
        }
        Ok(answers)
    }

    fn clear(&self) -> Result<()> {
        let needs = Needs::plain(
            "CONFIG_PROC_PAGE_MONITOR",
            "a process of the same user, or CAP_DAC_OVERRIDE",
        );
        fs::write(&self.clear, "4").map_err(|source| {
            const ESRCH: i32 = 3;
            match source.raw_os_error() {
                Some(ESRCH) => PagesError::NoProcess { pid: self.pid },
                _ => needs.error(&self.roots, &self.clear, source),
            }
        })
    }
}

/// Of an entry that was read right after the bits were cleared.
fn by_soft_dirty(entry: PagemapEntry) -> Pinned {
    // `pte_is_pinned` asks only about mappings that are copied on write; `file` is what pagemap
    // tells of a page that is not anonymous.
    if !entry.present || entry.file {
        Pinned::Unknown
    } else if entry.soft_dirty {
        Pinned::Maybe
    } else {
        Pinned::No
    }
}

/// What the entries of one page in a parent and its child, made while it was pinned or not, tell.
///
/// Both must be read before either process stores to the page.
#[must_use]
pub fn pinned_at_fork(parent: PagemapEntry, child: PagemapEntry) -> Pinned {
    if !parent.present || !child.present || parent.file || child.file {
        return Pinned::Unknown;
    }
    if parent.exclusive && child.exclusive {
        Pinned::Maybe
    } else {
        Pinned::No
    }
}

/// Stores to a page of this process, which must then be marked.
fn require_soft_dirty(roots: &Roots) -> Result<()> {
    let mut memory = vec![0_u8; 4096];
    memory[0] = 1;
    let address = black_box(memory.as_mut_slice()).as_ptr().addr() as u64;
    let entry = Pagemap::open(roots, std::process::id())?
        .entry(address / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES)?;
    black_box(&memory);
    if entry.soft_dirty {
        Ok(())
    } else {
        Err(PagesError::NoSoftDirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: u64 = 1 << 63;
    const FILE: u64 = 1 << 61;
    const EXCLUSIVE: u64 = 1 << 56;
    const SOFT_DIRTY: u64 = 1 << 55;

    #[test]
    fn marks_that_survive_are_pins_of_anonymous_pages_only() {
        for (bits, expected) in [
            (PRESENT | SOFT_DIRTY, Pinned::Maybe),
            (PRESENT, Pinned::No),
            (PRESENT | FILE | SOFT_DIRTY, Pinned::Unknown),
            (SOFT_DIRTY, Pinned::Unknown),
        ] {
            assert_eq!(by_soft_dirty(PagemapEntry::from_bits(bits)), expected);
        }
    }

    #[test]
    fn a_page_that_both_have_alone_was_copied() {
        let entry = PagemapEntry::from_bits;
        let alone = entry(PRESENT | EXCLUSIVE);
        let shared = entry(PRESENT);
        assert_eq!(pinned_at_fork(alone, alone), Pinned::Maybe);
        assert_eq!(pinned_at_fork(shared, shared), Pinned::No);
        // A store to the child's alone makes one of the two exclusive.
        assert_eq!(pinned_at_fork(shared, alone), Pinned::No);
        assert_eq!(pinned_at_fork(alone, entry(0)), Pinned::Unknown);
    }
}
