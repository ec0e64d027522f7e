//! `/proc/kpageflags` and `/proc/kpagecount`: flags and map count of a frame.
//!
//! One u64 a frame, in pfn order (`fs/proc/page.c`). The bits are stable user ABI
//! (`include/uapi/linux/kernel-page-flags.h`), unlike the kernel's own `enum pageflags`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bitflags::bitflags;

use crate::need::{self, Needs};
use crate::{PagesError, Result, Roots};

bitflags! {
    /// Flags of a frame as kpageflags reports them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct KpageFlags: u64 {
        /// Locked, as a page-cache page under I/O is.
        const LOCKED = 1 << 0;
        /// An I/O error happened (not reported since 6.10).
        const ERROR = 1 << 1;
        /// Referenced since the last scan.
        const REFERENCED = 1 << 2;
        /// The contents are valid.
        const UPTODATE = 1 << 3;
        /// Written and not yet written back.
        const DIRTY = 1 << 4;
        /// On a list of reclaimable pages.
        const LRU = 1 << 5;
        /// On the active list.
        const ACTIVE = 1 << 6;
        /// Memory of a slab allocator.
        const SLAB = 1 << 7;
        /// Being written back.
        const WRITEBACK = 1 << 8;
        /// To be reclaimed once written back.
        const RECLAIM = 1 << 9;
        /// Free, in the buddy allocator.
        const BUDDY = 1 << 10;
        /// Mapped by somebody.
        const MMAP = 1 << 11;
        /// Anonymous memory.
        const ANON = 1 << 12;
        /// In the swap cache.
        const SWAPCACHE = 1 << 13;
        /// Backed by swap.
        const SWAPBACKED = 1 << 14;
        /// First page of a compound page.
        const COMPOUND_HEAD = 1 << 15;
        /// Further page of a compound page.
        const COMPOUND_TAIL = 1 << 16;
        /// Part of a hugetlb page.
        const HUGE = 1 << 17;
        /// Not reclaimable.
        const UNEVICTABLE = 1 << 18;
        /// Failed hardware.
        const HWPOISON = 1 << 19;
        /// There is no frame of this number.
        const NOPAGE = 1 << 20;
        /// Merged by KSM; 6.12 reports it for every anonymous page (seen on 6.12.117).
        const KSM = 1 << 21;
        /// Part of a transparent huge page.
        const THP = 1 << 22;
        /// Logically offline, as in a balloon.
        const OFFLINE = 1 << 23;
        /// The zero page or the huge zero page; it is never pinned.
        const ZERO_PAGE = 1 << 24;
        /// Not accessed since it was marked idle.
        const IDLE = 1 << 25;
        /// A page table.
        const PGTABLE = 1 << 26;
        /// Reserved (a hint for kernel developers, as all from here on).
        const RESERVED = 1 << 32;
        /// Locked in memory by `mlock`.
        const MLOCKED = 1 << 33;
        /// On disk at a place that is known.
        const MAPPEDTODISK = 1 << 34;
        /// Has private data, such as buffer heads.
        const PRIVATE = 1 << 35;
        /// Has more private data.
        const PRIVATE_2 = 1 << 36;
        /// For its file system's own use.
        const OWNER_PRIVATE = 1 << 37;
        /// For the architecture's use.
        const ARCH = 1 << 38;
        /// Mapped uncached.
        const UNCACHED = 1 << 39;
        /// Its soft-dirty mark, on architectures that keep it in the frame.
        const SOFTDIRTY = 1 << 40;
        /// For the architecture's use.
        const ARCH_2 = 1 << 41;
        /// For the architecture's use.
        const ARCH_3 = 1 << 42;
    }
}

impl KpageFlags {
    /// The names of the flags that are set, lower case, lowest bit first.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        self.iter_names()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect()
    }
}

/// Reader of one of the two files.
#[derive(Debug)]
struct Words {
    path: PathBuf,
    file: File,
}

const NEEDS: Needs = Needs {
    config: "CONFIG_PROC_PAGE_MONITOR",
    right: "CAP_SYS_ADMIN",
    // The files are root's and 0400; a process with CAP_DAC_OVERRIDE may read them as well.
    capability: Some(need::SYS_ADMIN),
    confidential: false,
};

