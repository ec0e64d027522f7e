//! Splice: pages that go through a pipe.

use std::time::Duration;

use api::DataPath;

use crate::bench::Bench;
use crate::puppet::order::{Job, Mode};
use crate::{Danger, Expected, Experiment, Need, Result};

const READ: Experiment = Experiment {
    name: "splice-destination",
    question: "splice from a direct file into a pipe is held: whose pages are written, and who waits?",
    prediction: "The pipe's own, with no pin; who takes from the pipe waits as well, since splice holds the pipe",
    source: "copy_splice_read (fs/splice.c, 6.5): a bvec of fresh pages; before, ITER_PIPE",
    refuted_by: "A pin, or a taker that returns early",
    needs: &[],
    danger: Danger::DState,
    expected: &[
        Expected::count("acquired", 0),
        Expected::bool("taker_waits", true),
        Expected::count("spliced", 4096),
        Expected::bool("data_right", true),
    ],
    run: read,
    ..Experiment::BLANK
};

/// One a direction.
pub(super) const ALL: &[Experiment] = &[
    READ,
    Experiment {
        name: "vmsplice-source",
        question: "A page is given to a pipe by vmsplice, the pipe spliced to a direct file, and the write held: is the page \
                   pinned, and do its bytes still change?",
        prediction: "Not pinned: the pipe has a reference. And the bytes change: nothing makes the page stable",
        source: "iter_to_pipe and iter_file_splice_write (fs/splice.c): a bvec, whose pages the block layer borrows",
        refuted_by: "A pin, or two looks that show the same bytes",
        needs: &[Need::Path(DataPath::UserCopy), Need::Counts],
        danger: Danger::None,
        expected: &[
            Expected::count("acquired", 0),
            Expected::count("pins_in_flight", 0),
            Expected::bool("source_changed", true),
            Expected::count("spliced", 4096),
        ],
        run: write,
        ..READ
    },
];

fn read(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let (from, into) = puppet.pipe()?;
    let armed = disk.rule("hold:max=60s where op=read,lba=0+8 when count=1")?;
    bench.newly_acquired()?;
    let splice = puppet.start(Job::Splice(file, into, 4096))?;
    let held = bench.held(&armed, &puppet, splice)?;
    bench.see("acquired", bench.newly_acquired()?);
    let take = puppet.start(Job::Take(from, 4096))?;
    bench.see(
        "taker_waits",
        puppet.poll(take, Duration::from_millis(100))?.is_none(),
    );
    held.poke(0, 0x5a, 4096)?;
    held.release()?;
    bench.see("spliced", puppet.finish("the splice", splice)?);
    let taken = puppet.finish_bytes("the taker", take)?;
    bench.see("data_right", taken == vec![0x5a; 4096]);
    Ok(())
}

fn write(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let (from, into) = puppet.pipe()?;
    let mem = puppet.filled(4096, 0x41)?;
    let given = puppet.run(Job::Vmsplice(into, mem.all()))?;
    bench.must("the pipe takes the page", given == 4096);
    let armed = disk.rule("hold:max=60s where op=write,lba=0+8 when count=1")?;
    bench.newly_acquired()?;
    let splice = puppet.start(Job::Splice(from, file, 4096))?;
    let held = bench.held(&armed, &puppet, splice)?;
    bench.see("acquired", bench.newly_acquired()?);
    let page = bench.look(&puppet, mem, 0)?;
    bench.see("pins_in_flight", page.pin_count);
    bench.see("references_in_flight", page.ref_count);
    let before = held.byte(100)?;
    puppet.fill(mem.all(), 0x99)?;
    let after = held.byte(100)?;
    bench.must("the first look shows what was given", before == 0x41);
    bench.see("source_changed", before != after);
    held.release()?;
    bench.see("spliced", puppet.finish("the splice", splice)?);
    Ok(())
}
