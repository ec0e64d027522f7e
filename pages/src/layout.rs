//! Where the fields of `struct page` and `struct folio` lie, from the kernel's own BTF.
//!
//! Nothing is assumed: offsets differ between 6.12 and 7.3, and one field changed its meaning.
//! Parsing the BTF of a distribution kernel takes 0.2 s natively and 1.5 s under emulation, so a
//! [`Layout`] is made once per process.

use std::fs;
use std::path::Path;

use btfparse::{
    Error as BtfError, ErrorKind, Integer32Value, Offset, Readable, Struct, TypeInformation,
    TypeVariant,
};

use crate::need::Needs;
use crate::{PagesError, Result, Roots};

/// How a tail page tells its head; the BTF field name gives it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadWord {
    /// `compound_head`, until 7.0: the address of the head, plus 1.
    Pointer,
    /// `compound_info`, since 7.1: as above, or a mask to apply to the tail's own address
    /// (`include/linux/page-flags.h`, when `struct page` has a power-of-two size).
    PointerOrMask,
}

/// Offsets are in bytes from the start of the structure that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `sizeof(struct page)`.
    pub page_bytes: usize,
    /// `sizeof(struct folio)`.
    pub folio_bytes: usize,
    /// `page.flags`.
    pub flags: usize,
    /// `page._refcount`.
    pub refcount: usize,
    /// `page._mapcount`.
    pub mapcount: usize,
    /// `page.compound_head` or `page.compound_info`.
    pub head_word: usize,
    /// What the head word holds.
    pub head_word_form: HeadWord,
    /// Bit number of `PG_head` in the flags.
    pub head_bit: u32,
    /// Names of the flags, by bit number: the first enumerator of each bit in `enum pageflags`
    /// (later ones are other names for it), without `PG_`, lower case.
    pub flag_names: Vec<(u32, String)>,
    /// `folio._pincount`.
    pub pincount: usize,
    /// `folio._nr_pages`, `_folio_nr_pages` before 6.15.
    pub nr_pages: usize,
    /// `folio._large_mapcount`, since 6.10.
    pub large_mapcount: Option<usize>,
}

impl Layout {
    /// Reads `/sys/kernel/btf/vmlinux` below `roots`.
    ///
    /// # Errors
    /// [`PagesError::Absent`] without `CONFIG_DEBUG_INFO_BTF`, [`PagesError::Malformed`],
    /// [`PagesError::UnknownLayout`] naming the first field that is missing.
    pub fn load(roots: &Roots) -> Result<Self> {
        let path = roots.sys.join("kernel/btf/vmlinux");
        let needs = Needs::plain("CONFIG_DEBUG_INFO_BTF", "read access to sysfs");
        let bytes = fs::read(&path).map_err(|source| needs.error(roots, &path, source))?;
        let types = TypeInformation::new(&Bytes(bytes)).map_err(|error| PagesError::Malformed {
            path: path.clone(),
            detail: format!("{}, should be BTF", error.message()),
        })?;
        Self::from_types(&Types {
            types: &types,
            path: &path,
        })
    }

    fn from_types(types: &Types<'_>) -> Result<Self> {
        let (page, page_bytes) = types.structure("page", "struct page")?;
        let (folio, folio_bytes) = types.structure("folio", "struct folio")?;
        let (head_word, head_word_form) = match types.offset(page, "compound_head") {
            Some(offset) => (offset, HeadWord::Pointer),
            None => (
                types.required(page, &["compound_info"], "page.compound_head")?,
                HeadWord::PointerOrMask,
            ),
        };
        let flag_names = types.page_flags()?;
        let head_bit = flag_names
            .iter()
            .find_map(|(bit, name)| (name == "head").then_some(*bit))
            .ok_or_else(|| types.unknown("PG_head"))?;
        let layout = Self {
            page_bytes,
            folio_bytes,
            flags: types.required(page, &["flags"], "page.flags")?,
            refcount: types.required(page, &["_refcount"], "page._refcount")?,
            mapcount: types.required(page, &["_mapcount"], "page._mapcount")?,
            head_word,
            head_word_form,
            head_bit,
            flag_names,
            pincount: types.required(folio, &["_pincount"], "folio._pincount")?,
            nr_pages: types.required(
                folio,
                &["_nr_pages", "_folio_nr_pages"],
                "folio._nr_pages",
            )?,
            large_mapcount: types.offset(folio, "_large_mapcount"),
        };
        layout.check(types.path)?;
        Ok(layout)
    }

    /// Names of the flags that are set in `page.flags`, lowest bit first. What lies above the flags
    /// (node, zone, section) has no name.
    pub(crate) fn flags_of(&self, word: u64) -> Vec<String> {
        let set = self
            .flag_names
            .iter()
            .filter(|(bit, _)| word >> bit & 1 == 1);
        set.map(|(_, name)| name.clone()).collect()
    }

    /// Every field must lie within its structure, so that readers can index without asking again.
    fn check(&self, path: &Path) -> Result<()> {
        let in_page = self.refcount.max(self.mapcount) + 4 <= self.page_bytes
            && self.flags.max(self.head_word) + 8 <= self.page_bytes;
        let in_folio = self
            .pincount
            .max(self.nr_pages)
            .max(self.large_mapcount.unwrap_or(0))
            + 4
            <= self.folio_bytes;
        if in_page && in_folio && self.head_bit < u64::BITS {
            return Ok(());
        }
        Err(PagesError::Malformed {
            path: path.to_owned(),
            detail: format!("a field lies outside its structure: {self:?}"),
        })
    }
}

