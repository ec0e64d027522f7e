//! Pins of other memory than an ordinary page, and of several segments and requests.

use crate::bench::Bench;
use crate::puppet::order::{How, Job, Memory, Mode, Order, Transfer};
use crate::{Expected, Experiment, Need, Result};

const ZERO: Experiment = Experiment {
    name: "zero-page-source",
    question: "A direct write from memory that was never touched: is the zero page pinned?",
    prediction: "No: since 6.5 the zero page is never pinned",
    source: "try_grab_folio and is_zero_page (mm/gup.c), commit c8070b787519",
    refuted_by: "A pin is acquired",
    needs: &[Need::Counts],
    expected: &[Expected::count("acquired", 0), Expected::count("data", 0)],
    run: zero,
    ..Experiment::BLANK
};

/// One a kind.
pub(super) const ALL: &[Experiment] = &[
    ZERO,
    Experiment {
        name: "pin-thp",
        question: "A direct read of four pages of a transparent huge page: where are the pins counted?",
        prediction: "On the folio: four, and four references with them",
        source: "folio._pincount; gup_fast takes one a page (mm/gup.c)",
        refuted_by: "Another count",
        expected: &[
            Expected::count("acquired", 0).before(6, 5),
            Expected::count("acquired", 4).since(6, 5),
            Expected::count("pins", 0).before(6, 5),
            Expected::count("pins", 4).since(6, 5),
            Expected::count("order", 9),
        ],
        run: thp,
        ..ZERO
    },
    Experiment {
        name: "pin-vector",
        question: "preadv with two segments in one page: how many pins does the page get?",
        prediction: "One a segment, all given back",
        source: "iov_iter_extract_user_pages (lib/iov_iter.c) pins per segment; bio_add_page may merge",
        refuted_by: "Another count in flight, or a count that stays",
        expected: &[
            Expected::count("acquired", 0).before(6, 5),
            Expected::count("acquired", 2).since(6, 5),
            Expected::count("pins", 0).before(6, 5),
            Expected::count("pins", 2).since(6, 5),
        ],
        run: vector,
        ..ZERO
    },
    Experiment {
        name: "two-reads-one-page",
        question: "Two direct reads of 512 bytes into one page, completed in the wrong order: do they disturb each other?",
        prediction: "No: the pins go 2, 1, 0 and the bytes are independent",
        source: "bio_release_pages gives back what its bio took (block/bio.c)",
        refuted_by: "Another sequence of pins, or bytes of the other",
        expected: &[
            Expected::count("pins_both", 0).before(6, 5),
            Expected::count("pins_both", 2).since(6, 5),
            Expected::count("pins_one", 0).before(6, 5),
            Expected::count("pins_one", 1).since(6, 5),
            Expected::bool("independent", true),
        ],
        run: two,
        ..ZERO
    },
    Experiment {
        name: "dirty-timing",
        question: "When is the destination of a direct read marked dirty?",
        prediction: "By pread after the read, by AIO and io_uring before it and again after it",
        source: "__blkdev_direct_IO_simple and __blkdev_direct_IO_async (block/fops.c): bio_set_pages_dirty",
        refuted_by: "Another time",
        expected: &[
            Expected::bool("sync_dirty_in_flight", false),
            Expected::bool("aio_dirty_in_flight", true),
            Expected::bool("uring_dirty_in_flight", true),
            Expected::bool("sync_dirty_after", true),
        ],
        run: dirty,
        ..ZERO
    },
    Experiment {
        name: "pins-until-last-part",
        question: "The device answers the first sector of a direct read only: are the pins kept until the rest is there?",
        prediction: "Yes: the request is sent again for the rest, and its bio keeps the page",
        source: "ublk_complete_rq (drivers/block/ublk_drv.c) with blk_update_request and requeue",
        refuted_by: "No pin while the rest is held, or a read that returns early",
        expected: &[
            Expected::count("pins_before", 0).before(6, 5),
            Expected::count("pins_before", 1).since(6, 5),
            Expected::count("pins_with_the_rest", 0).before(6, 5),
            Expected::count("pins_with_the_rest", 1).since(6, 5),
            Expected::count("sectors_of_the_rest", 7),
            Expected::count("read", 4096),
        ],
        needs: &[Need::Counts, Need::Parts],
        run: parts,
        ..ZERO
    },
];