impl Words {
    fn open(roots: &Roots, name: &str) -> Result<Self> {
        let path = roots.proc.join(name);
        let file = File::open(&path).map_err(|source| NEEDS.error(roots, &path, source))?;
        Ok(Self { path, file })
    }

    fn at(&self, pfn: u64) -> Result<u64> {
        let mut word = [0];
        self.run(pfn, &mut word)?;
        Ok(word[0])
    }

    /// The words of frames that follow each other, from `pfn` on, in one system call.
    fn run(&self, pfn: u64, words: &mut [u64]) -> Result<()> {
        let mut bytes = vec![0; words.len() * 8];
        let offset = pfn.checked_mul(8).ok_or(PagesError::NoFrame { pfn })?;
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| match source.kind() {
                // The files end with the last frame.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                    PagesError::NoFrame { pfn }
                }
                _ => PagesError::Io {
                    path: self.path.clone(),
                    source,
                },
            })?;
        let (chunks, _) = bytes.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_ne_bytes(*chunk);
        }
        Ok(())
    }
}

/// Reader of flags and map counts by pfn.
#[derive(Debug)]
pub struct Kpage {
    flags: Words,
    counts: Words,
}

impl Kpage {
    /// Opens both files.
    ///
    /// # Errors
    /// [`PagesError::Absent`] without `CONFIG_PROC_PAGE_MONITOR`, [`PagesError::NotAllowed`].
    pub fn open(roots: &Roots) -> Result<Self> {
        Ok(Self {
            flags: Words::open(roots, "kpageflags")?,
            counts: Words::open(roots, "kpagecount")?,
        })
    }

    /// The flags of frame `pfn`; bits that are not named in [`KpageFlags`] are dropped.
    ///
    /// # Errors
    /// [`PagesError::NoFrame`] for a pfn beyond the machine's memory, [`PagesError::Io`].
    pub fn flags(&self, pfn: u64) -> Result<KpageFlags> {
        self.flags.at(pfn).map(KpageFlags::from_bits_truncate)
    }

    /// The flags of `count` frames from `first` on, in one system call.
    ///
    /// # Errors
    /// As [`Kpage::flags`]; nothing is told when one of them does not exist.
    pub fn flags_of_run(&self, first: u64, count: usize) -> Result<Vec<KpageFlags>> {
        let mut words = vec![0; count];
        self.flags.run(first, &mut words)?;
        Ok(words
            .into_iter()
            .map(KpageFlags::from_bits_truncate)
            .collect())
    }

    /// How often frame `pfn` is mapped.
    ///
    /// For a large folio of a kernel with `CONFIG_NO_PAGE_MAPCOUNT` it is an average
    /// (`fs/proc/page.c`, since 6.15).
    ///
    /// # Errors
    /// As [`Kpage::flags`].
    pub fn map_count(&self, pfn: u64) -> Result<u64> {
        self.counts.at(pfn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Machine;
    use std::fs;

    #[test]
    fn words_lie_at_the_pfn() {
        let machine = Machine::empty();
        let words = |values: [u64; 3]| -> Vec<u8> {
            values.into_iter().flat_map(u64::to_ne_bytes).collect()
        };
        let proc = &machine.roots().proc;
        fs::write(
            proc.join("kpageflags"),
            words([0, 1 | 1 << 12 | 1 << 50, 1 << 20]),
        )
        .unwrap();
        fs::write(proc.join("kpagecount"), words([0, 2, 0])).unwrap();
        let kpage = Kpage::open(machine.roots()).unwrap();
        assert_eq!(kpage.flags(1).unwrap().names(), ["locked", "anon"]);
        assert_eq!(kpage.flags(2).unwrap(), KpageFlags::NOPAGE);
        assert_eq!(kpage.map_count(1).unwrap(), 2);
        for pfn in [3, u64::MAX / 8, u64::MAX] {
            assert!(matches!(kpage.flags(pfn), Err(PagesError::NoFrame { .. })));
        }
    }

    #[test]
    fn a_kernel_without_page_monitor_is_named() {
        let machine = Machine::empty();
        assert!(matches!(
            Kpage::open(machine.roots()),
            Err(PagesError::Absent {
                needs: "CONFIG_PROC_PAGE_MONITOR",
                ..
            })
        ));
    }
}
