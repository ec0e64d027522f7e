//! The instrument: from a process and an address to the state of the page.

use crate::kcore::Kcore;
use crate::kpage::{Kpage, KpageFlags};
use crate::layout::{HeadWord, Layout};
use crate::pagemap::Pagemap;
use crate::state::{References, head_address, map_count};
use crate::{PAGE_SIZE_BYTES, PageState, PagemapEntry, PagesError, Result, Roots, kallsyms};

/// Everything that is needed to look at pages, opened once.
#[derive(Debug)]
pub struct PageScope {
    roots: Roots,
    layout: Layout,
    kcore: Kcore,
    kpage: Kpage,
    /// Kernel address of the `struct page` of frame 0.
    memory_map: u64,
}

impl PageScope {
    /// Opens the running kernel's sources.
    ///
    /// Takes two seconds under emulation, because of the BTF ([`Layout::load`]).
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
        // The rights come first, the slow parsing last.
        let kcore = Kcore::open(&roots)?;
        let kpage = Kpage::open(&roots)?;
        // A variable that KASLR sets at boot (arch/x86/mm/kaslr.c), so its value is read, too.
        let symbol = kallsyms::address_of(&roots, "vmemmap_base")?;
        let memory_map = kcore.read_u64(symbol)?;
        let layout = Layout::load(&roots)?;
        Ok(Self {
            roots,
            layout,
            kcore,
            kpage,
            memory_map,
        })
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
        self.state_of_entry(address, entry)
    }

    /// The state of the page of a pagemap entry, if it has one.
    pub(crate) fn state_of_entry(
        &self,
        address: u64,
        entry: PagemapEntry,
    ) -> Result<Option<PageState>> {
        match entry.pfn {
            Some(pfn) => self.page_state(pfn).map(Some),
            None if entry.present => Err(PagesError::PfnHidden { address }),
            None => Ok(None),
        }
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
        if flags.contains(KpageFlags::NOPAGE) {
            return Err(PagesError::NoFrame { pfn });
        }
        let address = self.address_of(pfn)?;
        let head = self.head_of(pfn, address)?;
        let page = self.read(head, self.layout.page_bytes)?;
        let large = self.is_head(&page);
        let state = PageState {
            pfn,
            head_pfn: pfn - (address - head) / self.layout.page_bytes as u64,
            order: 0,
            pin_count: 0,
            ref_count: 0,
            map_count: 0,
            flags: flags.names(),
        };
        if large {
            self.large(state, head)
        } else {
            Ok(self.small(state, &page))
        }
    }

    fn small(&self, state: PageState, page: &[u8]) -> PageState {
        let references = References::of_small(field_u32(page, self.layout.refcount));
        PageState {
            pin_count: references.pins,
            ref_count: references.others,
            map_count: map_count(field_u32(page, self.layout.mapcount)),
            ..state
        }
    }

    fn large(&self, state: PageState, head: u64) -> Result<PageState> {
        let folio = self.read(head, self.layout.folio_bytes)?;
        let references = References::of_large(
            field_u32(&folio, self.layout.refcount),
            field_u32(&folio, self.layout.pincount),
        );
        let pages = field_u32(&folio, self.layout.nr_pages);
        let map_count = match self.layout.large_mapcount {
            Some(offset) => map_count(field_u32(&folio, offset)),
            None => u32::try_from(self.kpage.map_count(state.pfn)?).unwrap_or(u32::MAX),
        };
        Ok(PageState {
            order: u8::try_from(pages.checked_ilog2().unwrap_or(0)).unwrap_or(u8::MAX),
            pin_count: references.pins,
            ref_count: references.others,
            map_count,
            ..state
        })
    }

    /// Address of the first `struct page` of the folio that the one at `address` belongs to.
    fn head_of(&self, pfn: u64, address: u64) -> Result<u64> {
        let page = self.read(address, self.layout.page_bytes)?;
        let told = match self.told_head(address, &page) {
            // In a hugetlb page with an optimised memory map some tails show a copy of the head;
            // the next page, which is a tail for sure, knows better (page_fixed_fake_head in
            // include/linux/page-flags.h). A real head is confirmed by it.
            None if self.is_head(&page) && address.is_multiple_of(PAGE_SIZE_BYTES) => {
                let next = address + self.layout.page_bytes as u64;
                let tail = self.read(next, self.layout.page_bytes)?;
                self.told_head(next, &tail).unwrap_or(address)
            }
            None => address,
            Some(head) => head,
        };
        let distance = address.checked_sub(told);
        let within =
            distance.is_some_and(|bytes| bytes.is_multiple_of(self.layout.page_bytes as u64));
        if told < self.memory_map || !within {
            return Err(PagesError::Malformed {
                path: self.roots.proc.join("kcore"),
                detail: format!(
                    "the struct page of frame {pfn:#x} at {address:#x} names {told:#x} as its \
                     head, should be at or before it in the memory map"
                ),
            });
        }
        Ok(told)
    }

    fn told_head(&self, address: u64, page: &[u8]) -> Option<u64> {
        let word = field_u64(page, self.layout.head_word);
        let may_be_mask = self.layout.head_word_form == HeadWord::PointerOrMask;
        head_address(address, word, may_be_mask)
    }

    fn is_head(&self, page: &[u8]) -> bool {
        field_u64(page, self.layout.flags) >> self.layout.head_bit & 1 == 1
    }

    fn address_of(&self, pfn: u64) -> Result<u64> {
        pfn.checked_mul(self.layout.page_bytes as u64)
            .and_then(|offset| self.memory_map.checked_add(offset))
            .ok_or(PagesError::NoFrame { pfn })
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.kcore.read(address, &mut bytes)?;
        Ok(bytes)
    }
}

/// [`Layout::load`] has checked that its offsets lie within the structure.
fn field_u32(bytes: &[u8], offset: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(value)
}

fn field_u64(bytes: &[u8], offset: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(value)
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
            Err(PagesError::PfnHidden { address: 0x1000 })
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
