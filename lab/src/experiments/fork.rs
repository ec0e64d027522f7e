//! fork(2) while the device is to write into the parent's memory.

use crate::bench::Bench;
use crate::puppet::order::{How, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Is, Need, Result};

const STORED: u8 = 0x22;
const OLD: u8 = 0xaa;
const DATA: u8 = 0x11;

const PARENT_STORES: Experiment = Experiment {
    name: "fork-parent-stores",
    question: "A direct read of 512 bytes is in flight, the process forks and then stores elsewhere in the \
               page: who gets the data?",
    prediction: "The parent: a pinned page is copied for the child at once, so that the parent's store breaks \
                 nothing. Before 6.5 the read is not pinned, the store copies the page, and the data is lost",
    source: "copy_present_page (mm/memory.c), folio_needs_cow_for_dma (include/linux/mm.h), commit 70e806e4e645",
    refuted_by: "The parent reads what was there before the read",
    needs: &[Need::Counts],
    expected: &[
        Expected::bool("parent_has_data", false).before(6, 5),
        Expected::bool("parent_has_data", true).since(6, 5),
        Expected::bool("child_has_data", true).before(6, 5),
        Expected::bool("child_has_data", false).since(6, 5),
        Expected::bool("child_copied_at_fork", false).before(6, 5),
        Expected::bool("child_copied_at_fork", true).since(6, 5),
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
    ],
    run: |bench| forked(bench, Memory::Private, Who::Parent),
    ..Experiment::BLANK
};

/// The kinds of memory and who stores.
pub(super) const ALL: &[Experiment] = &[
    PARENT_STORES,
    Experiment {
        name: "fork-child-stores",
        question: "The same, but the child stores into the page: does the parent get its data?",
        prediction: "Yes on every kernel: it is the child's page that is copied, and it keeps the old bytes",
        refuted_by: "The parent lacks the data, or the child sees it",
        expected: &[
            Expected::bool("parent_has_data", true),
            Expected::bool("child_has_data", false),
            Expected::bool("child_copied_at_fork", false).before(6, 5),
            Expected::bool("child_copied_at_fork", true).since(6, 5),
        ],
        run: |bench| forked(bench, Memory::Private, Who::Child),
        ..PARENT_STORES
    },
    Experiment {
        name: "fork-thp",
        question: "The same in a transparent huge page: does the parent get its data?",
        prediction: "Yes: no page of a pinned folio is shared with the child (6.5 and later)",
        source: "copy_huge_pmd (mm/huge_memory.c) splits, then copy_present_page copies",
        expected: &[
            Expected::bool("parent_has_data", false).before(6, 5),
            Expected::bool("parent_has_data", true).since(6, 5),
            Expected::bool("child_has_data", true).before(6, 5),
            Expected::bool("child_has_data", false).since(6, 5),
            Expected::bool("child_copied_at_fork", false).before(6, 5),
            Expected::bool("child_copied_at_fork", true).since(6, 5),
            Expected::new("order", Is::Count(9)),
        ],
        needs: &[
            Need::Counts,
            Need::File(
                "/sys/kernel/mm/transparent_hugepage",
                "CONFIG_TRANSPARENT_HUGEPAGE",
            ),
        ],
        run: |bench| forked(bench, Memory::Thp, Who::Parent),
        ..PARENT_STORES
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Parent,
    Child,
}

fn forked(bench: &Bench<'_>, memory: Memory, who: Who) -> Result<()> {
    let disk = bench.disk()?;
    let parent = bench.puppet()?;
    let file = parent.open(disk.path(), Mode::DIRECT)?;
    let bytes = if memory == Memory::Thp { 2 << 20 } else { 4096 };
    let mem = parent.map(memory, bytes)?;
    parent.fill(mem.all(), OLD)?;
    let armed = disk.arm("read", 2048, 1)?;
    let read = parent.submit(Transfer::read(file, mem.part(0, 512), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &parent, read)?;
    let before = bench.look(&parent, mem, 0)?;
    bench.see("pins_in_flight", before.pin_count);
    if memory == Memory::Thp {
        bench.see("order", bench.frame(before.pfn)?.order);
    }
    let child = parent.fork()?;
    let of_child = bench.look(&child, mem, 0)?;
    bench.see(
        "child_copied_at_fork",
        of_child.pfn != 0 && of_child.pfn != before.pfn,
    );
    let stores = if who == Who::Parent { &parent } else { &child };
    stores.fill(mem.part(2048, 1), STORED)?;
    held.poke(0, DATA, 512)?;
    held.release()?;
    let count = parent.finish("the read to come back after the fork", read)?;
    bench.must("the read succeeds", count == 512);
    bench.see("parent_has_data", parent.byte(mem.part(0, 512))? == DATA);
    bench.see("child_has_data", child.byte(mem.part(0, 512))? == DATA);
    bench.must(
        "who stored sees the store",
        stores.byte(mem.part(2048, 1))? == STORED,
    );
    Ok(())
}
