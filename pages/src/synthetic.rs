//! A machine made of files, for tests: kcore, BTF, kallsyms, pagemap and kpageflags with pages
//! that the test lays out.

use std::fs;
use std::path::Path;

use crate::Roots;

/// Address of `vmemmap_base` and of the memory map.
const SYMBOL: u64 = 0xffff_ffff_8200_0100;
const MEMORY_MAP: u64 = 0xffff_ea00_0000_0000;
const PAGE_BYTES: usize = 64;

/// Whose layout the BTF describes. The numbers are those of Debian's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    V6_12,
    V7_2,
    V7_3,
    /// One whose folio has no `_pincount`.
    Unknown,
}

/// The files, removed on drop.
pub(crate) struct Machine {
    directory: tempfile::TempDir,
    roots: Roots,
    kernel: Kernel,
    frames: Vec<u8>,
}

impl Machine {
    pub(crate) const FRAMES: u64 = 256;

    /// Directories without files.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let roots = Roots {
            proc: directory.path().join("proc"),
            sys: directory.path().join("sys"),
        };
        fs::create_dir_all(&roots.proc).unwrap();
        fs::create_dir_all(roots.sys.join("kernel/btf")).unwrap();
        Self {
            directory,
            roots,
            kernel: Kernel::Unknown,
            frames: Vec::new(),
        }
    }

    /// All files, every frame free.
    pub(crate) fn new(kernel: Kernel) -> Self {
        let mut machine = Self::empty();
        machine.kernel = kernel;
        machine.frames = vec![0; index(Self::FRAMES) * PAGE_BYTES];
        for pfn in 0..Self::FRAMES {
            machine.set_u32(pfn, 48, u32::MAX);
        }
        let proc = &machine.roots.proc;
        let zeroes = vec![0; index(Self::FRAMES) * 8];
        fs::write(proc.join("kpageflags"), &zeroes).unwrap();
        fs::write(proc.join("kpagecount"), &zeroes).unwrap();
        fs::write(
            proc.join("kallsyms"),
            format!("{SYMBOL:x} R vmemmap_base\n"),
        )
        .unwrap();
        fs::write(machine.roots.sys.join("kernel/btf/vmlinux"), btf(kernel)).unwrap();
        machine.store();
        machine
    }

    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A small page; `maps` is how often it is mapped.
    pub(crate) fn small(&mut self, pfn: u64, refcount: u32, maps: u32) {
        self.set_u32(pfn, 52, refcount);
        self.set_u32(pfn, 48, maps.wrapping_sub(1));
        self.store();
    }

    /// A folio of 2^`order` pages with (refcount, pincount, map count).
    pub(crate) fn large(&mut self, head: u64, order: u32, counts: (u32, u32, u32)) {
        let (refcount, pincount, maps) = counts;
        self.set_u64(head, 0, 1 << 6);
        self.set_u32(head, 52, refcount);
        self.set_u32(head, 80, maps.wrapping_sub(1));
        self.set_u32(head, 92, pincount);
        let pages = 1_u64 << order;
        let nr_pages = if self.kernel == Kernel::V6_12 {
            96
        } else {
            120
        };
        self.set_u32(head, nr_pages, u32::try_from(pages).unwrap());
        for tail in head + 1..head + pages {
            let word = if self.kernel == Kernel::V6_12 {
                address(head) | 1
            } else {
                !(PAGE_BYTES as u64 * pages - 1) | 1
            };
            self.set_u64(tail, 8, word);
        }
        self.store();
    }

    /// Makes frame `to` a copy of frame `from`.
    pub(crate) fn copy_frame(&mut self, from: usize, to: usize) {
        let start = from * PAGE_BYTES;
        self.frames
            .copy_within(start..start + PAGE_BYTES, to * PAGE_BYTES);
        self.store();
    }

    /// Makes frame `tail` name frame `head`.
    pub(crate) fn point_to(&mut self, tail: u64, head: u64) {
        self.set_u64(tail, 8, address(head) | 1);
        self.store();
    }

    /// Maps (address, pfn) pairs, present, in process `pid`.
    pub(crate) fn map(&self, pid: u32, pages: &[(usize, u64)]) {
        let mut entries = vec![0_u64; 16];
        for (address, pfn) in pages {
            entries[address / 4096] = 1 << 63 | pfn;
        }
        let bytes: Vec<u8> = entries.into_iter().flat_map(u64::to_ne_bytes).collect();
        let directory = self.roots.proc.join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("pagemap"), bytes).unwrap();
    }

    fn set_u32(&mut self, pfn: u64, offset: usize, value: u32) {
        let start = index(pfn) * PAGE_BYTES + offset;
        self.frames[start..start + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u64(&mut self, pfn: u64, offset: usize, value: u64) {
        let start = index(pfn) * PAGE_BYTES + offset;
        self.frames[start..start + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn store(&self) {
        let file = kcore_file(&[
            (SYMBOL, MEMORY_MAP.to_le_bytes().to_vec()),
            (MEMORY_MAP, self.frames.clone()),
        ]);
        fs::write(self.roots.proc.join("kcore"), file).unwrap();
    }
}

fn index(pfn: u64) -> usize {
    usize::try_from(pfn).unwrap()
}

fn address(pfn: u64) -> u64 {
    MEMORY_MAP + pfn * PAGE_BYTES as u64
}

/// An ELF64 core file with a note and one `PT_LOAD` a range.
pub(crate) fn kcore_file(ranges: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let count = ranges.len() + 1;
    let mut file = vec![0; 64 + 56 * count];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&u16::try_from(count).unwrap().to_le_bytes());
    // Header 0 is a PT_NOTE over the whole address space, which must not be taken for memory.
    file[64..68].copy_from_slice(&4_u32.to_le_bytes());
    file[64 + 40..64 + 48].copy_from_slice(&u64::MAX.to_le_bytes());
    for (index, (address, bytes)) in ranges.iter().enumerate() {
        let start = 64 + 56 * (index + 1);
        let offset = file.len() as u64;
        let length = bytes.len() as u64;
        file[start..start + 4].copy_from_slice(&1_u32.to_le_bytes());
        for (place, value) in [(8, offset), (16, *address), (32, length), (40, length)] {
            file[start + place..start + place + 8].copy_from_slice(&value.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// The BTF of `kernel`, as far as pages go, with a function named like the structure.
fn btf(kernel: Kernel) -> Vec<u8> {
    let mut btf = Btf::default();
    let old = kernel == Kernel::V6_12;
    let word = btf.int("unsigned long", 8);
    let count = btf.int("atomic_t", 4);
    let head = if old {
        "compound_head"
    } else {
        "compound_info"
    };
    let first = btf.aggregate(5, "", 40, &[("lru", word, 0), (head, word, 0)]);
    let second = btf.aggregate(
        5,
        "",
        4,
        &[("page_type", count, 0), ("_mapcount", count, 0)],
    );
    let members = [
        ("flags", word, 0),
        ("", first, 8),
        ("", second, 48),
        ("_refcount", count, 52),
    ];
    btf.aggregate(4, "page", 64, &members);
    let nr_pages = if old {
        ("_folio_nr_pages", count, 32)
    } else {
        ("_nr_pages", count, 56)
    };
    let pincount = if kernel == Kernel::Unknown {
        "_other"
    } else {
        "_pincount"
    };
    let counts = [
        ("_large_mapcount", count, 16),
        (pincount, count, 28),
        nr_pages,
    ];
    let second = btf.aggregate(4, "", 64, &counts);
    let members = [("_refcount", count, 52), ("", second, 64)];
    btf.aggregate(4, "folio", if old { 192 } else { 256 }, &members);
    btf.enumeration(
        "pageflags",
        &[
            ("PG_locked", 0),
            ("PG_writeback", 1),
            ("PG_head", 6),
            ("__NR_PAGEFLAGS", 7),
            ("PG_checked", 1),
        ],
    );
    btf.typedef("page", word);
    btf.finish()
}

/// A writer of BTF (`Documentation/bpf/btf.rst`).
struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Default for Btf {
    fn default() -> Self {
        Self {
            types: Vec::new(),
            // Offset 0 is the empty name.
            strings: vec![0],
            count: 0,
        }
    }
}

impl Btf {
    fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().copied().flat_map(u32::to_le_bytes));
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let offset = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        offset
    }

    fn head(&mut self, name: &str, kind: u32, entries: usize, size_or_type: u32) -> u32 {
        let name = self.name(name);
        let info = kind << 24 | u32::try_from(entries).unwrap();
        self.words(&[name, info, size_or_type]);
        self.count += 1;
        self.count
    }

    fn int(&mut self, name: &str, bytes: u32) -> u32 {
        let id = self.head(name, 1, 0, bytes);
        self.words(&[bytes * 8]);
        id
    }

    /// A struct (kind 4) or union (kind 5) with (name, type, byte offset) members.
    fn aggregate(
        &mut self,
        kind: u32,
        name: &str,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let id = self.head(name, kind, members.len(), bytes);
        for (name, member, offset) in members {
            let name = self.name(name);
            self.words(&[name, *member, offset * 8]);
        }
        id
    }

    fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) {
        self.head(name, 6, values.len(), 4);
        for (name, value) in values {
            let name = self.name(name);
            self.words(&[name, *value]);
        }
    }

    fn typedef(&mut self, name: &str, target: u32) {
        self.head(name, 8, 0, target);
    }

    fn finish(self) -> Vec<u8> {
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let mut file = vec![0x9f, 0xeb, 1, 0];
        file.extend(
            [24, 0, types, types, strings]
                .into_iter()
                .flat_map(u32::to_le_bytes),
        );
        file.extend(self.types);
        file.extend(self.strings);
        file
    }
}
