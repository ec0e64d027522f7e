//! The instrument: from a process and an address to the state of the page.

use crate::kpage::{Kpage, KpageFlags};
use crate::memory_map::{Batch, MemoryMap};
use crate::need::{self, Needs};
use crate::pagemap::Pagemap;
use crate::{PageState, PagemapEntry, PagesError, Result, Roots};

/// Everything that is needed to look at pages, opened once.
#[derive(Debug)]
pub struct PageScope {
    roots: Roots,
    map: MemoryMap,
    kpage: Kpage,
}

impl PageScope {
    /// Opens the running kernel's sources.
    ///
    /// Takes two seconds under emulation, because of the BTF
    /// ([`Layout::load`](crate::layout::Layout::load)).
    ///
    /// # Errors
    /// The first thing that is missing, by name: a file, a capability, a symbol, a field.
    pub fn open() -> Result<Self> {
        Self::open_at(Roots::default())
    }

    /// Opens the sources below `roots`.
    ///
    /// # Errors
    /// As [`PageScope::open`].
    pub fn open_at(roots: Roots) -> Result<Self> {
        let map = MemoryMap::open(&roots)?;
        let kpage = Kpage::open(&roots)?;
        Ok(Self { roots, map, kpage })
    }

    /// What pagemap says about `address` in process `pid`.
    ///
    /// # Errors
    /// [`PagesError::NoProcess`], [`PagesError::NotAllowed`], [`PagesError::Io`].
    pub fn pagemap(&self, pid: u32, address: u64) -> Result<PagemapEntry> {
        Pagemap::open(&self.roots, pid)?.entry(address)
    }

    /// The state of the page that is mapped at `address` in process `pid`; `None` when none is.
    ///
    /// # Errors
    /// [`PagesError::PfnHidden`] and those of [`PageScope::pagemap`] and
    /// [`PageScope::page_state`].
    pub fn of(&self, pid: u32, address: u64) -> Result<Option<PageState>> {
        let entry = self.pagemap(pid, address)?;
        Ok(self.states(&[(address, entry)])?.pop().flatten())
    }

    /// The pagemap of process `pid`.
    pub(crate) fn open_pagemap(&self, pid: u32) -> Result<Pagemap> {
        Pagemap::open(&self.roots, pid)
    }

    /// The state of frame `pfn`, mapped or not.
    ///
    /// # Errors
    /// [`PagesError::NoFrame`], [`PagesError::Unmapped`], [`PagesError::Io`],
    /// [`PagesError::Malformed`] when the head word makes no sense.
    pub fn page_state(&self, pfn: u64) -> Result<PageState> {
        let flags = self.kpage.flags(pfn)?;
        self.state(&mut self.map.batch(), pfn, flags)
    }

    /// The states of pages with (address, pagemap entry), for those that are present; in batches of
    /// frames that follow each other.
    pub(crate) fn states(&self, entries: &[(u64, PagemapEntry)]) -> Result<Vec<Option<PageState>>> {
        let mut batch = self.map.batch();
        let mut states = Vec::with_capacity(entries.len());
        for run in entries.chunk_by(|(_, one), (_, next)| follows(one.pfn, next.pfn)) {
            let (address, first) = run[0];
            let Some(first_pfn) = first.pfn else {
                if first.present {
                    return Err(hidden(&self.roots, address));
                }
                states.push(None);
                continue;
            };
            let flags = self.kpage.flags_of_run(first_pfn, run.len())?;
            for (pfn, flags) in (first_pfn..).zip(flags) {
                states.push(Some(self.state(&mut batch, pfn, flags)?));
            }
        }
        Ok(states)
    }

    fn state(&self, batch: &mut Batch<'_>, pfn: u64, flags: KpageFlags) -> Result<PageState> {
        if flags.contains(KpageFlags::NOPAGE) {
            return Err(PagesError::NoFrame { pfn });
        }
        let folio = batch.folio(pfn)?;
        let map_count = match folio.map_count {
            Some(count) => count,
            None => u32::try_from(self.kpage.map_count(pfn)?).unwrap_or(u32::MAX),
        };
        Ok(PageState {
            pfn,
            head_pfn: folio.head_pfn,
            order: folio.order,
            pin_count: folio.references.pins,
            ref_count: folio.references.others,
            map_count,
            flags: flags.names(),
            page_flags: folio.flags,
        })
    }
}