fn parts(bench: &Bench<'_>) -> Result<()> {
    // 7.3 takes a short answer for a whole one where the driver does not copy (docs/design/conformance.md).
    let disk = bench.disk_with(|config| config.data_path = api::DataPath::Copy)?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.rule("hold:max=60s where op=read,lba=2048+8 when count=2")?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("pins_before", bench.look(&puppet, mem, 0)?.pin_count);
    held.shorten(512)?;
    let rest = bench.held(&armed, &puppet, read)?;
    bench.see("sectors_of_the_rest", rest.hold.sectors);
    bench.see("pins_with_the_rest", bench.look(&puppet, mem, 0)?.pin_count);
    rest.release()?;
    bench.see("read", puppet.finish("the read in two parts", read)?);
    bench.must(
        "all of it is read",
        puppet.load(mem.all())? == vec![0; 4096],
    );
    Ok(())
}

fn zero(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.map(Memory::Private, 4096)?;
    let armed = disk.arm("write", 2048, 8)?;
    bench.newly_acquired()?;
    let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, write)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("data", held.byte(17)?);
    let page = bench.look(&puppet, mem, 0)?;
    bench.see("zero_page_pins", page.pin_count);
    held.release()?;
    let count = puppet.finish("the write from the zero page", write)?;
    bench.must("the write succeeds", count == 4096);
    Ok(())
}

fn thp(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.map(Memory::Thp, 2 << 20)?;
    puppet.fill(mem.all(), 0xaa)?;
    let before = bench.look(&puppet, mem, 0)?;
    let armed = disk.arm("read", 2048, 32)?;
    bench.newly_acquired()?;
    let read = Transfer::read(file, mem.part(8192, 16384), 1 << 20);
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired", bench.newly_acquired()?);
    let now = bench.look(&puppet, mem, 0)?;
    bench.see("pins", now.pin_count);
    bench.see("order", bench.frame(now.pfn)?.order);
    bench.see(
        "more_references",
        i64::from(now.ref_count) - i64::from(before.ref_count),
    );
    held.release()?;
    let count = puppet.finish("the read into the huge page", read)?;
    bench.must("the read succeeds", count == 16384);
    Ok(())
}

fn vector(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 4)?;
    bench.newly_acquired()?;
    let mut read = Transfer::read(file, mem.part(0, 512), 1 << 20);
    read.parts.push(mem.part(2048, 1536));
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("pins", bench.look(&puppet, mem, 0)?.pin_count);
    held.release()?;
    let count = puppet.finish("the read in two segments", read)?;
    bench.must("the read succeeds", count == 2048);
    bench.must(
        "what lies between is untouched",
        puppet.byte(mem.part(600, 1))? == 0xaa,
    );
    Ok(())
}

fn two(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let rules = [disk.arm("read", 2048, 1)?, disk.arm("read", 4096, 1)?];
    let one = puppet.submit(Transfer::read(file, mem.part(0, 512), 1 << 20), How::Sync)?;
    let first = bench.held(&rules[0], &puppet, one)?;
    let two = puppet.submit(
        Transfer::read(file, mem.part(1024, 512), 2 << 20),
        How::Sync,
    )?;
    let second = bench.held(&rules[1], &puppet, two)?;
    bench.see("pins_both", bench.look(&puppet, mem, 0)?.pin_count);
    second.poke(0, 0x22, 512)?;
    second.release()?;
    puppet.finish("the second read, released first", two)?;
    bench.see("pins_one", bench.look(&puppet, mem, 0)?.pin_count);
    first.poke(0, 0x11, 512)?;
    first.release()?;
    puppet.finish("the first read, released last", one)?;
    let at = |at| puppet.byte(mem.part(at, 1));
    let bytes = [at(0)?, at(511)?, at(512)?, at(1024)?, at(1535)?, at(1536)?];
    bench.see("independent", bytes == [0x11, 0x11, 0xaa, 0x22, 0x22, 0xaa]);
    Ok(())
}

fn dirty(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let ring = puppet.ring()?;
    for (name, how) in [
        ("sync", How::Sync),
        ("aio", How::Aio),
        ("uring", How::Ring(ring)),
    ] {
        let mem = puppet.filled(4096, 0xaa)?;
        let pfn = bench.look(&puppet, mem, 0)?.pfn;
        let is_dirty =
            || -> Result<bool> { Ok(bench.frame(pfn)?.flags.iter().any(|flag| flag == "dirty")) };
        bench.see(&format!("{name}_dirty_before"), is_dirty()?);
        let armed = disk.arm("read", 2048, 8)?;
        let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), how)?;
        let held = bench.held(&armed, &puppet, read)?;
        bench.see(&format!("{name}_dirty_in_flight"), is_dirty()?);
        held.release()?;
        puppet.finish("the read to come back", read)?;
        bench.see(&format!("{name}_dirty_after"), is_dirty()?);
    }
    // Nothing of this is mapped to a file, so that nothing is written back.
    puppet.tell(&Order::Do(Job::Fsync(file)))?.ok();
    Ok(())
}
