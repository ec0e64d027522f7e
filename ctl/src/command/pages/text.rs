//! Pages as rows for people.

use ::pages::{PageView, PagemapEntry, Pinned};

use crate::output::table;

const HEADS: [&str; 8] = [
    "address", "frame", "pins", "refs", "mapped", "order", "bits", "flags",
];

/// One row a page.
pub(super) fn table_of(pages: &[PageView]) -> String {
    let right = ["frame", "pins", "refs", "mapped", "order"];
    table(&HEADS, &right, pages.iter().map(row))
}

/// The cells of one page; `-` is what is not known or not there.
pub(super) fn row(page: &PageView) -> [String; 8] {
    let dash = || "-".to_owned();
    let entry = page.pagemap;
    let mut row = [
        format!("{:#x}", page.address),
        entry.pfn.map_or_else(dash, |pfn| format!("{pfn:#x}")),
        pins(page),
        dash(),
        dash(),
        dash(),
        letters(entry),
        absence(entry).to_owned(),
    ];
    if let Some(state) = &page.state {
        row[3] = state.ref_count.to_string();
        row[4] = state.map_count.to_string();
        row[5] = state.order.to_string();
        row[7] = state.flags.join(" ");
    } else if let Some(kpage) = &page.kpage {
        row[4] = kpage.map_count.to_string();
        row[7] = kpage.flags.join(" ");
    }
    row
}

fn pins(page: &PageView) -> String {
    match (&page.state, page.pinned) {
        (Some(state), _) => state.pin_count.to_string(),
        (None, Some(Pinned::Maybe)) => "maybe".to_owned(),
        (None, Some(Pinned::No)) => "no".to_owned(),
        (None, Some(Pinned::Unknown) | None) => "-".to_owned(),
    }
}

fn letters(entry: PagemapEntry) -> String {
    let set = [
        (entry.exclusive, 'e'),
        (entry.soft_dirty, 'd'),
        (entry.file, 'f'),
        (entry.uffd_wp, 'w'),
        (entry.guard == Some(true), 'g'),
    ];
    let letters: String = set
        .into_iter()
        .filter_map(|(set, letter)| set.then_some(letter))
        .collect();
    if letters.is_empty() {
        "-".to_owned()
    } else {
        letters
    }
}

fn absence(entry: PagemapEntry) -> &'static str {
    match entry {
        PagemapEntry { present: true, .. } => "present",
        PagemapEntry {
            guard: Some(true), ..
        } => "guard region",
        PagemapEntry { swapped: true, .. } => "swapped out",
        _ => "not present",
    }
}

/// What became different between two looks at one page, in words; none if nothing did.
pub(super) fn changes(before: &PageView, after: &PageView) -> Option<String> {
    let (before, after) = (row(before), row(after));
    let changed: Vec<String> = HEADS
        .into_iter()
        .zip(before.iter().zip(&after))
        .filter(|(_, (before, after))| before != after)
        .map(|(head, (before, after))| format!("{head} {before} -> {after}"))
        .collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

#[cfg(test)]
mod tests {
    use ::pages::PageState;

    use super::*;

    fn state(pin_count: u32) -> PageState {
        PageState {
            pfn: 0x1234,
            head_pfn: 0x1234,
            order: 0,
            pin_count,
            ref_count: 1,
            map_count: 1,
            flags: ["uptodate", "lru", "mmap", "anon", "swapbacked"]
                .map(str::to_owned)
                .to_vec(),
            page_flags: Vec::new(),
        }
    }

    fn view(address: u64, bits: u64, state: Option<PageState>) -> PageView {
        PageView {
            address,
            pagemap: PagemapEntry::from_bits(bits),
            state,
            kpage: None,
            pinned: None,
        }
    }

    const PRESENT: u64 = 1 << 63;

    #[test]
    fn absent_pages_are_told_apart() {
        let pages = [
            view(0x7f00_0000_0000, PRESENT | 3 << 55 | 0x1234, Some(state(1))),
            view(0x7f00_0000_1000, 1 << 62, None),
            view(0x7f00_0000_2000, 0, None),
            view(0x7f00_0000_3000, 1 << 58, None),
            PageView {
                pinned: Some(Pinned::Maybe),
                ..view(0x7f00_0000_4000, PRESENT | 1 << 57 | 1 << 55, None)
            },
            PageView {
                pinned: Some(Pinned::No),
                ..view(0x7f00_0000_5000, PRESENT, None)
            },
        ];
        insta::assert_snapshot!(table_of(&pages));
    }

    #[test]
    fn a_change_is_told_in_words() {
        let before = view(0x1000, PRESENT | 0x1234, Some(state(0)));
        let after = view(0x1000, PRESENT | 1 << 55 | 0x1234, Some(state(1)));
        assert_eq!(changes(&before, &before), None);
        assert_eq!(
            changes(&before, &after).as_deref(),
            Some("pins 0 -> 1, bits - -> d")
        );
    }
}