/// Whether two frames can be asked about in one read. Long runs are cut, to keep the answer of one
/// moment and its memory small.
fn follows(one: Option<u64>, next: Option<u64>) -> bool {
    const RUN: u64 = 512;
    match (one, next) {
        (Some(one), Some(next)) => one + 1 == next && !next.is_multiple_of(RUN),
        _ => false,
    }
}

/// That a present page has no pfn.
pub(crate) fn hidden(roots: &Roots, address: u64) -> PagesError {
    let needs = Needs {
        config: "CONFIG_PROC_PAGE_MONITOR",
        right: "CAP_SYS_ADMIN",
        capability: Some(need::SYS_ADMIN),
        confidential: false,
    };
    PagesError::PfnHidden {
        address,
        because: needs.because(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kernel, Machine};
    use std::fs;

    const KERNELS: [Kernel; 3] = [Kernel::V6_12, Kernel::V7_2, Kernel::V7_3];

    fn scope(machine: &Machine) -> PageScope {
        PageScope::open_at(machine.roots().clone()).unwrap()
    }

    #[test]
    fn a_small_page_from_process_and_address() {
        for kernel in KERNELS {
            let mut machine = Machine::new(kernel);
            machine.small(9, 1024 + 2, 1);
            machine.map(42, &[(0x7000, 9)]);
            let scope = scope(&machine);
            let state = scope.of(42, 0x7123).unwrap().unwrap();
            assert_eq!((state.pfn, state.head_pfn, state.order), (9, 9, 0));
            assert_eq!(
                (state.pin_count, state.ref_count, state.map_count),
                (1, 2, 1)
            );
            assert!(!state.is_large());
            assert_eq!(scope.of(42, 0x6000).unwrap(), None);
        }
    }

    #[test]
    fn a_tail_shows_the_folios_counts() {
        for kernel in KERNELS {
            let mut machine = Machine::new(kernel);
            machine.large(16, 3, (12, 4, 8));
            let scope = scope(&machine);
            for pfn in [16, 17, 23] {
                let state = scope.page_state(pfn).unwrap();
                assert_eq!((state.pfn, state.head_pfn, state.order), (pfn, 16, 3));
                assert_eq!(
                    (state.pin_count, state.ref_count, state.map_count),
                    (4, 8, 8)
                );
            }
            assert_eq!(scope.page_state(24).unwrap().order, 0);
        }
    }

    #[test]
    fn a_fake_head_is_seen_through() {
        let mut machine = Machine::new(Kernel::V6_12);
        // 128 struct pages of 64 bytes: frame 64 begins the second page of the memory map.
        machine.large(0, 7, (5, 2, 1));
        machine.copy_frame(0, 64);
        assert_eq!(scope(&machine).page_state(64).unwrap().head_pfn, 0);
    }

    #[test]
    fn a_frame_that_does_not_exist_is_refused() {
        let machine = Machine::new(Kernel::V7_3);
        let scope = scope(&machine);
        for pfn in [Machine::FRAMES, u64::MAX / 4, u64::MAX] {
            let error = scope.page_state(pfn).unwrap_err();
            assert!(matches!(error, PagesError::NoFrame { .. }), "{error}");
        }
    }

    #[test]
    fn a_head_beyond_the_tail_is_refused() {
        let mut machine = Machine::new(Kernel::V6_12);
        machine.point_to(5, 6);
        let error = scope(&machine).page_state(5).unwrap_err();
        assert!(matches!(error, PagesError::Malformed { .. }), "{error}");
    }

    #[test]
    fn a_hidden_pfn_is_an_error_and_no_empty_answer() {
        let machine = Machine::new(Kernel::V7_3);
        machine.map(42, &[(0x1000, 0)]);
        assert!(matches!(
            scope(&machine).of(42, 0x1000),
            Err(PagesError::PfnHidden {
                address: 0x1000,
                ..
            })
        ));
    }

    #[test]
    fn each_missing_source_is_named() {
        for (file, needle) in [
            ("proc/kcore", "CONFIG_PROC_KCORE"),
            ("proc/kpageflags", "CONFIG_PROC_PAGE_MONITOR"),
            ("proc/kallsyms", "CONFIG_KALLSYMS"),
            ("sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"),
        ] {
            let machine = Machine::new(Kernel::V7_3);
            fs::remove_file(machine.directory().join(file)).unwrap();
            let error = PageScope::open_at(machine.roots().clone()).unwrap_err();
            assert!(error.is_missing_requirement());
            assert!(error.to_string().contains(needle), "{error}");
        }
    }
}
