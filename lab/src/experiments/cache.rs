//! Direct I/O beside the page cache of the same device.

use crate::bench::{Bench, Via, WRITTEN};
use crate::puppet::Puppet;
use crate::puppet::order::{FileId, How, Job, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Is, Need, Result};

/// Where it happens, in bytes.
const PLACE: u64 = 1 << 20;

const SYNC: Experiment = Experiment {
    name: "stale-cache-sync",
    question: "A direct write is held, somebody reads the block through the page cache, the write completes: is the cache stale?",
    prediction: "No with a synchronous write: it throws the cached page out again when it is complete",
    source: "kiocb_invalidate_post_direct_write (mm/filemap.c)",
    refuted_by: "A buffered read that shows the old bytes after the write",
    needs: &[],
    expected: &[
        Expected::bool("cached_old_bytes", true),
        Expected::bool("stale", false),
    ],
    run: |bench| stale(bench, Via::Sync),
    ..Experiment::BLANK
};

/// The ways.
pub(super) const ALL: &[Experiment] = &[
    SYNC,
    Experiment {
        name: "stale-cache-aio",
        question: "The same with an asynchronous write: is the cache stale?",
        prediction: "Yes, for ever: on a block device nothing invalidates after an asynchronous write, as a comment says",
        source: "kiocb_invalidate_post_direct_write (mm/filemap.c): \"Noticeable example is a blkdev_direct_IO()\"",
        refuted_by: "A buffered read that shows the new bytes",
        expected: &[
            Expected::bool("cached_old_bytes", true),
            Expected::bool("stale", true),
        ],
        run: |bench| stale(bench, Via::Aio),
        ..SYNC
    },
    Experiment {
        name: "self-map-destination",
        question: "A direct read of a block into a shared mapping of the same block of the device: does it end, and what is there?",
        prediction: "It ends; the mapping shows what the device stored, and its page is pinned while it is in flight",
        source: "blkdev_read_iter (block/fops.c) writes the range back first; the pin is of a page-cache page",
        refuted_by: "A deadlock, or other bytes",
        needs: &[Need::Counts],
        expected: &[
            Expected::count("pins_in_flight", 0).before(6, 5),
            Expected::count("pins_in_flight", 1).since(6, 5),
            Expected::count("read", 4096),
            Expected::bool("data_there", true),
        ],
        run: self_map,
        ..SYNC
    },
    Experiment {
        name: "self-map-source",
        question: "A direct write of a block from a shared mapping of the same block, which is dirty: in which order do requests \
                   come, and does it end?",
        prediction: "Write-back of the dirty page, a read to fault it in again, the direct write: three requests, no deadlock",
        source: "blkdev_direct_write (block/fops.c): kiocb_invalidate_pages first, then the pages are taken",
        refuted_by: "Another order, or a deadlock",
        needs: &[],
        expected: &[
            Expected::new("requests", Is::Text("write read write")),
            Expected::count("written", 4096),
            Expected::bool("on_disk", true),
        ],
        run: self_source,
        ..SYNC
    },
];

fn self_source(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let direct = puppet.open(disk.path(), Mode::DIRECT)?;
    let buffered = puppet.open(disk.path(), Mode::BUFFERED)?;
    let mapping = puppet.map(Memory::FileShared(buffered), 2 << 20)?;
    let block = mapping.part(1 << 20, 4096);
    puppet.fill(block, 0x41)?;
    let armed = disk.rule("hold:max=60s where lba=2048+8 when count=8")?;
    let write = puppet.submit(Transfer::write(direct, block, PLACE), How::Sync)?;
    let mut requests = Vec::new();
    let written = bench.until("the write from its own mapping to end", || {
        if let Some(held) = armed.next()? {
            requests.push(held.hold.op.to_string());
            held.release()?;
        }
        puppet.poll(write, std::time::Duration::from_millis(20))
    })?;
    bench.see("requests", requests.join(" "));
    bench.see("written", written);
    drop(armed);
    bench.see("on_disk", byte_of(&puppet, direct)? == 0x41);
    Ok(())
}

fn byte_of(puppet: &Puppet<'_>, file: FileId) -> Result<u8> {
    let page = puppet.filled(4096, 0)?;
    puppet.run(Job::Transfer(Transfer::read(file, page.all(), PLACE)))?;
    puppet.byte(page.all())
}

fn stale(bench: &Bench<'_>, via: Via) -> Result<()> {
    let flight = bench.held_source(via)?;
    let (puppet, direct) = (&flight.puppet, flight.file);
    let buffered = puppet.open(&flight.path, Mode::BUFFERED)?;
    bench.see("cached_old_bytes", byte_of(puppet, buffered)? == 0);
    flight.held.release()?;
    let count = puppet.finish("the direct write", flight.operation)?;
    bench.must("the write succeeds", count == 4096);
    bench.must(
        "the disk has the new bytes",
        byte_of(puppet, direct)? == WRITTEN,
    );
    bench.see("stale", byte_of(puppet, buffered)? != WRITTEN);
    Ok(())
}

fn self_map(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let direct = puppet.open(disk.path(), Mode::DIRECT)?;
    let buffered = puppet.open(disk.path(), Mode::BUFFERED)?;
    let mapping = puppet.map(Memory::FileShared(buffered), 2 << 20)?;
    let block = mapping.part(1 << 20, 4096);
    bench.must("the mapping can be read", puppet.byte(block)? == 0);
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(direct, block, PLACE), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see(
        "pins_in_flight",
        bench.look(&puppet, mapping, 1 << 20)?.pin_count,
    );
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    bench.see(
        "read",
        puppet.finish("the read into its own mapping", read)?,
    );
    bench.see("data_there", puppet.byte(block)? == 0x11);
    Ok(())
}
