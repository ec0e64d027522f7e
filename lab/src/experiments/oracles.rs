//! Signs of a pin that need no look into kernel memory.

use std::fs;

use crate::bench::{Bench, Via};
use crate::error::io_error;
use crate::puppet::order::{How, Mode, Order, Transfer};
use crate::{Expected, Experiment, Need, Result};

/// Bits of a pagemap entry.
const SOFT_DIRTY: u32 = 55;
const EXCLUSIVE: u32 = 56;

const ORACLE: Experiment = Experiment {
    name: "soft-dirty-oracle",
    question: "clear_refs while a direct read is held: does the page keep its soft-dirty bit?",
    prediction: "Yes, because a pinned page is not write-protected; its neighbour loses it",
    source: "pte_is_pinned and clear_soft_dirty (fs/proc/task_mmu.c)",
    refuted_by: "The held page loses the bit, or the neighbour keeps it",
    needs: &[Need::Counts],
    expected: &[
        Expected::bool("held_page", true).since(6, 5),
        Expected::bool("held_page", false).before(6, 5),
        Expected::bool("neighbour", false),
        Expected::bool("held_page_after", false),
    ],
    run: soft_dirty,
    ..Experiment::BLANK
};

/// One a sign.
pub(super) const ALL: &[Experiment] = &[
    ORACLE,
    Experiment {
        name: "exclusive-oracle",
        question: "fork while a direct read is held: does the page stay exclusive to the parent?",
        prediction: "Yes, because a pinned page is copied; its neighbour is shared",
        source: "PG_anon_exclusive, folio_try_dup_anon_rmap_pte (include/linux/rmap.h)",
        refuted_by: "The held page is shared with the child, or the neighbour is not",
        expected: &[
            Expected::bool("held_page", false).before(6, 5),
            Expected::bool("held_page", true).since(6, 5),
            Expected::bool("neighbour", false),
            Expected::bool("child_page", false).before(6, 5),
            Expected::bool("child_page", true).since(6, 5),
        ],
        run: exclusive,
        ..ORACLE
    },
    Experiment {
        name: "fuzzy-pin",
        question: "A page has more than 1024 plain references and no pin: do the kernel and its oracle take it for pinned?",
        prediction: "Yes, once the process has ever pinned anything: the test is a maybe",
        source: "folio_maybe_dma_pinned (include/linux/mm.h): refcount >= GUP_PIN_COUNTING_BIAS; MMF_HAS_PINNED",
        refuted_by: "The page loses its soft-dirty bit",
        expected: &[
            Expected::count("pins_acquired", 0),
            Expected::bool("looks_pinned", false).before(6, 5),
            Expected::bool("looks_pinned", true).since(6, 5),
        ],
        run: fuzzy,
        ..ORACLE
    },
];

fn clear_soft_dirty(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "4").map_err(io_error("clear the soft-dirty bits"))
}

fn soft_dirty(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let before = bench.pagemap_bit(puppet, mem, 4096, SOFT_DIRTY)?;
    bench.must("a page that was stored to is soft-dirty", before);
    clear_soft_dirty(puppet.pid())?;
    bench.see("held_page", bench.pagemap_bit(puppet, mem, 0, SOFT_DIRTY)?);
    bench.see(
        "neighbour",
        bench.pagemap_bit(puppet, mem, 4096, SOFT_DIRTY)?,
    );
    flight.held.release()?;
    puppet.finish("the read to come back", flight.operation)?;
    clear_soft_dirty(puppet.pid())?;
    bench.see(
        "held_page_after",
        bench.pagemap_bit(puppet, mem, 0, SOFT_DIRTY)?,
    );
    Ok(())
}

fn exclusive(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let child = puppet.fork()?;
    bench.see("held_page", bench.pagemap_bit(puppet, mem, 0, EXCLUSIVE)?);
    bench.see(
        "neighbour",
        bench.pagemap_bit(puppet, mem, 4096, EXCLUSIVE)?,
    );
    bench.see("child_page", bench.pagemap_bit(&child, mem, 0, EXCLUSIVE)?);
    flight.held.release()?;
    puppet.finish("the read to come back", flight.operation)?;
    Ok(())
}

fn fuzzy(bench: &Bench<'_>) -> Result<()> {
    // Pipes of 16 slots each.
    const PIPES: usize = 70;
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let first = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    puppet.finish("a read that nothing holds", first)?;
    bench.newly_acquired()?;
    for _ in 0..PIPES {
        let (_, into) = puppet.pipe()?;
        puppet.order(&Order::FillPipe(into, mem.all(), 16))?;
    }
    bench.see("pins_acquired", bench.newly_acquired()?);
    bench.see("references", bench.look(&puppet, mem, 0)?.ref_count);
    clear_soft_dirty(puppet.pid())?;
    bench.see(
        "looks_pinned",
        bench.pagemap_bit(&puppet, mem, 0, SOFT_DIRTY)?,
    );
    Ok(())
}
