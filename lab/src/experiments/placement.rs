//! Whoever wants to move the page of a held read.

use crate::bench::Bench;
use crate::puppet::order::{How, Job, Mode, Part, Transfer};
use crate::{Danger, Expected, Experiment, Need, Result};

/// include/uapi/asm-generic/mman-common.h
const MADV_COLLAPSE: i32 = 25;
const MADV_SOFT_OFFLINE: i32 = 101;
const HUGE: usize = 2 << 20;

const COLLAPSE: Experiment = Experiment {
    name: "collapse",
    question: "The pages around the destination of a held direct read are to become a huge page: is it moved?",
    prediction: "No: collapse gives up on a page with unexpected references; after the release it succeeds",
    source: "hpage_collapse_scan_pmd and __collapse_huge_page_isolate (mm/khugepaged.c)",
    refuted_by: "The frame changes while the request is held",
    needs: &[
        Need::Counts,
        Need::Kernel(6, 1),
        Need::File(
            "/sys/kernel/mm/transparent_hugepage",
            "CONFIG_TRANSPARENT_HUGEPAGE",
        ),
    ],
    expected: &[
        Expected::bool("refused_while_held", true),
        Expected::bool("same_frame", true),
        Expected::bool("data_there", true),
        Expected::count("after_release", 0),
    ],
    run: collapse,
    ..Experiment::BLANK
};

/// The ways.
pub(super) const ALL: &[Experiment] = &[
    COLLAPSE,
    Experiment {
        name: "soft-offline",
        question: "The frame of a held direct read is to be taken offline: is it moved?",
        prediction: "No, EBUSY: a page with a pin cannot be migrated",
        source: "soft_offline_in_use_page (mm/memory-failure.c)",
        refuted_by: "Success, or another frame",
        needs: &[
            Need::Counts,
            Need::File(
                "/proc/sys/vm/memory_failure_recovery",
                "CONFIG_MEMORY_FAILURE",
            ),
        ],
        danger: Danger::VmOnly,
        expected: &[
            Expected::count("while_held", -16),
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: offline,
        ..COLLAPSE
    },
    Experiment {
        name: "compaction",
        question: "All of memory is compacted while a direct read is held: is its page moved?",
        prediction: "No: its pin is an unexpected reference to migration",
        source: "migrate_folio_move_mapping expects the mapping's references only (mm/migrate.c)",
        refuted_by: "Another frame",
        needs: &[
            Need::Counts,
            Need::File("/proc/sys/vm/compact_memory", "CONFIG_COMPACTION"),
        ],
        expected: &[
            Expected::bool("same_frame", true),
            Expected::bool("data_there", true),
        ],
        run: |bench| {
            held_through(bench, |_, _, _| {
                std::fs::write("/proc/sys/vm/compact_memory", "1")
                    .map_err(crate::error::io_error("compact memory"))
            })
        },
        ..COLLAPSE
    },
];

fn collapse(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    // Small pages in a range that could be a huge one.
    let mem = puppet.map(crate::puppet::order::Memory::Thp, HUGE)?;
    puppet.run(Job::Advise(mem.all(), libc::MADV_NOHUGEPAGE))?;
    puppet.fill(mem.all(), 0xaa)?;
    puppet.run(Job::Advise(mem.all(), libc::MADV_HUGEPAGE))?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(
        Transfer::read(file, mem.part(8192, 4096), 1 << 20),
        How::Sync,
    )?;
    let held = bench.held(&armed, &puppet, read)?;
    let before = bench.look(&puppet, mem, 8192)?.pfn;
    let refused = puppet.run(Job::Advise(mem.all(), MADV_COLLAPSE))?;
    bench.see("while_held", refused);
    bench.see("refused_while_held", refused < 0);
    bench.see("same_frame", bench.look(&puppet, mem, 8192)?.pfn == before);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    puppet.finish("the read into the range", read)?;
    bench.see("data_there", puppet.byte(mem.part(8192, 1))? == 0x11);
    bench.see(
        "after_release",
        puppet.run(Job::Advise(mem.all(), MADV_COLLAPSE))?,
    );
    Ok(())
}

fn offline(bench: &Bench<'_>) -> Result<()> {
    held_through(bench, |bench, puppet, part| {
        let code = puppet.run(Job::Advise(part, MADV_SOFT_OFFLINE))?;
        bench.see("while_held", code);
        Ok(())
    })
}

fn held_through(
    bench: &Bench<'_>,
    perturb: impl FnOnce(&Bench<'_>, &crate::puppet::Puppet<'_>, Part) -> Result<()>,
) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let before = bench.look(&puppet, mem, 0)?.pfn;
    perturb(bench, &puppet, mem.all())?;
    bench.see("same_frame", bench.look(&puppet, mem, 0)?.pfn == before);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    puppet.finish("the read into the page", read)?;
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    Ok(())
}
