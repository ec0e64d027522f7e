//! What can be learnt on this machine by this process, and what the rest would take.

use serde::Serialize;

use crate::kcore::Kcore;
use crate::kpage::Kpage;
use crate::layout::Layout;
use crate::oracle::SoftDirty;
use crate::pagemap::Pagemap;
use crate::{Result, Roots, VmStat, kallsyms, page_cache, scope};

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub gives: &'static str,
    /// Why it cannot be used, and what it would take; none if it can.
    pub missing: Option<String>,
    /// What serves in its place.
    pub instead: Option<&'static str>,
}

const ORACLES: &str = "whether pages may be pinned, by the soft-dirty and fork oracles";

/// Tries every source once. Nothing is changed on the machine.
#[must_use]
pub fn sources(roots: &Roots) -> Vec<Source> {
    let mut found = own_pagemap(roots);
    let kpage = Kpage::open(roots);
    let kcore = Kcore::open(roots);
    let symbol = kallsyms::address_of(roots, "vmemmap_base");
    let layout = Layout::load(roots);
    let vmstat = VmStat::new(roots).pins();
    let oracle = SoftDirty::of(roots, std::process::id());
    let trace = page_cache::check(roots);
    found.extend([
        source("kpageflags", "flags and mappings of a frame", &kpage)
            .or_instead("the bits of pagemap"),
        source(
            "kcore",
            "pin counts, references, mappings, the folio of a page",
            &kcore,
        )
        .or_instead(ORACLES),
        source("kallsyms", "where struct page is, for kcore", &symbol).or_instead(ORACLES),
        source("BTF", "how struct page is laid out, for kcore", &layout).or_instead(ORACLES),
        source(
            "vmstat",
            "pins taken and given back by the whole machine",
            &vmstat,
        ),
        source(
            "soft-dirty oracle",
            "whether an anonymous page may be pinned, unprivileged",
            &oracle,
        )
        .or_instead("the fork oracle"),
        source(
            "page-cache trace",
            "frames that buffered I/O adds to the page cache",
            &trace,
        ),
    ]);
    found
}

/// What this process's own pagemap tells it.
fn own_pagemap(roots: &Roots) -> Vec<Source> {
    let own = Pagemap::open(roots, std::process::id());
    let bits = "present, swapped, file, exclusive, soft-dirty, uffd-wp";
    let mut found = vec![source("pagemap", bits, &own)];
    if let Ok(map) = own {
        let frame = own_frame(roots, &map);
        found.push(source(
            "pagemap frames",
            "the frame behind an address",
            &frame,
        ));
        let old = "the kernel is older than 6.15, which first tells them";
        found.push(Source {
            name: "pagemap guards",
            gives: "guard regions",
            missing: (!map.tells_guards()).then(|| old.to_owned()),
            instead: None,
        });
    }
    found
}

fn source<T>(name: &'static str, gives: &'static str, tried: &Result<T>) -> Source {
    let missing = tried.as_ref().err();
    Source {
        name,
        gives,
        missing: missing.map(|error| format!("failed to {error}")),
        instead: None,
    }
}

impl Source {
    fn or_instead(self, instead: &'static str) -> Self {
        Self {
            instead: self.missing.is_some().then_some(instead),
            ..self
        }
    }
}

/// Whether pagemap tells frames: of a page of this process that is surely there, its stack's.
fn own_frame(roots: &Roots, map: &Pagemap) -> Result<()> {
    let local = 0_u8;
    let address = (&raw const local).addr() as u64;
    let entry = map.entry(address)?;
    match entry.pfn {
        None if entry.present => Err(scope::hidden(roots, address)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kernel, Machine};
    use std::fs;

    #[test]
    fn each_missing_source_is_named_with_what_serves_instead() {
        let machine = Machine::new(Kernel::V7_3);
        fs::remove_file(machine.roots().sys.join("kernel/btf/vmlinux")).unwrap();
        let found = sources(machine.roots());
        let of = |name: &str| found.iter().find(|source| source.name == name).unwrap();
        assert_eq!(of("kcore").missing, None);
        assert_eq!(of("kcore").instead, None);
        let btf = of("BTF");
        assert!(
            btf.missing
                .as_ref()
                .unwrap()
                .contains("CONFIG_DEBUG_INFO_BTF")
        );
        assert!(btf.instead.unwrap().contains("oracles"));
    }
}
