//! `/proc/PID/pagemap`: where the pages of a process are.
//!
//! One little u64 a page, in address order (`Documentation/admin-guide/mm/pagemap.rst`,
//! `fs/proc/task_mmu.c`). The bits that are parsed here are the same from 5.14 to 7.3.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde::Serialize;

use crate::need::Needs;
use crate::{PAGE_SIZE_BYTES, PagesError, Result, Roots};

const ENTRY_BYTES: u64 = 8;
/// "No such process", `asm-generic/errno-base.h`.
const ESRCH: i32 = 3;
const PFN_MASK: u64 = (1 << 55) - 1;

/// What pagemap says about one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PagemapEntry {
    /// The frame, when the page is present and this process may know it.
    pub pfn: Option<u64>,
    /// Bit 63: a page is mapped.
    pub present: bool,
    /// Bit 62: the page is in swap or under migration.
    pub swapped: bool,
    /// Bit 61: a file page or shared anonymous memory.
    pub file: bool,
    /// Bit 56: mapped exclusively; stays set over a fork when the page was pinned.
    pub exclusive: bool,
    /// Bit 57: write-protected by userfaultfd; set for absent pages with such a marker, too.
    pub uffd_wp: bool,
    /// Bit 58: a guard region (`MADV_GUARD_INSTALL`); none where the kernel does not tell (before
    /// 6.15).
    pub guard: Option<bool>,
    /// Bit 55: written since `clear_refs` was last written with 4; pinned pages are not cleared.
    pub soft_dirty: bool,
}

impl PagemapEntry {
    /// Takes the raw value apart, as kernels since 6.15 mean it.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let bit = |number: u32| bits >> number & 1 == 1;
        let pfn = bits & PFN_MASK;
        Self {
            // Bits 0 to 54 hold the swap type and offset when the page is not present.
            pfn: (bit(63) && pfn != 0).then_some(pfn),
            present: bit(63),
            swapped: bit(62),
            file: bit(61),
            exclusive: bit(56),
            uffd_wp: bit(57),
            guard: Some(bit(58)),
            soft_dirty: bit(55),
        }
    }
}

/// The pagemap of one process.
#[derive(Debug)]
pub struct Pagemap {
    pid: u32,
    path: PathBuf,
    file: File,
    tells_guards: bool,
}

impl Pagemap {
    /// Opens the pagemap of process `pid`.
    ///
    /// # Errors
    /// [`PagesError::NoProcess`], [`PagesError::NotAllowed`] when the process belongs to somebody
    /// else (`PTRACE_MODE_READ`), [`PagesError::Io`].
    pub fn open(roots: &Roots, pid: u32) -> Result<Self> {
        let directory = roots.proc.join(pid.to_string());
        let path = directory.join("pagemap");
        let file = File::open(&path).map_err(|source| {
            let ended = source.raw_os_error() == Some(ESRCH);
            if ended || source.kind() == io::ErrorKind::NotFound && !directory.exists() {
                return PagesError::NoProcess { pid };
            }
            NEEDS.error(roots, &path, source)
        })?;
        Ok(Self {
            pid,
            path,
            file,
            tells_guards: tells_guards(roots),
        })
    }

    /// The entry of the page that contains `address`.
    ///
    /// # Errors
    /// [`PagesError::NoProcess`] when the process ended meanwhile, [`PagesError::Io`].
    pub fn entry(&self, address: u64) -> Result<PagemapEntry> {
        let mut bytes = [0; 8];
        self.read(address / PAGE_SIZE_BYTES, &mut bytes)?;
        Ok(self.parse(bytes))
    }

    /// Whether this kernel tells guard regions.
    pub(crate) fn tells_guards(&self) -> bool {
        self.tells_guards
    }

    fn parse(&self, bytes: [u8; 8]) -> PagemapEntry {
        let entry = PagemapEntry::from_bits(u64::from_ne_bytes(bytes));
        PagemapEntry {
            guard: entry.guard.filter(|_| self.tells_guards),
            ..entry
        }
    }

    /// The entries of `pages` pages from page number `first` (an address divided by the page size).
    pub(crate) fn entries(&self, first: u64, pages: usize) -> Result<Vec<PagemapEntry>> {
        let mut bytes = vec![0; pages * 8];
        self.read(first, &mut bytes)?;
        let (entries, _) = bytes.as_chunks::<8>();
        Ok(entries.iter().map(|entry| self.parse(*entry)).collect())
    }

