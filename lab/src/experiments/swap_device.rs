//! The device as a swap device: pages of anonymous memory under write-back.

use std::time::Duration;

use api::DataPath;

use crate::bench::{Bench, Swap};
use crate::puppet::order::Job;
use crate::{Danger, Expected, Experiment, Need, Result};

/// Bit 62 of a pagemap entry: the page is swapped out.
const SWAPPED: u32 = 62;
const DATA: u8 = 0x5e;

const SOURCE: Experiment = Experiment {
    name: "swap-source",
    question: "A page is on its way to a swap device and its write is held: what keeps it, and does a store of its owner wait?",
    prediction: "The swap cache and PG_writeback keep it, no pin; the owner gets the same page back at once, stores, and \
                 the bytes on the wire change",
    source: "swap_writeout (mm/page_io.c); do_swap_page (mm/memory.c) reuses an exclusive page under write-back unless \
             SWP_STABLE_WRITES",
    refuted_by: "A pin, a store that waits, or two looks at the held write that show the same bytes",
    needs: &[
        Need::Counts,
        Need::Path(DataPath::UserCopy),
        Need::Program("mkswap"),
        Need::Program("swapon"),
    ],
    // A server that is short of memory itself would have to wait for its own device.
    danger: Danger::VmOnly,
    slow: Some("it makes a swap device"),
    expected: &[
        Expected::bool("owner_has_a_swap_entry", true),
        Expected::bool("under_writeback", true),
        Expected::bool("in_swap_cache", true),
        Expected::count("pins_in_flight", 0),
        Expected::bool("store_waits", false),
        Expected::bool("same_frame", true),
        Expected::bool("writeback_changed", true),
    ],
    run: |bench| swap_out(bench, false),
    ..Experiment::BLANK
};

/// With and without stable writes.
pub(super) const ALL: &[Experiment] = &[
    SOURCE,
    Experiment {
        name: "swap-source-stable",
        question: "The same on a device that wanted stable writes when it became a swap device: do the bytes change?",
        prediction: "No: the owner may load the page, and its store is given a copy, without waiting",
        source: "do_swap_page (mm/memory.c): SWP_STABLE_WRITES, taken over by swapon from the device",
        refuted_by: "Bytes that change",
        expected: &[
            Expected::bool("owner_has_a_swap_entry", true),
            Expected::bool("under_writeback", true),
            Expected::count("pins_in_flight", 0),
            Expected::bool("store_waits", false),
            Expected::bool("same_frame", false),
            Expected::bool("writeback_changed", false),
        ],
        run: |bench| swap_out(bench, true),
        ..SOURCE
    },
];

fn swap_out(bench: &Bench<'_>, stable: bool) -> Result<()> {
    let disk = bench.disk()?;
    if stable {
        disk.set("stable_writes", "1")?;
    }
    let _swap = Swap::on(disk.path())?;
    let puppet = bench.puppet()?;
    let mem = puppet.filled(4096, DATA)?;
    let pfn = bench.look(&puppet, mem, 0)?.pfn;
    let armed =
        disk.rule("hold:max=60s where op=write,data=hex:5e5e5e5e5e5e5e5e@0 when count=1")?;
    let held = bench.until("the page to be swapped out", || {
        let held = armed.next()?;
        if held.is_none() {
            puppet.run(Job::Advise(mem.all(), libc::MADV_PAGEOUT))?;
        }
        Ok(held)
    })?;
    let entry = bench.pagemap_bit(&puppet, mem, 0, SWAPPED)?;
    bench.see("owner_has_a_swap_entry", entry);
    let state = bench.frame(pfn)?;
    let has = |name: &str| state.flags.iter().any(|flag| flag == name);
    bench.see("under_writeback", has("writeback"));
    bench.see("in_swap_cache", has("swapcache"));
    bench.see("pins_in_flight", state.pin_count);
    let before = held.byte(100)?;
    bench.must("the write carries the page", before == DATA);
    let store = puppet.start(Job::Fill(mem.part(100, 1), 0x99))?;
    let early = puppet.poll(store, Duration::from_millis(300))?;
    bench.see("store_waits", early.is_none());
    bench.see("writeback_changed", held.byte(100)? != before);
    held.release()?;
    puppet.finish("the store", store)?;
    bench.see("same_frame", bench.look(&puppet, mem, 0)?.pfn == pfn);
    let bytes = [
        puppet.byte(mem.part(100, 1))?,
        puppet.byte(mem.part(101, 1))?,
    ];
    bench.must(
        "the owner sees its store and nothing else",
        bytes == [0x99, DATA],
    );
    Ok(())
}
