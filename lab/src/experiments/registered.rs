//! Pins that are taken early: buffers registered with io_uring.

use std::time::Duration;

use crate::bench::{Bench, Via};
use crate::puppet::order::{How, Memory, Mode, Order, Transfer};
use crate::{Expected, Experiment, Need, Result};

const FIXED: Experiment = Experiment {
    name: "fixed-buffer",
    question: "A direct read into a registered buffer: which pins are there, and since when?",
    prediction: "The registration pins once and for good; the read itself takes none (its iterator is a bvec)",
    source: "io_sqe_buffer_register (io_uring/rsrc.c) with FOLL_LONGTERM; bio_iov_bvec_set (block/bio.c)",
    refuted_by: "A pin of the read, or none of the registration",
    needs: &[Need::Counts],
    expected: &[
        Expected::count("acquired_by_registration", 2),
        Expected::count("acquired_by_read", 0),
        Expected::count("page_pins_in_flight", 1),
        Expected::count("page_pins_after_read", 1),
        Expected::count("page_pins_after_unregistering", 0),
    ],
    run: fixed,
    ..Experiment::BLANK
};

/// One a question.
pub(super) const ALL: &[Experiment] = &[
    FIXED,
    Experiment {
        name: "fixed-thp",
        question: "A huge page is registered: how many pins does it get?",
        prediction: "512 are taken; 6.12 and later give all but one back at once, since one pins the folio",
        source: "io_coalesce_buffer (io_uring/rsrc.c)",
        expected: &[
            Expected::count("acquired", 512),
            Expected::count("outstanding", 1).since(6, 12),
            Expected::count("outstanding", 512).before(6, 12),
            Expected::count("outstanding_after", 0),
        ],
        run: thp,
        ..FIXED
    },
    Experiment {
        name: "fixed-unregister",
        question: "A buffer is unregistered while a read into it is held: when does its pin go?",
        prediction: "The call returns at once, and the pin stays until the read is complete (6.13 and later; before, \
                     the call blocks)",
        source: "io_buffer_unmap and the nodes of requests (io_uring/rsrc.c)",
        refuted_by: "The pin goes while the request is held",
        needs: &[Need::Counts, Need::Kernel(6, 13)],
        expected: &[
            Expected::count("pins_after_unregistering", 1),
            Expected::bool("data_there", true),
        ],
        run: unregister,
        ..FIXED
    },
    Experiment {
        name: "fixed-ring-closed",
        question: "The ring is closed while a read into its registered buffer is held: when does the pin go?",
        prediction: "When the read is complete: the ring lives as long as its requests",
        source: "io_ring_exit_work (io_uring/io_uring.c)",
        refuted_by: "The pin goes while the request is held, or never",
        expected: &[
            Expected::count("pins_after_closing", 1),
            Expected::bool("data_there", true),
        ],
        run: closed,
        ..FIXED
    },
    Experiment {
        name: "fixed-fork",
        question: "A process with a registered buffer forks, and the parent stores: does a later read reach the parent?",
        prediction: "Yes: the pinned page stays the parent's, the child gets a copy at fork",
        source: "copy_present_page (mm/memory.c)",
        refuted_by: "The data of the later read is not in the parent's memory",
        expected: &[
            Expected::bool("child_copied_at_fork", true),
            Expected::bool("data_there", true),
        ],
        run: fork,
        ..FIXED
    },
    Experiment {
        name: "uring-cancel",
        question: "An io_uring read that the device holds is cancelled: what happens?",
        prediction: "Nothing: the cancel finds no request that it could end, and the read completes",
        source: "io_try_cancel (io_uring/cancel.c)",
        refuted_by: "The read ends while it is held",
        expected: &[
            Expected::count("cancel", -2),
            Expected::bool("ended_while_held", false),
            Expected::count("read", 4096),
        ],
        run: cancel,
        ..FIXED
    },
];

