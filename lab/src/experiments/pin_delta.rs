//! One pin per page of a direct transfer, from its submission to its completion, in either direction.

use std::time::Duration;

use crate::bench::Bench;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};

const SOURCE: &str = "bio_iov_iter_get_pages (block/bio.c) extracts user pages with a pin since 6.5; \
    iov_iter_extract_will_pin (include/linux/uio.h) does not ask for the direction";

const DESTINATION: Experiment = Experiment {
    name: "pin-destination",
    question: "How many pins does a direct read of two pages take, and for how long?",
    prediction: "One per page from submission to completion, in pread, AIO and io_uring alike; none afterwards",
    source: SOURCE,
    refuted_by: "Another number of pins while the request is held, or pins that stay",
    needs: &[Need::Counts],
    expected: &[
        Expected::count("sync_acquired", 2).since(6, 5),
        Expected::count("aio_acquired", 0).before(6, 5),
        Expected::count("aio_acquired", 2).since(6, 5),
        Expected::count("uring_acquired", 0).before(6, 5),
        Expected::count("uring_acquired", 2).since(6, 5),
        Expected::count("sync_page_pins", 1).since(6, 5),
        Expected::count("aio_page_pins", 0).before(6, 5),
        Expected::count("aio_page_pins", 1).since(6, 5),
        Expected::count("uring_page_pins", 0).before(6, 5),
        Expected::count("uring_page_pins", 1).since(6, 5),
        Expected::count("sync_acquired", 0).before(6, 5),
        Expected::count("sync_page_pins", 0).before(6, 5),
    ],
    run: |bench| each_way(bench, "read"),
    ..Experiment::BLANK
};

/// The same for a source.
pub(super) const ALL: &[Experiment] = &[
    DESTINATION,
    Experiment {
        name: "pin-source",
        question: "How many pins does a direct write of two pages take, although a source needs none?",
        prediction: "One per page as for a read: the rule of 2022 asks for a reference only, 6.5 and later pin all the same",
        run: |bench| each_way(bench, "write"),
        ..DESTINATION
    },
];

fn each_way(bench: &Bench<'_>, op: &str) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let ring = puppet.ring()?;
    for (name, how) in [
        ("sync", How::Sync),
        ("aio", How::Aio),
        ("uring", How::Ring(ring)),
    ] {
        let mem = puppet.filled(8192, 0xaa)?;
        let transfer = match op {
            "read" => Transfer::read(file, mem.all(), 1 << 20),
            _ => Transfer::write(file, mem.all(), 1 << 20),
        };
        bench.newly_acquired()?;
        let armed = disk.arm(op, 2048, 16)?;
        let operation = puppet.submit(transfer, how)?;
        let held = bench.held(&armed, &puppet, operation)?;
        bench.see(&format!("{name}_acquired"), bench.newly_acquired()?);
        let page = bench.look(&puppet, mem, 4096)?;
        bench.see(&format!("{name}_page_pins"), page.pin_count);
        let early = puppet.poll(operation, Duration::ZERO)?;
        bench.must("a held request has not come back", early.is_none());
        held.release()?;
        let count = puppet.finish("the released request to come back", operation)?;
        bench.must("all bytes are transferred", count == 8192);
        let left = bench.settled_pins()?;
        bench.must(
            "the pins are given back when the request is complete",
            left == 0,
        );
    }
    Ok(())
}
