//! What the owner of a destination does to its address space while the device is to write there.

use crate::bench::{Bench, Via};
use crate::puppet::Puppet;
use crate::puppet::order::{Job, Mem};
use crate::{Expected, Experiment, Need, Result};

const DATA: u8 = 0x11;

const UNMAP: Experiment = Experiment {
    name: "munmap",
    question: "The destination of a held direct read is unmapped: where does the data go?",
    prediction: "Into the page, which only the pin keeps; it is freed after the release, and the read succeeds",
    source: "zap_present_ptes (mm/memory.c) drops the mapping; bio_release_pages drops the pin (6.5 and later), \
             the reference before",
    refuted_by: "The frame is free while the read is held, or the read fails",
    needs: &[Need::Counts],
    expected: &[
        Expected::count("map_count_in_flight", 0),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("pins_after", 0),
    ],
    run: unmap,
    ..Experiment::BLANK
};

/// One experiment a call.
pub(super) const ALL: &[Experiment] = &[
    UNMAP,
    Experiment {
        name: "mremap",
        question: "The destination of a held direct read is moved to another address: where does the data land?",
        prediction: "At the new address: the page is moved, and the pin is the page's",
        source: "move_page_tables (mm/mremap.c) moves page table entries only",
        refuted_by: "The data is not at the new address, or the frame is another",
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| stays(bench, |puppet, mem| puppet.remap(mem)),
        ..UNMAP
    },
    Experiment {
        name: "mprotect",
        question: "The destination of a held direct read becomes PROT_NONE: does the data land?",
        prediction: "Yes: protection is the page table's, and the device does not go through it",
        source: "change_protection (mm/mprotect.c); Documentation/core-api/pin_user_pages.rst",
        refuted_by: "The read fails, or the data is not there when the page is made readable again",
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| {
            stays(bench, |puppet, mem| {
                done(bench, puppet, Job::Protect(mem.all(), libc::PROT_NONE), 0)?;
                Ok(mem)
            })
        },
        ..UNMAP
    },
    Experiment {
        name: "madv-free",
        question: "The destination of a held direct read is given MADV_FREE and MADV_PAGEOUT: may it be freed?",
        prediction: "No: a page with an extra pin or reference is not freed, and the data is there",
        source: "shrink_folio_list (mm/vmscan.c): folio_maybe_dma_pinned, and folio_ref_freeze for others",
        refuted_by: "The frame changes or the data is lost",
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| {
            stays(bench, |puppet, mem| {
                done(bench, puppet, Job::Advise(mem.all(), libc::MADV_FREE), 0)?;
                done(bench, puppet, Job::Advise(mem.all(), libc::MADV_PAGEOUT), 0)?;
                Ok(mem)
            })
        },
        ..UNMAP
    },
    Experiment {
        name: "pageout",
        question: "The destination of a held direct read is given MADV_PAGEOUT: may it be reclaimed?",
        prediction: "No: the frame stays and the data lands (without swap nothing else could be reclaimed either)",
        source: "shrink_folio_list (mm/vmscan.c)",
        refuted_by: "The frame changes or the data is lost",
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| {
            stays(bench, |puppet, mem| {
                done(bench, puppet, Job::Advise(mem.all(), libc::MADV_PAGEOUT), 0)?;
                Ok(mem)
            })
        },
        ..UNMAP
    },
    Experiment {
        name: "madv-dontneed",
        question: "The destination of a held direct read is given MADV_DONTNEED and touched again: where is the data?",
        prediction: "In the page that nobody maps any more; the new page is zero, and nothing leaks",
        source: "madvise_dontneed_single_vma (mm/madvise.c) zaps, pinned or not",
        refuted_by: "The new page has the data, or the old frame stays pinned after the release",
        expected: &[
            Expected::bool("same_frame", false),
            Expected::bool("data_there", false),
            Expected::count("pins_after", 0),
        ],
        run: |bench| {
            stays(bench, |puppet, mem| {
                done(
                    bench,
                    puppet,
                    Job::Advise(mem.all(), libc::MADV_DONTNEED),
                    0,
                )?;
                bench.must("the new page is zero", puppet.byte(mem.all())? == 0);
                puppet.fill(mem.part(100, 1), 1)?;
                Ok(mem)
            })
        },
        ..UNMAP
    },
    Experiment {
        name: "mlock",
        question: "The destination of a held direct read is locked into memory and unlocked: does it matter?",
        prediction: "No: mlock and pins know nothing of each other",
        source: "mlock_folio (mm/mlock.c)",
        refuted_by: "The frame changes or the data is lost",
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| {
            stays(bench, |puppet, mem| {
                done(bench, puppet, Job::Lock(mem.all(), true), 0)?;
                done(bench, puppet, Job::Lock(mem.all(), false), 0)?;
                Ok(mem)
            })
        },
        ..UNMAP
    },
];

/// Does a job that must end with this number.
fn done(bench: &Bench<'_>, puppet: &Puppet<'_>, job: Job, expected: i64) -> Result<()> {
    let what = format!("{job:?} ends with {expected}");
    let ended = puppet.run(job)?;
    bench.must(&what, ended == expected);
    Ok(())
}

fn unmap(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let pfn = bench.look(puppet, mem, 0)?.pfn;
    done(bench, puppet, Job::Unmap(mem.all()), 0)?;
    let state = bench.frame(pfn)?;
    bench.see("map_count_in_flight", state.map_count);
    bench.see("pins_in_flight", state.pin_count);
    bench.must(
        "the page is kept while it is in flight",
        state.pin_count + state.ref_count > 0,
    );
    flight.held.release()?;
    let count = puppet.finish("the read of the unmapped page", flight.operation)?;
    bench.must("the read succeeds", count == 4096);
    // The frame may be somebody else's by now, so that its references say nothing.
    bench.see("pins_after", bench.frame(pfn)?.pin_count);
    Ok(())
}

/// Holds a read, perturbs its destination, and looks where the frame and the data are then.
fn stays(bench: &Bench<'_>, perturb: impl FnOnce(&Puppet<'_>, Mem) -> Result<Mem>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let pfn = bench.look(puppet, mem, 0)?.pfn;
    let mem = perturb(puppet, mem)?;
    let now = bench.look(puppet, mem, 0)?.pfn;
    flight.held.poke(0, DATA, 4096)?;
    flight.held.release()?;
    let count = puppet.finish("the read of the perturbed page", flight.operation)?;
    bench.must("the read succeeds", count == 4096);
    puppet.run(Job::Protect(mem.all(), libc::PROT_READ | libc::PROT_WRITE))?;
    let after = bench.look(puppet, mem, 0)?.pfn;
    // A page table entry without access hides the frame from pagemap on some kernels.
    bench.see("same_frame", pfn == after && (now == 0 || now == pfn));
    bench.see("data_there", puppet.byte(mem.all())? == DATA);
    bench.see("pins_after", bench.frame(pfn)?.pin_count);
    Ok(())
}