    /// Fills `bytes`; what lies beyond the address space is left zero, which reads as absent.
    fn read(&self, page: u64, bytes: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let offset = page * ENTRY_BYTES + done as u64;
            match self.file.read_at(&mut bytes[done..], offset) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> PagesError {
        // proc_mem_open answers ESRCH for a process that has let go of its memory.
        if source.raw_os_error() == Some(ESRCH) {
            return PagesError::NoProcess { pid: self.pid };
        }
        PagesError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

const NEEDS: Needs = Needs::plain(
    "CONFIG_PROC_PAGE_MONITOR",
    "CAP_SYS_PTRACE or a process of the same user",
);

/// `PM_GUARD_REGION` of `fs/proc/task_mmu.c` is there since 6.15; a kernel that does not tell its
/// release is taken for a new one.
fn tells_guards(roots: &Roots) -> bool {
    let release = fs::read_to_string(roots.proc.join("sys/kernel/osrelease")).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 15),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: u64 = 1 << 63;

    #[test]
    fn bits_are_told_apart() {
        let entry = PagemapEntry::from_bits(PRESENT | 1 << 56 | 1 << 55 | 0x1234);
        assert_eq!(entry.pfn, Some(0x1234));
        assert!(entry.present && entry.exclusive && entry.soft_dirty);
        assert!(!entry.swapped && !entry.file);
        let file = PagemapEntry::from_bits(PRESENT | 1 << 61 | PFN_MASK);
        assert_eq!(file.pfn, Some(PFN_MASK));
        assert!(file.file && !file.exclusive && !file.soft_dirty);
    }

    #[test]
    fn markers_of_absent_pages_are_seen() {
        let guard = PagemapEntry::from_bits(1 << 58);
        assert_eq!((guard.present, guard.guard), (false, Some(true)));
        let protected = PagemapEntry::from_bits(1 << 57);
        assert!(protected.uffd_wp && !protected.present);
    }

    #[test]
    fn old_kernels_tell_no_guards() {
        for (release, told) in [
            ("6.12.117+deb13-cloud-amd64\n", None),
            ("6.1.0-50-cloud-amd64\n", None),
            ("6.15.0\n", Some(true)),
            ("7.3-rc1\n", Some(true)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let roots = Roots {
                proc: dir.path().to_owned(),
                sys: dir.path().to_owned(),
            };
            fs::create_dir_all(dir.path().join("sys/kernel")).unwrap();
            fs::write(dir.path().join("sys/kernel/osrelease"), release).unwrap();
            fs::create_dir(dir.path().join("42")).unwrap();
            let bytes = (1_u64 << 58).to_ne_bytes();
            fs::write(dir.path().join("42/pagemap"), bytes).unwrap();
            let entry = Pagemap::open(&roots, 42).unwrap().entry(0).unwrap();
            assert_eq!(entry.guard, told, "{release}");
        }
    }

    #[test]
    fn a_swap_offset_is_no_pfn() {
        let entry = PagemapEntry::from_bits(1 << 62 | 0x4321);
        assert!(entry.swapped && !entry.present);
        assert_eq!(entry.pfn, None);
    }

    #[test]
    fn a_hidden_pfn_is_none() {
        let entry = PagemapEntry::from_bits(PRESENT);
        assert!(entry.present);
        assert_eq!(entry.pfn, None);
    }

    #[test]
    fn entries_lie_at_the_page_number() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots {
            proc: dir.path().to_owned(),
            sys: dir.path().to_owned(),
        };
        fs::create_dir(dir.path().join("42")).unwrap();
        let words = [0, PRESENT | 7, PRESENT | 8];
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        fs::write(dir.path().join("42/pagemap"), bytes).unwrap();
        let map = Pagemap::open(&roots, 42).unwrap();
        assert_eq!(map.entry(0x1fff).unwrap().pfn, Some(7));
        assert_eq!(map.entry(0x2000).unwrap().pfn, Some(8));
        assert!(!map.entry(0x9000).unwrap().present);
        let entries = map.entries(1, 4).unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.pfn).collect::<Vec<_>>(),
            [Some(7), Some(8), None, None]
        );
        assert!(matches!(
            Pagemap::open(&roots, 43),
            Err(PagesError::NoProcess { pid: 43 })
        ));
    }
}
