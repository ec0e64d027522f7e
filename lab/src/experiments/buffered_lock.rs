//! A buffered destination request: its page-cache page is locked until the data is there.

use std::time::Duration;

use api::DataPath;
use api::fault::Status;

use crate::bench::{Bench, Held};
use crate::puppet::order::{How, Job, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};

/// Where the read begins, in bytes.
const PLACE: u64 = 1 << 20;
const BYTES: i64 = 4096;
/// Holds the first read there.
const ONE: &str = "hold:max=60s where op=read,lba=2048+8 when count=1";

const WHOLE: Experiment = Experiment {
    name: "buffered-lock",
    question: "What keeps others from a page-cache page while a buffered read fills it?",
    prediction: "The page lock, from before the device sees the request until its completion: locked, not uptodate, \
                 not mapped, no pin; a second reader waits and sees no early byte",
    source: "filemap_add_folio locks (mm/filemap.c), mpage_end_io and iomap_read_end unlock; Al Viro's mail of \
             2022-09: given to us locked and stay locked until all modifications are complete",
    refuted_by: "An unlocked or uptodate page while the request is held, a pin, or a second reader that returns",
    needs: &[Need::Counts],
    slow: Some("it looks at the flags of every frame of the machine"),
    expected: &[
        Expected::count("locked_pages", 1),
        Expected::count("pins", 0),
        Expected::count("map_count", 0),
        Expected::bool("uptodate_in_flight", false),
        Expected::bool("second_reader_waits", true),
        Expected::bool("resident_in_flight", false),
        Expected::count("first_reader", BYTES),
        Expected::count("second_reader", BYTES),
        Expected::bool("locked_after", false),
        Expected::bool("uptodate_after", true),
        Expected::bool("data_right", true),
    ],
    run: |bench| {
        locked(bench, bench.path, ONE, |_, held| {
            held.poke(0, 0x5a, 4096)?;
            held.release()
        })
    },
    ..Experiment::BLANK
};

/// It succeeds, fails, or arrives in parts.
pub(super) const ALL: &[Experiment] = &[
    WHOLE,
    Experiment {
        name: "buffered-lock-fails",
        question: "The same, but the request fails: is the page unlocked, and what do the readers get?",
        prediction: "The page is unlocked and not uptodate, and nobody is told: the request was read-ahead, so that each \
                     reader asks the device again, and gets the data",
        source: "read_pages (mm/readahead.c) drops errors; filemap_update_page and filemap_read_folio (mm/filemap.c)",
        expected: &[
            Expected::count("locked_pages", 1),
            Expected::count("pins", 0),
            Expected::bool("second_reader_waits", true),
            Expected::count("first_reader", BYTES),
            Expected::count("second_reader", BYTES),
            Expected::bool("locked_after", false),
            Expected::bool("uptodate_after", true),
            Expected::bool("early_bytes_seen", false),
        ],
        run: |bench| locked(bench, bench.path, ONE, |_, held| held.fail(Status::Ioerr)),
        ..WHOLE
    },
    Experiment {
        name: "buffered-lock-parts",
        question: "The same, but the device answers one sector first: is the page locked until the rest is there?",
        prediction: "Yes: the driver asks for the rest again, and the page is unlocked by the end of the last part",
        source: "ublk_complete_rq requeues after blk_update_request (drivers/block/ublk_drv.c)",
        refuted_by: "An unlocked page, or a reader that returns, while the rest is held",
        expected: &[
            Expected::count("locked_pages", 1),
            Expected::count("sectors_of_the_rest", 7),
            Expected::bool("locked_after_first_part", true),
            Expected::bool("uptodate_after_first_part", false),
            Expected::bool("second_reader_waits", true),
            Expected::count("first_reader", BYTES),
            Expected::count("second_reader", BYTES),
            Expected::bool("early_bytes_seen", false),
        ],
        // 7.3 takes a short answer for a whole one where the driver does not copy (docs/design/conformance.md).
        needs: &[Need::Counts, Need::Parts],
        run: |bench| {
            let rule = "hold:max=60s where op=read,lba=2048+8 when count=2";
            locked(bench, DataPath::Copy, rule, |look, held| {
                held.shorten(512)?;
                let rest = look.next()?;
                look.bench.see("sectors_of_the_rest", rest.hold.sectors);
                look.look("after_first_part")?;
                rest.release()
            })
        },
        ..WHOLE
    },
];

/// How an ending looks at the page.
struct Look<'a, 'd> {
    bench: &'a Bench<'a>,
    armed: &'a crate::bench::Armed<'d>,
    pfn: u64,
}

impl<'d> Look<'_, 'd> {
    fn next(&self) -> Result<Held<'d>> {
        self.bench.held_somewhere(self.armed)
    }

    fn look(&self, when: &str) -> Result<()> {
        let flags = self.bench.frame(self.pfn)?.flags;
        let has = |name: &str| flags.iter().any(|flag| flag == name);
        self.bench.see(&format!("locked_{when}"), has("locked"));
        self.bench.see(&format!("uptodate_{when}"), has("uptodate"));
        Ok(())
    }
}

fn locked(
    bench: &Bench<'_>,
    path: DataPath,
    rule: &str,
    end: impl for<'d> FnOnce(&Look<'_, 'd>, Held<'d>) -> Result<()>,
) -> Result<()> {
    let disk = bench.disk_with(|config| config.data_path = path)?;
    let puppet = bench.puppet()?;
    let direct = puppet.open(disk.path(), Mode::DIRECT)?;
    let medium = puppet.filled(4096, 0x5a)?;
    puppet.run(Job::Transfer(Transfer::write(direct, medium.all(), PLACE)))?;
    let file = puppet.open(disk.path(), Mode::BUFFERED)?;
    let [first, second] = [puppet.filled(4096, 0xaa)?, puppet.filled(4096, 0xaa)?];
    let mapping = puppet.map(Memory::FileShared(file), 2 << 20)?;
    let before = bench.locked_frames()?;
    let armed = disk.rule(rule)?;
    let reads = Transfer::read(file, first.all(), PLACE);
    let one = puppet.submit(reads, How::Sync)?;
    let held = bench.held(&armed, &puppet, one)?;
    let now = bench.locked_frames()?;
    let new: Vec<u64> = now.difference(&before).copied().collect();
    bench.see("locked_pages", new.len());
    let pfn = new.first().copied().unwrap_or(0);
    let look = Look {
        bench,
        armed: &armed,
        pfn,
    };
    let state = bench.frame(pfn)?;
    bench.see("pins", state.pin_count);
    bench.see("references", state.ref_count);
    bench.see("map_count", state.map_count);
    look.look("in_flight")?;
    let page = mapping.part(1 << 20, 4096);
    let resident = puppet.resident(page)?;
    bench.see("resident_in_flight", resident == [true]);
    let two = puppet.submit(Transfer::read(file, second.all(), PLACE), How::Sync)?;
    let waits = puppet.poll(two, Duration::from_millis(100))?.is_none();
    bench.see("second_reader_waits", waits);
    end(&look, held)?;
    let outcome = puppet.finish("the first reader to come back", one)?;
    bench.see("first_reader", outcome);
    let outcome = puppet.finish("the second reader to come back", two)?;
    bench.see("second_reader", outcome);
    look.look("after")?;
    let data = [
        puppet.byte(first.all())?,
        puppet.byte(second.part(4095, 1))?,
    ];
    bench.see("data_right", data == [0x5a, 0x5a]);
    bench.see("early_bytes_seen", data.contains(&0x77));
    Ok(())
}
