//! The state of one page, and how it is read out of `struct page`.

use serde::{Deserialize, Serialize};

/// References that one pin of a small page counts for: `GUP_PIN_COUNTING_BIAS`,
/// `include/linux/mm.h`.
pub const PIN_BIAS: u32 = 1 << 10;

/// Who refers to a page. For a page of a large folio the counts are those of the whole folio,
/// because the kernel keeps none for its single pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// The frame that was asked for.
    pub pfn: u64,
    /// The first frame of the folio; `pfn` itself for a small page.
    pub head_pfn: u64,
    /// log2 of the number of pages of the folio; 0 for a small page.
    pub order: u8,
    /// Pins taken and not given back.
    pub pin_count: u32,
    /// References that are not pins. Mappings, the page cache and per-CPU lists hold one each, so
    /// that differences say more than values.
    pub ref_count: u32,
    /// Page table entries that map the page.
    pub map_count: u32,
    /// Names of the flags, see [`KpageFlags`](crate::kpage::KpageFlags).
    pub flags: Vec<String>,
    /// The kernel's own names of the flags of the folio's first page, see
    /// [`Layout::flag_names`](crate::layout::Layout::flag_names).
    #[serde(default)]
    pub page_flags: Vec<String>,
}

impl PageState {
    /// Whether the page belongs to a folio of more than one page.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.order > 0
    }
}

/// Pins and other references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct References {
    pub(crate) pins: u32,
    pub(crate) others: u32,
}

impl References {
    /// Of a small page, whose pins are [`PIN_BIAS`] references each (`try_grab_folio`).
    pub(crate) fn of_small(refcount: u32) -> Self {
        Self {
            pins: refcount / PIN_BIAS,
            others: refcount % PIN_BIAS,
        }
    }

    /// Of a large folio, where a pin counts once in each of the two fields (`try_grab_folio`).
    pub(crate) fn of_large(refcount: u32, pincount: u32) -> Self {
        Self {
            pins: pincount,
            // The two are read one after the other, so that the difference may be negative.
            others: refcount.saturating_sub(pincount),
        }
    }
}

/// `_mapcount` and `_large_mapcount` begin at -1. More negative values in a page's field mean
/// that it holds a page type instead (`page_mapcount_is_type`, `include/linux/page-flags.h`).
pub(crate) fn map_count(raw: u32) -> u32 {
    raw.cast_signed().saturating_add(1).max(0).cast_unsigned()
}

/// The address of the folio's first `struct page`, told by the head word of the `struct page` at
/// `address`; `None` when that is no tail.
///
/// Bit 0 marks a tail. The rest is the head's address, or since 7.1 a mask for the tail's own
/// (`compound_info`). They cannot be mixed up: as an address a mask would lie in the top 64 GiB,
/// where x86-64 has its entry areas and kernel text, not the memory map (`Documentation/arch/x86/
/// x86_64/mm.rst`).
pub(crate) fn head_address(address: u64, head_word: u64, may_be_mask: bool) -> Option<u64> {
    const LOWEST_MASK: u64 = u64::MAX << 36;
    if head_word & 1 == 0 {
        return None;
    }
    let value = head_word & !1;
    if may_be_mask && value >= LOWEST_MASK {
        Some(address & value)
    } else {
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_a_small_page_are_multiples_of_the_bias() {
        for (refcount, pins, others) in [(0, 0, 0), (1, 0, 1), (1025, 1, 1), (2050, 2, 2)] {
            assert_eq!(References::of_small(refcount), References { pins, others });
        }
        // The documented weakness: 1024 plain references look like a pin.
        assert_eq!(References::of_small(1024).pins, 1);
    }

    #[test]
    fn pins_of_a_large_folio_are_counted_apart() {
        let references = References::of_large(9, 4);
        assert_eq!((references.pins, references.others), (4, 5));
        assert_eq!(References::of_large(3, 4).others, 0);
    }

    #[test]
    fn map_counts_begin_at_minus_one_and_types_are_none() {
        assert_eq!(map_count(u32::MAX), 0);
        assert_eq!(map_count(0), 1);
        assert_eq!(map_count(1), 2);
        assert_eq!(map_count(0xf400_0000), 0);
    }

    #[test]
    fn head_words_of_both_forms() {
        let head = 0xffff_ea00_0004_0000;
        let tail = head + 64 * 5;
        assert_eq!(head_address(tail, 0xffff_ea00_0000_0008, true), None);
        assert_eq!(head_address(tail, head | 1, false), Some(head));
        assert_eq!(head_address(tail, head | 1, true), Some(head));
        let mask = !(64_u64 * 8 - 1);
        assert_eq!(head_address(tail, mask | 1, true), Some(head));
        // A 1 GiB folio, the largest on x86-64.
        let tail = head + 64 * 4096;
        let mask = !(64_u64 * (1 << 18) - 1);
        assert_eq!(
            head_address(tail, mask | 1, true),
            Some(0xffff_ea00_0000_0000)
        );
    }
}
