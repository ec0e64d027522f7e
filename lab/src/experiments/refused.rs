//! Vectors that end in memory which cannot be taken: nothing may stay pinned.

use crate::bench::Bench;
use crate::puppet::order::{Job, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};

const READ_ONLY: Experiment = Experiment {
    name: "read-only-destination",
    question: "A direct read into memory that may only be read: is it refused, and is nothing pinned?",
    prediction: "EFAULT, and no pin stays",
    source: "check_vma_flags (mm/gup.c): FOLL_WRITE needs VM_WRITE",
    refuted_by: "A read that succeeds, or a pin that stays",
    needs: &[Need::Counts],
    expected: &[
        Expected::count("result", -14),
        Expected::count("outstanding", 0),
    ],
    run: |bench| one(bench, libc::PROT_READ, false),
    ..Experiment::BLANK
};

/// One a kind.
pub(super) const ALL: &[Experiment] = &[
    READ_ONLY,
    Experiment {
        name: "read-only-source",
        question: "A direct write from memory that may only be read: does it work?",
        prediction: "Yes: a source is not written to",
        refuted_by: "A write that fails, or a pin that stays",
        expected: &[
            Expected::count("result", 4096),
            Expected::count("outstanding", 0),
        ],
        run: |bench| one(bench, libc::PROT_READ, true),
        ..READ_ONLY
    },
    Experiment {
        name: "no-access-source",
        question: "A direct write from PROT_NONE memory: is it refused, and is nothing pinned?",
        expected: &[
            Expected::count("result", -14),
            Expected::count("outstanding", 0),
        ],
        run: |bench| one(bench, libc::PROT_NONE, true),
        ..READ_ONLY
    },
    Experiment {
        name: "bad-last-segment",
        question: "A vector of a good and a bad segment: how much is read, and are the good one's pins given back?",
        prediction: "As much as the good segment holds, or EFAULT; no pin stays either way",
        source: "bio_iov_iter_get_pages (block/bio.c) keeps what it could get",
        refuted_by: "A pin that stays",
        expected: &[
            Expected::count("result", 4096),
            Expected::count("outstanding", 0),
        ],
        run: |bench| two(bench, false),
        ..READ_ONLY
    },
    Experiment {
        name: "bad-first-segment",
        question: "A vector of a bad and a good segment: is it refused, and is nothing pinned?",
        expected: &[
            Expected::count("result", -14),
            Expected::count("outstanding", 0),
        ],
        run: |bench| two(bench, true),
        ..READ_ONLY
    },
];

fn one(bench: &Bench<'_>, protection: i32, source: bool) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    puppet.run(Job::Protect(mem.all(), protection))?;
    let transfer = if source {
        Transfer::write(file, mem.all(), 1 << 20)
    } else {
        Transfer::read(file, mem.all(), 1 << 20)
    };
    bench.see("result", puppet.run(Job::Transfer(transfer))?);
    bench.see("outstanding", bench.settled_pins()?);
    Ok(())
}

fn two(bench: &Bench<'_>, bad_first: bool) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let good = puppet.filled(4096, 0xaa)?;
    let bad = puppet.map(Memory::Private, 4096)?;
    puppet.run(Job::Protect(bad.all(), libc::PROT_NONE))?;
    let mut transfer = Transfer::read(file, good.all(), 1 << 20);
    transfer.parts.push(bad.all());
    if bad_first {
        transfer.parts.reverse();
    }
    bench.see("result", puppet.run(Job::Transfer(transfer))?);
    bench.see("outstanding", bench.settled_pins()?);
    Ok(())
}
