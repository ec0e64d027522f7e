//! Defects that the lab must find. They are not listed and not run unless named: the tests do
//! (`tests/src/cases/lab_bites.rs`), and whoever wants to see what a finding looks like.

use std::fs;

use crate::bench::{Bench, Via};
use crate::error::io_error;
use crate::puppet::order::{How, Mode, Order, Transfer};
use crate::{Expected, Experiment, Need, Result};

const LEAK: Experiment = Experiment {
    name: "planted-leak",
    question: "A page is pinned through a registered buffer and forgotten: does the lab find it?",
    prediction: "It is violated: more pins acquired than released, and the process that has them is left behind",
    source: "standing.rs, what must hold after every experiment",
    refuted_by: "Any other verdict",
    needs: &[],
    expected: &[Expected::bool("planted", true)],
    run: leak,
    ..Experiment::BLANK
};

/// One an observer.
pub(super) const ALL: &[Experiment] = &[
    LEAK,
    Experiment {
        name: "planted-warning",
        question: "The kernel logs a warning during an experiment: does the lab find it?",
        prediction: "It is violated: the line of the log is the reason",
        run: |bench| {
            bench.see("planted", true);
            fs::write("/dev/kmsg", "WARNING: CPU: 0 planted by the lab\n")
                .map_err(io_error("write to the kernel's log"))
        },
        ..LEAK
    },
    Experiment {
        name: "planted-change",
        question: "A source that should be stable is changed on purpose: does the lab find it?",
        prediction: "It has changed: the two looks at the held source differ",
        expected: &[Expected::bool("source_changed", false)],
        run: change,
        ..LEAK
    },
    Experiment {
        name: "planted-stale",
        question: "The server completes a read before it has filled the destination: does the lab find it?",
        prediction: "It is violated: the reader has its old bytes where data should be (since 7.3 a short answer is taken \
                     for a whole one)",
        needs: &[Need::Kernel(7, 3)],
        run: stale,
        ..LEAK
    },
    Experiment {
        name: "planted-early-look",
        question: "A client looks at its destination before the read is complete: does the lab find it?",
        prediction: "It is violated: what the client took is not what was read",
        run: early_look,
        ..LEAK
    },
    Experiment {
        name: "planted-forgotten-hold",
        question: "An experiment ends while its request is still held: does the lab find it, and is it released?",
        prediction: "The lab heals before it looks, so that nothing is left: it holds",
        run: forgotten,
        ..LEAK
    },
];

fn leak(bench: &Bench<'_>) -> Result<()> {
    let puppet = bench.puppet()?;
    let ring = puppet.ring()?;
    let mem = puppet.filled(4096, 0xaa)?;
    puppet.order(&Order::Register(ring, vec![mem.all()]))?;
    bench.see("planted", true);
    // It dies with the lab, as every puppet does.
    std::mem::forget(puppet);
    Ok(())
}

fn change(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_source(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let before = flight.held.byte(77)?;
    puppet.fill(mem.part(77, 1), 0x42)?;
    bench.see("source_changed", flight.held.byte(77)? != before);
    flight.held.release()?;
    puppet.finish("the write", flight.operation).map(drop)
}

fn stale(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    flight.held.shorten(512)?;
    bench.see("planted", true);
    let count = puppet.finish("the read that was answered early", flight.operation)?;
    let filled = puppet.load(mem.part(0, 4096))? == vec![0; 4096];
    bench.must(
        "what a read counts is what it filled",
        count == 4096 && filled,
    );
    Ok(())
}

fn early_look(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let taken = puppet.load(mem.all())?;
    bench.see("planted", true);
    flight.held.release()?;
    puppet.finish("the read", flight.operation)?;
    bench.must(
        "what the client took is what was read",
        taken == puppet.load(mem.all())?,
    );
    Ok(())
}

fn forgotten(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    bench.held(&armed, &puppet, read)?;
    bench.see("planted", true);
    // The rule stays on purpose, and with it the hold, until the disk goes.
    std::mem::forget(armed);
    Ok(())
}
