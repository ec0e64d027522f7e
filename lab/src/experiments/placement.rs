//! Whoever wants to move the page of a held read.

use crate::bench::{Bench, OLD, Via};
use crate::puppet::order::{How, Job, Memory, Mode, Part, Transfer};
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
    Experiment {
        name: "uffd-move",
        question: "The page of a held direct read is to be moved to another address by UFFDIO_MOVE: is it?",
        prediction: "No, EBUSY, as the caller was promised its own page; its neighbour moves, and it does after the release",
        source: "move_present_ptes (mm/userfaultfd.c): folio_maybe_dma_pinned",
        refuted_by: "Success while the request is held, or a refusal for the neighbour",
        needs: &[Need::Counts, Need::Kernel(6, 8)],
        expected: &[
            Expected::count("held_page", -16),
            Expected::bool("same_frame", true),
            Expected::count("neighbour", 0),
            Expected::count("after_release", 0),
            Expected::bool("data_there", true),
        ],
        run: uffd_move,
        ..COLLAPSE
    },
    Experiment {
        name: "move-pages",
        question: "The page of a held direct read is to go to another memory node by move_pages: does it?",
        prediction: "No: its pin is an unexpected reference to migration; its neighbour goes, and it does after the release",
        source: "add_folio_for_migration and do_pages_move (mm/migrate.c)",
        refuted_by: "Another frame while the request is held, or a neighbour that stays",
        needs: &[
            Need::Counts,
            Need::File(
                "/sys/devices/system/node/node1",
                "a second memory node (`bvecctl vm run --nodes 2` makes one)",
            ),
        ],
        expected: &[
            Expected::bool("same_frame", true),
            Expected::count("neighbour_node", 1),
            Expected::count("node_after_release", 1),
            Expected::bool("moved", true),
            Expected::bool("data_there", true),
        ],
        run: nodes,
        ..COLLAPSE
    },
];

fn uffd_move(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let to = puppet.map(Memory::Private, 8192)?;
    let move_page = |at| puppet.run(Job::Move(mem.part(at, 4096), to.part(at, 4096)));
    let before = bench.look(puppet, mem, 0)?.pfn;
    bench.see("held_page", move_page(0)?);
    bench.see("same_frame", bench.look(puppet, mem, 0)?.pfn == before);
    bench.see("neighbour", move_page(4096)?);
    bench.must(
        "the neighbour's bytes are at its new address",
        puppet.byte(to.part(4096, 1))? == OLD,
    );
    flight.held.poke(0, 0x11, 4096)?;
    flight.held.release()?;
    puppet.finish("the read into the page", flight.operation)?;
    bench.see("after_release", move_page(0)?);
    bench.see("data_there", puppet.byte(to.part(0, 1))? == 0x11);
    Ok(())
}

fn nodes(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(8192, 0xaa)?;
    let migrate = |at, node| puppet.run(Job::Migrate(mem.part(at, 4096), node));
    // Both begin on the same node, so that the neighbour shows what would happen.
    for at in [0, 4096] {
        let node = migrate(at, 0)?;
        bench.must("a page that nobody pins moves", node == 0);
    }
    let armed = disk.arm("read", 2048, 8)?;
    let read = Transfer::read(file, mem.part(0, 4096), 1 << 20);
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let before = bench.look(&puppet, mem, 0)?.pfn;
    bench.see("answer", migrate(0, 1)?);
    bench.see("same_frame", bench.look(&puppet, mem, 0)?.pfn == before);
    bench.see("neighbour_node", migrate(4096, 1)?);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    puppet.finish("the read into the page", read)?;
    bench.see("node_after_release", migrate(0, 1)?);
    bench.see("moved", bench.look(&puppet, mem, 0)?.pfn != before);
    bench.see("data_there", puppet.byte(mem.part(0, 1))? == 0x11);
    Ok(())
}

fn collapse(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    // Small pages in a range that could be a huge one.
    let mem = puppet.map(Memory::Thp, HUGE)?;
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
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let before = bench.look(puppet, mem, 0)?.pfn;
    perturb(bench, puppet, mem.part(0, 4096))?;
    bench.see("same_frame", bench.look(puppet, mem, 0)?.pfn == before);
    flight.held.poke(0, 0x11, 4096)?;
    flight.held.release()?;
    puppet.finish("the read into the page", flight.operation)?;
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    Ok(())
}