/// The BTF with the path that errors name.
struct Types<'a> {
    types: &'a TypeInformation,
    path: &'a Path,
}

impl Types<'_> {
    fn unknown(&self, what: &'static str) -> PagesError {
        PagesError::UnknownLayout {
            what,
            path: self.path.to_owned(),
        }
    }

    /// Type id and size in bytes of a structure.
    ///
    /// Searched by kind as well as by name: functions and variables share the library's index of
    /// names, and `page` is a likely name for both.
    fn structure(&self, name: &str, what: &'static str) -> Result<(u32, usize)> {
        self.types
            .get()
            .iter()
            .find_map(|(id, kind)| match kind {
                TypeVariant::Struct(structure) if is_named(structure, name) => {
                    Some((*id, *structure.size()))
                }
                _ => None,
            })
            .ok_or_else(|| self.unknown(what))
    }

    fn offset(&self, id: u32, field: &str) -> Option<usize> {
        match self.types.offset_of(id, field) {
            Ok((_, Offset::ByteOffset(offset))) => usize::try_from(offset).ok(),
            _ => None,
        }
    }

    fn required(&self, id: u32, names: &[&str], what: &'static str) -> Result<usize> {
        names
            .iter()
            .find_map(|name| self.offset(id, name))
            .ok_or_else(|| self.unknown(what))
    }

    /// The enumerators of `enum pageflags`, each bit once.
    fn page_flags(&self) -> Result<Vec<(u32, String)>> {
        const END: &str = "__NR_PAGEFLAGS";
        let enumeration = self
            .types
            .get()
            .values()
            .find_map(|kind| match kind {
                TypeVariant::Enum(found) if found.name().as_deref() == Some("pageflags") => {
                    Some(found)
                }
                _ => None,
            })
            .ok_or_else(|| self.unknown("enum pageflags"))?;
        let mut flags: Vec<(u32, String)> = Vec::new();
        for entry in enumeration.named_value_list() {
            // Behind the end only other names follow (include/linux/page-flags.h).
            if entry.name == END {
                break;
            }
            let bit = match entry.value {
                Integer32Value::Signed(value) => u32::try_from(value).unwrap_or(u32::MAX),
                Integer32Value::Unsigned(value) => value,
            };
            if bit < u64::BITS && !flags.iter().any(|(known, _)| *known == bit) {
                let name = entry.name.trim_start_matches("PG_").to_ascii_lowercase();
                flags.push((bit, name));
            }
        }
        Ok(flags)
    }
}

fn is_named(structure: &Struct, name: &str) -> bool {
    structure.name().as_deref() == Some(name)
}

/// A whole BTF file in memory.
struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, destination: &mut [u8]) -> btfparse::Result<()> {
        let source = usize::try_from(offset)
            .ok()
            .and_then(|start| self.0.get(start..start.checked_add(destination.len())?))
            .ok_or_else(|| BtfError::new(ErrorKind::EOF, "the file ends too early"))?;
        destination.copy_from_slice(source);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kernel, Machine};

    #[test]
    fn each_kernels_layout_is_read() {
        let old = Layout::load(Machine::new(Kernel::V6_12).roots()).unwrap();
        assert_eq!((old.page_bytes, old.folio_bytes), (64, 192));
        assert_eq!((old.refcount, old.mapcount, old.head_word), (52, 48, 8));
        assert_eq!(old.head_word_form, HeadWord::Pointer);
        assert_eq!((old.pincount, old.nr_pages), (92, 96));
        assert_eq!(old.large_mapcount, Some(80));
        assert_eq!(old.head_bit, 6);
        let names: Vec<_> = old
            .flag_names
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(names, ["locked", "writeback", "head"]);
        for kernel in [Kernel::V7_2, Kernel::V7_3] {
            let new = Layout::load(Machine::new(kernel).roots()).unwrap();
            assert_eq!(new.head_word_form, HeadWord::PointerOrMask);
            assert_eq!((new.folio_bytes, new.nr_pages), (256, 120));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let machine = Machine::empty();
        assert!(matches!(
            Layout::load(machine.roots()),
            Err(PagesError::Absent {
                needs: "CONFIG_DEBUG_INFO_BTF",
                ..
            })
        ));
        let machine = Machine::new(Kernel::Unknown);
        assert!(matches!(
            Layout::load(machine.roots()),
            Err(PagesError::UnknownLayout {
                what: "folio._pincount",
                ..
            })
        ));
    }

    #[test]
    fn what_is_not_btf_is_refused() {
        let machine = Machine::new(Kernel::V7_3);
        let path = machine.roots().sys.join("kernel/btf/vmlinux");
        let whole = fs::read(&path).unwrap();
        for length in [0, 10, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(
                matches!(
                    Layout::load(machine.roots()),
                    Err(PagesError::Malformed { .. })
                ),
                "{length} bytes"
            );
        }
    }
}
