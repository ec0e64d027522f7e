//! Looking at pages with whatever this machine and this process allow.

use serde::{Deserialize, Serialize};

use crate::kpage::Kpage;
use crate::oracle::SoftDirty;
use crate::pagemap::Pagemap;
use crate::snapshot::{KpageView, PageView, Range};
use crate::{PAGE_SIZE_BYTES, PageScope, PagesError, Result, Roots};

/// Where it is to be learnt from whether pages are pinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pins {
    /// Counts if they can be had, else the oracle.
    #[default]
    Auto,
    /// Counts or nothing.
    Kcore,
    /// The oracle of soft-dirty bits, which clears those of the process; see [`crate::oracle`].
    SoftDirty,
    /// Nothing is asked and nothing changed.
    None,
}

/// Something that cannot be had here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What it is.
    pub what: &'static str,
    /// Why not, and what it takes.
    pub why: String,
    /// What there is instead.
    pub instead: &'static str,
}

/// An instrument that says what it lacks and goes on without.
#[derive(Debug)]
pub struct Viewer {
    roots: Roots,
    scope: Option<PageScope>,
    kpage: Option<Kpage>,
    oracle: bool,
    missing: Vec<Missing>,
}

impl Viewer {
    /// Opens what there is.
    ///
    /// # Errors
    /// What [`Pins::Kcore`] or [`Pins::SoftDirty`] asked for, if it cannot be had.
    pub fn open(roots: Roots, pins: Pins) -> Result<Self> {
        let mut viewer = Self {
            scope: None,
            kpage: None,
            oracle: false,
            missing: Vec::new(),
            roots,
        };
        match pins {
            Pins::Kcore => viewer.scope = Some(PageScope::open_at(viewer.roots.clone())?),
            Pins::Auto => match PageScope::open_at(viewer.roots.clone()) {
                Ok(scope) => viewer.scope = Some(scope),
                Err(error) => viewer.fall_back(&error),
            },
            Pins::SoftDirty => {
                SoftDirty::of(&viewer.roots, std::process::id())?;
                viewer.oracle = true;
                viewer.open_kpage();
            }
            Pins::None => viewer.open_kpage(),
        }
        Ok(viewer)
    }

    /// What this one goes without.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    fn fall_back(&mut self, error: &PagesError) {
        let instead = match SoftDirty::of(&self.roots, std::process::id()) {
            Ok(_) => {
                self.oracle = true;
                "which pages may be pinned, by soft-dirty bits"
            }
            Err(_) => "nothing: this kernel has no soft-dirty bits either",
        };
        self.missing.push(Missing {
            what: "pin counts, references and mappings of folios",
            why: format!("failed to {error}"),
            instead,
        });
        self.open_kpage();
    }

    fn open_kpage(&mut self) {
        match Kpage::open(&self.roots) {
            Ok(kpage) => self.kpage = Some(kpage),
            Err(error) => self.missing.push(Missing {
                what: "flags and mappings of frames",
                why: format!("failed to {error}"),
                instead: "what pagemap tells: present, swapped, file, exclusive, soft-dirty, guard",
            }),
        }
    }

    /// Every page of process `pid` that `length_bytes` from `address` touch, in address order, as far
    /// as it can be seen.
    ///
    /// # Errors
    /// [`PagesError::BadRange`], [`PagesError::NoProcess`], [`PagesError::NotAllowed`] for a process of
    /// somebody else, [`PagesError::Io`].
    pub fn snapshot(&self, pid: u32, address: u64, length_bytes: u64) -> Result<Vec<PageView>> {
        if let Some(scope) = &self.scope {
            return scope.snapshot(pid, address, length_bytes);
        }
        let range = Range::new(address, length_bytes)?;
        let entries = Pagemap::open(&self.roots, pid)?.entries(range.first, range.pages)?;
        let pinned = if self.oracle {
            let answers = SoftDirty::of(&self.roots, pid)?.ask(range.first, range.pages)?;
            answers.into_iter().map(Some).collect()
        } else {
            vec![None; range.pages]
        };
        (range.first..)
            .zip(entries)
            .zip(pinned)
            .map(|((page, pagemap), pinned)| {
                let kpage = match (&self.kpage, pagemap.pfn) {
                    (Some(kpage), Some(pfn)) => Some(KpageView {
                        flags: kpage.flags(pfn)?.names(),
                        map_count: kpage.map_count(pfn)?,
                    }),
                    _ => None,
                };
                Ok(PageView {
                    address: page * PAGE_SIZE_BYTES,
                    pagemap,
                    state: None,
                    kpage,
                    pinned,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kernel, Machine};
    use std::fs;

    #[test]
    fn counts_are_preferred() {
        let mut machine = Machine::new(Kernel::V7_3);
        machine.small(9, 1024 + 2, 1);
        machine.map(42, &[(0x7000, 9)]);
        let viewer = Viewer::open(machine.roots().clone(), Pins::Auto).unwrap();
        assert_eq!(viewer.missing(), []);
        let views = viewer.snapshot(42, 0x7000, 1).unwrap();
        assert_eq!(views[0].state.as_ref().unwrap().pin_count, 1);
        assert!(views[0].kpage.is_none() && views[0].pinned.is_none());
    }

    #[test]
    fn without_btf_the_rest_is_shown_and_the_reason_told() {
        let machine = Machine::new(Kernel::V7_3);
        machine.map(42, &[(0x7000, 9)]);
        fs::remove_file(machine.roots().sys.join("kernel/btf/vmlinux")).unwrap();
        let viewer = Viewer::open(machine.roots().clone(), Pins::Auto).unwrap();
        let missing = viewer.missing();
        assert_eq!(missing.len(), 1);
        assert!(
            missing[0].why.contains("CONFIG_DEBUG_INFO_BTF"),
            "{missing:?}"
        );
        let views = viewer.snapshot(42, 0x7000, 1).unwrap();
        assert_eq!(views[0].pagemap.pfn, Some(9));
        assert!(views[0].state.is_none() && views[0].kpage.is_some());
        let error = Viewer::open(machine.roots().clone(), Pins::Kcore).unwrap_err();
        assert!(error.is_missing_requirement());
    }

    #[test]
    fn pagemap_alone_is_enough() {
        let machine = Machine::new(Kernel::V7_3);
        machine.map(42, &[(0x7000, 9)]);
        for file in ["kcore", "kpageflags"] {
            fs::remove_file(machine.roots().proc.join(file)).unwrap();
        }
        let viewer = Viewer::open(machine.roots().clone(), Pins::Auto).unwrap();
        assert_eq!(viewer.missing().len(), 2);
        let views = viewer.snapshot(42, 0x7000, 1).unwrap();
        assert!(views[0].pagemap.present && views[0].kpage.is_none());
    }
}
