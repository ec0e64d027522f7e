//! Checksums over a source that changes in flight: who notices, and when.

use api::{DataPath, Integrity};

use crate::bench::{Bench, OLD, WRITTEN};
use crate::puppet::order::{How, Job, Mode, Transfer};
use crate::stack::Stacked;
use crate::{Danger, Expected, Experiment, Need, Result};

const GUARD: Experiment = Experiment {
    name: "protection-source",
    question: "The source of a direct write to a device with protection information changes in flight: does somebody notice?",
    prediction: "Yes, the device: the guard was computed from the old bytes when the write was submitted, and the write fails",
    source: "bio_integrity_prep (block/bio-integrity-auto.c) generates at submission; docs/integrity.md, the server's check",
    refuted_by: "A write that succeeds, or one that fails though nothing was changed",
    needs: &[
        Need::Counts,
        Need::Path(DataPath::UserCopy),
        Need::Kernel(7, 0),
    ],
    danger: Danger::None,
    expected: &[
        Expected::count("unchanged", 4096),
        Expected::bool("source_changed", true),
        // EILSEQ
        Expected::count("changed", -84),
        Expected::count("pins_in_flight", 1),
    ],
    run: guard,
    ..Experiment::BLANK
};

/// Where the checksum is made.
pub(super) const ALL: &[Experiment] = &[
    GUARD,
    Experiment {
        name: "integrity-source",
        question: "The source of a direct write to dm-integrity without a journal changes in flight: does somebody notice?",
        prediction: "Only the next reader: the write succeeds, and a read of the block fails for good, since the checksum is \
                     of the old bytes and the data are the new ones",
        source: "integrity_metadata and dm_integrity_map_continue (drivers/md/dm-integrity.c): mode D checks the bio's own pages",
        refuted_by: "A write that fails, or a read that succeeds",
        needs: &[
            Need::Counts,
            Need::Path(DataPath::UserCopy),
            Need::File(
                "/sys/module/dm_integrity",
                "the module dm-integrity (CONFIG_DM_INTEGRITY)",
            ),
            Need::Program("dmsetup"),
        ],
        slow: Some("it formats a device for dm-integrity"),
        expected: &[
            Expected::count("unchanged", 4096),
            Expected::bool("source_changed", true),
            Expected::count("changed", 4096),
            Expected::count("read_back", -84),
        ],
        run: integrity,
        ..GUARD
    },
];

fn guard(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk_with(|config| config.integrity = Integrity::T10Crc)?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, WRITTEN)?;
    for (name, change) in [("unchanged", false), ("changed", true)] {
        let armed = disk.arm("write", 2048, 8)?;
        let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
        let held = bench.held(&armed, &puppet, write)?;
        bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
        if change {
            puppet.fill(mem.part(100, 1), 0x99)?;
            bench.see("source_changed", held.byte(100)? == 0x99);
        }
        held.release()?;
        bench.see(name, puppet.finish("the write with a guard", write)?);
    }
    Ok(())
}

fn integrity(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let upper = Stacked::integrity(disk.path())?;
    let puppet = bench.puppet()?;
    let file = puppet.open(upper.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, WRITTEN)?;
    let back = puppet.filled(4096, OLD)?;
    let read_back = || puppet.run(Job::Transfer(Transfer::read(file, back.all(), 1 << 20)));
    for (name, change) in [("unchanged", false), ("changed", true)] {
        // By its data: where dm-integrity keeps it is its own affair.
        let armed =
            disk.rule("hold:max=60s where op=write,data=hex:4141414141414141@0 when count=1")?;
        let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
        let held = bench.held(&armed, &puppet, write)?;
        if change {
            puppet.fill(mem.part(100, 1), 0x99)?;
            bench.see("source_changed", held.byte(100)? == 0x99);
        }
        held.release()?;
        bench.see(name, puppet.finish("the write with a checksum", write)?);
        if !change {
            bench.must("what was written is read", read_back()? == 4096);
        }
    }
    bench.see("read_back", read_back()?);
    Ok(())
}
