//! Whoever wants the memory of a held read: swap and the merging of equal pages.

use std::fs;

use crate::bench::{Bench, Setting, Swap, Via};
use crate::error::io_error;
use crate::puppet::order::{How, Job, Mode, Transfer};
use crate::{Danger, Expected, Experiment, LabError, Need, Result};

/// Bit 62 of a pagemap entry: the page is swapped out.
const SWAPPED: u32 = 62;

const SWAP: Experiment = Experiment {
    name: "swap-out",
    question: "The destination of a held direct read and its neighbour are to be swapped out: which of them is?",
    prediction: "The neighbour only: reclaim spares a page that may be pinned. Before 6.5 the read has no pin, so that both \
                 are swapped out; the data is there all the same, since the reference keeps the page in the swap cache",
    source: "shrink_folio_list (mm/vmscan.c): folio_maybe_dma_pinned, and __remove_mapping gives up on references",
    refuted_by: "The held page is swapped out, or the neighbour is not (then nothing was asked)",
    needs: &[
        Need::Counts,
        Need::File("/sys/block/zram0/disksize", "the module zram"),
    ],
    danger: Danger::VmOnly,
    slow: Some("it makes a swap device"),
    tolerates: &[],
    expected: &[
        Expected::bool("held_swapped", false).since(6, 5),
        Expected::bool("held_swapped", true).before(6, 5),
        Expected::bool("neighbour_swapped", true),
        Expected::bool("same_frame", true).since(6, 5),
        Expected::bool("data_there", true),
    ],
    run: swap,
};

/// One a way.
pub(super) const ALL: &[Experiment] = &[
    SWAP,
    Experiment {
        name: "ksm",
        question: "Three equal pages may be merged, one of them is the destination of a held direct read: is it merged?",
        prediction: "Not while it is held; after the release it is",
        source: "write_protect_page (mm/ksm.c) gives up on unexpected references",
        refuted_by: "The frame of the held page changes while it is held",
        needs: &[
            Need::Counts,
            Need::File("/sys/kernel/mm/ksm/run", "CONFIG_KSM"),
        ],
        slow: Some("it waits for full scans of the merging thread"),
        expected: &[
            Expected::bool("held_stays", true),
            Expected::bool("merged_after_release", true),
        ],
        run: ksm,
        ..SWAP
    },
];

/// The compressed swap device, sized for as long as the value lives.
struct Zram;

impl Zram {
    fn sized() -> Result<Self> {
        fs::write("/sys/block/zram0/disksize", "64M").map_err(|error| {
            let hint = "load the module of its compressor (lzo-rle)";
            LabError::Lacking(format!("zram refuses its size ({error}): {hint}"))
        })?;
        Ok(Self)
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = fs::write("/sys/block/zram0/reset", "1");
    }
}

fn swap(bench: &Bench<'_>) -> Result<()> {
    let _zram = Zram::sized()?;
    let _swap = Swap::on("/dev/zram0")?;
    let flight = bench.held_read(Via::Sync)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let before = bench.look(puppet, mem, 0)?.pfn;
    let out = bench.until("the neighbour to be swapped out", || {
        puppet.run(Job::Advise(mem.all(), libc::MADV_PAGEOUT))?;
        let out = bench.pagemap_bit(puppet, mem, 4096, SWAPPED)?;
        Ok(out.then_some(()))
    });
    bench.see("neighbour_swapped", out.is_ok());
    bench.see("held_swapped", bench.pagemap_bit(puppet, mem, 0, SWAPPED)?);
    bench.see("same_frame", bench.look(puppet, mem, 0)?.pfn == before);
    flight.held.poke(0, 0x11, 4096)?;
    flight.held.release()?;
    puppet.finish("the read into the page", flight.operation)?;
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    bench.must(
        "the neighbour comes back",
        puppet.byte(mem.part(4096, 1))? == 0xaa,
    );
    Ok(())
}

fn ksm(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(3 * 4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = Transfer::read(file, mem.part(0, 4096), 1 << 20);
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let before = bench.look(&puppet, mem, 0)?.pfn;
    puppet.run(Job::Advise(mem.all(), libc::MADV_MERGEABLE))?;
    let _settings = [
        Setting::to("/sys/kernel/mm/ksm/sleep_millisecs", "1")?,
        Setting::to("/sys/kernel/mm/ksm/pages_to_scan", "2000")?,
        Setting::to("/sys/kernel/mm/ksm/run", "1")?,
    ];
    let scans = || -> Result<u64> {
        let text = fs::read_to_string("/sys/kernel/mm/ksm/full_scans");
        let text = text.map_err(io_error("read the number of scans"))?;
        Ok(text.trim().parse().unwrap_or(0))
    };
    let first = scans()?;
    bench.until("three full scans", || {
        Ok((scans()? >= first + 3).then_some(()))
    })?;
    bench.see("held_stays", bench.look(&puppet, mem, 0)?.pfn == before);
    let frames = || -> Result<[u64; 3]> {
        let at = |at| bench.look(&puppet, mem, at).map(|page| page.pfn);
        Ok([at(0)?, at(4096)?, at(8192)?])
    };
    let now = frames()?;
    bench.see("siblings_merged_while_held", now[1] == now[2]);
    held.poke(0, 0xaa, 4096)?;
    held.release()?;
    puppet.finish("the read into the page", read)?;
    let merged = bench.until("all three to be merged", || {
        let now = frames()?;
        Ok((now[0] == now[1] && now[1] == now[2]).then_some(()))
    });
    bench.see("merged_after_release", merged.is_ok());
    Ok(())
}
