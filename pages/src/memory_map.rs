//! The kernel's array of `struct page`, read through `/proc/kcore`.
//!
//! It is read in blocks of [`BLOCK_BYTES`], of which one batch of questions keeps those that it has
//! seen: pages that were allocated together have their `struct page`s together, and one block holds
//! those of 64 pages. All of a block is of one moment; two blocks are not.

use std::collections::HashMap;

use crate::kcore::Kcore;
use crate::layout::{HeadWord, Layout};
use crate::state::{References, head_address, map_count};
use crate::{PAGE_SIZE_BYTES, PagesError, Result, Roots, kallsyms};

/// As much as the kernel copies at once (`read_kcore_iter` in `fs/proc/kcore.c`).
const BLOCK_BYTES: u64 = 4096;

/// Everything that is needed to find and to understand a `struct page`.
#[derive(Debug)]
pub(crate) struct MemoryMap {
    roots: Roots,
    layout: Layout,
    kcore: Kcore,
    /// Kernel address of the `struct page` of frame 0.
    base: u64,
}

/// What `struct page` and `struct folio` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folio {
    pub(crate) head_pfn: u64,
    pub(crate) order: u8,
    pub(crate) references: References,
    /// None for a large folio of a kernel that counts its pages' mappings one by one.
    pub(crate) map_count: Option<u32>,
    /// Names of the head's flags.
    pub(crate) flags: Vec<String>,
}

impl MemoryMap {
    /// Opens kcore, finds the memory map and reads the layout of its entries.
    ///
    /// # Errors
    /// The first thing that is missing, by name: a file, a capability, a symbol, a field.
    pub(crate) fn open(roots: &Roots) -> Result<Self> {
        // The rights come first, the slow parsing last.
        let kcore = Kcore::open(roots)?;
        // A variable that KASLR sets at boot (arch/x86/mm/kaslr.c), so its value is read, too.
        let symbol = kallsyms::address_of(roots, "vmemmap_base")?;
        let base = kcore.read_u64(symbol)?;
        let layout = Layout::load(roots)?;
        Ok(Self {
            roots: roots.clone(),
            layout,
            kcore,
            base,
        })
    }

    /// A batch of questions that shares what it reads.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            map: self,
            blocks: HashMap::new(),
        }
    }

    fn address_of(&self, pfn: u64) -> Result<u64> {
        pfn.checked_mul(self.layout.page_bytes as u64)
            .and_then(|offset| self.base.checked_add(offset))
            .ok_or(PagesError::NoFrame { pfn })
    }

    fn told_head(&self, address: u64, page: &[u8]) -> Option<u64> {
        let word = field_u64(page, self.layout.head_word);
        let may_be_mask = self.layout.head_word_form == HeadWord::PointerOrMask;
        head_address(address, word, may_be_mask)
    }

    fn is_head(&self, page: &[u8]) -> bool {
        field_u64(page, self.layout.flags) >> self.layout.head_bit & 1 == 1
    }
}

/// Questions about pages at one time.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    map: &'a MemoryMap,
    /// By address; none where no segment holds the whole of a block.
    blocks: HashMap<u64, Option<Box<[u8]>>>,
}

impl Batch<'_> {
    /// The folio that frame `pfn` belongs to.
    pub(crate) fn folio(&mut self, pfn: u64) -> Result<Folio> {
        let layout = &self.map.layout;
        let address = self.map.address_of(pfn)?;
        let head = self.head_of(pfn, address)?;
        let page = self.read(head, layout.page_bytes)?;
        let head_pfn = pfn - (address - head) / layout.page_bytes as u64;
        let flags = layout.flags_of(field_u64(&page, layout.flags));
        if !self.map.is_head(&page) {
            return Ok(Folio {
                head_pfn,
                order: 0,
                references: References::of_small(field_u32(&page, layout.refcount)),
                map_count: Some(map_count(field_u32(&page, layout.mapcount))),
                flags,
            });
        }
        let folio = self.read(head, layout.folio_bytes)?;
        let pages = field_u32(&folio, layout.nr_pages);
        Ok(Folio {
            head_pfn,
            order: u8::try_from(pages.checked_ilog2().unwrap_or(0)).unwrap_or(u8::MAX),
            references: References::of_large(
                field_u32(&folio, layout.refcount),
                field_u32(&folio, layout.pincount),
            ),
            map_count: layout
                .large_mapcount
                .map(|offset| map_count(field_u32(&folio, offset))),
            flags,
        })
    }

    /// Address of the first `struct page` of the folio that the one at `address` belongs to.
    fn head_of(&mut self, pfn: u64, address: u64) -> Result<u64> {
        let map = self.map;
        let page_bytes = map.layout.page_bytes;
        let page = self.read(address, page_bytes)?;
        let told = match map.told_head(address, &page) {
            // In a hugetlb page with an optimised memory map some tails show a copy of the head;
            // the next page, which is a tail for sure, knows better (page_fixed_fake_head in
            // include/linux/page-flags.h). A real head is confirmed by it.
            None if map.is_head(&page) && address.is_multiple_of(PAGE_SIZE_BYTES) => {
                let next = address + page_bytes as u64;
                let tail = self.read(next, page_bytes)?;
                map.told_head(next, &tail).unwrap_or(address)
            }
            None => address,
            Some(head) => head,
        };
        let distance = address.checked_sub(told);
        let within = distance.is_some_and(|bytes| bytes.is_multiple_of(page_bytes as u64));
        if told < map.base || !within {
            return Err(PagesError::Malformed {
                path: map.roots.proc.join("kcore"),
                detail: format!(
                    "the struct page of frame {pfn:#x} at {address:#x} names {told:#x} as its \
                     head, should be at or before it in the memory map"
                ),
            });
        }
        Ok(told)
    }

    /// `length` bytes of the memory map from `address` on.
    fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        let end = address.saturating_add(length as u64);
        let mut at = address;
        while at < end {
            let start = at - at % BLOCK_BYTES;
            let upto = end.min(start.saturating_add(BLOCK_BYTES));
            match self.block(start) {
                Some(block) => bytes.extend(range(at - start, upto - start, block)),
                None => {
                    let mut piece = vec![0; length - bytes.len()];
                    self.map.kcore.read(at, &mut piece)?;
                    bytes.extend(piece);
                    break;
                }
            }
            at = upto;
        }
        Ok(bytes)
    }

    fn block(&mut self, start: u64) -> Option<&[u8]> {
        let kcore = &self.map.kcore;
        let block = self.blocks.entry(start).or_insert_with(|| {
            let mut bytes = vec![0; 4096].into_boxed_slice();
            kcore.read(start, &mut bytes).is_ok().then_some(bytes)
        });
        block.as_deref()
    }
}

/// The bytes from `from` to `upto` of a block.
fn range(from: u64, upto: u64, block: &[u8]) -> &[u8] {
    let index = |offset: u64| usize::try_from(offset).unwrap_or(block.len());
    &block[index(from)..index(upto)]
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