fn fixed(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let ring = puppet.ring()?;
    let mem = puppet.filled(8192, 0xaa)?;
    bench.newly_acquired()?;
    puppet.order(&Order::Register(ring, vec![mem.all()]))?;
    bench.see("acquired_by_registration", bench.newly_acquired()?);
    let armed = disk.arm("read", 2048, 8)?;
    let read = Transfer::read(file, mem.part(0, 4096), 1 << 20);
    let read = puppet.submit(read, How::Fixed(ring, 0))?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired_by_read", bench.newly_acquired()?);
    bench.see(
        "page_pins_in_flight",
        bench.look(&puppet, mem, 0)?.pin_count,
    );
    held.release()?;
    let count = puppet.finish("the read into the registered buffer", read)?;
    bench.must("the read succeeds", count == 4096);
    bench.see(
        "page_pins_after_read",
        bench.look(&puppet, mem, 0)?.pin_count,
    );
    puppet.order(&Order::Unregister(ring))?;
    let left = bench.settled_pins()?;
    bench.must("the registration's pins are given back", left == 0);
    bench.see(
        "page_pins_after_unregistering",
        bench.look(&puppet, mem, 0)?.pin_count,
    );
    Ok(())
}

fn thp(bench: &Bench<'_>) -> Result<()> {
    let puppet = bench.puppet()?;
    let ring = puppet.ring()?;
    let mem = puppet.map(Memory::Thp, 2 << 20)?;
    puppet.fill(mem.all(), 0xaa)?;
    bench.newly_acquired()?;
    puppet.order(&Order::Register(ring, vec![mem.all()]))?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("outstanding", bench.outstanding()?);
    bench.see("folio_pins", bench.look(&puppet, mem, 0)?.pin_count);
    puppet.order(&Order::Unregister(ring))?;
    bench.see("outstanding_after", bench.settled_pins()?);
    Ok(())
}

fn unregister(bench: &Bench<'_>) -> Result<()> {
    in_flight(bench, "pins_after_unregistering", Order::Unregister)
}

fn closed(bench: &Bench<'_>) -> Result<()> {
    in_flight(bench, "pins_after_closing", Order::CloseRing)
}

/// Holds a read into a registered buffer, gives the order, and looks at the pin before and after the release.
fn in_flight(
    bench: &Bench<'_>,
    key: &str,
    order: fn(crate::puppet::order::RingId) -> Order,
) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let ring = puppet.ring()?;
    let mem = puppet.filled(4096, 0xaa)?;
    puppet.order(&Order::Register(ring, vec![mem.all()]))?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(
        Transfer::read(file, mem.all(), 1 << 20),
        How::Fixed(ring, 0),
    )?;
    let held = bench.held(&armed, &puppet, read)?;
    puppet.order(&order(ring))?;
    // Whatever would give the pin back is asynchronous: give it time.
    std::thread::sleep(Duration::from_millis(50));
    bench.see(key, bench.look(&puppet, mem, 0)?.pin_count);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    let landed = || -> Result<Option<()>> {
        let gone = bench.look(&puppet, mem, 0)?.pin_count == 0;
        Ok(gone.then_some(()))
    };
    bench.until("the pin to be given back after the release", landed)?;
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    Ok(())
}

fn fork(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let ring = puppet.ring()?;
    let mem = puppet.filled(4096, 0xaa)?;
    puppet.order(&Order::Register(ring, vec![mem.all()]))?;
    let pfn = bench.look(&puppet, mem, 0)?.pfn;
    let child = puppet.fork()?;
    let of_child = bench.look(&child, mem, 0)?.pfn;
    bench.see("child_copied_at_fork", of_child != 0 && of_child != pfn);
    puppet.fill(mem.part(0, 1), 0x22)?;
    bench.must(
        "the store copies nothing",
        bench.look(&puppet, mem, 0)?.pfn == pfn,
    );
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(
        Transfer::read(file, mem.all(), 1 << 20),
        How::Fixed(ring, 0),
    )?;
    let held = bench.held(&armed, &puppet, read)?;
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    puppet.finish("the read after the fork", read)?;
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    // The child has the ring's file as well, and the registration lives as long as the ring.
    puppet.order(&Order::Unregister(ring))
}

fn cancel(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Ring)?;
    let puppet = &flight.puppet;
    let cancel = puppet.cancel(flight.operation)?;
    bench.see(
        "cancel",
        puppet.finish("the cancel to be answered", cancel)?,
    );
    let early = puppet.poll(flight.operation, Duration::from_millis(50))?;
    bench.see("ended_while_held", early.is_some());
    flight.held.release()?;
    bench.see(
        "read",
        puppet.finish("the read that was not cancelled", flight.operation)?,
    );
    Ok(())
}
