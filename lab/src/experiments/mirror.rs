//! A mirror of md on two of our disks: one source for two writes, and a resync that meets a write.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{DataPath, TargetConfig};

use crate::bench::{Bench, Disk, WRITTEN};
use crate::error::io_error;
use crate::puppet::order::{How, Job, Mode, Transfer};
use crate::stack::Stacked;
use crate::{Danger, Expected, Experiment, Need, Result};

/// Small, so that a check of the whole mirror is short.
const LEG_BYTES: u64 = 8 << 20;

const LEGS: Experiment = Experiment {
    name: "mirror-legs",
    question: "A direct write to a mirror whose legs take it at different times, and a source that changes in between: are \
               the legs equal?",
    prediction: "No: both writes have the writer's own page, pinned once. The legs differ for good, the write succeeds, and \
                 only a check of the mirror finds it",
    source: "raid1_write_request (drivers/md/raid1.c): bio_alloc_clone for each leg; md(4), on mismatch_cnt",
    refuted_by: "Equal legs, a failed write, or a check that finds nothing",
    needs: &[
        Need::Counts,
        Need::Path(DataPath::UserCopy),
        Need::File("/sys/module/raid1", "the module raid1 (CONFIG_MD_RAID1)"),
        Need::Program("mdadm"),
    ],
    danger: Danger::DState,
    slow: Some("it checks a mirror, for which md takes seconds"),
    expected: &[
        Expected::count("acquired", 1).since(6, 5),
        Expected::count("acquired", 0).before(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("written", 4096),
        Expected::count("first_leg", 0x41),
        Expected::count("second_leg", 0x99),
        Expected::bool("check_finds_it", true),
    ],
    run: legs,
    ..Experiment::BLANK
};

/// Its legs, and its check.
pub(super) const ALL: &[Experiment] = &[
    LEGS,
    Experiment {
        name: "mirror-resync",
        question: "A mirror is checked while a write to it is held: does the check wait for the write?",
        prediction: "Yes: a resync waits until no request of the same 64 MiB is pending, and goes on after the release",
        source: "raise_barrier (drivers/md/raid1.c)",
        refuted_by: "A check that ends while the write is held, or never",
        needs: &[
            Need::File("/sys/module/raid1", "the module raid1 (CONFIG_MD_RAID1)"),
            Need::Program("mdadm"),
        ],
        expected: &[
            Expected::bool("check_waits", true),
            Expected::bool("check_ends", true),
            Expected::count("written", 4096),
        ],
        run: resync,
        ..LEGS
    },
];

fn leg<'a>(bench: &Bench<'a>) -> Result<Disk<'a>> {
    bench.disk_with(|config| {
        config.target = TargetConfig::Ram {
            size_bytes: LEG_BYTES,
        };
    })
}

/// An attribute of the mirror's md directory.
fn attribute(mirror: &Stacked, name: &str) -> Result<String> {
    let path = Path::new("/sys/block")
        .join(mirror.name())
        .join("md")
        .join(name);
    let text = fs::read_to_string(path).map_err(io_error("ask for an attribute of the mirror"))?;
    Ok(text.trim().to_owned())
}

fn begin_check(mirror: &Stacked) -> Result<()> {
    let path = format!("/sys/block/{}/md/sync_action", mirror.name());
    fs::write(path, "check").map_err(io_error("begin a check of the mirror"))
}

fn is_idle(mirror: &Stacked) -> Result<bool> {
    Ok(attribute(mirror, "sync_action")? == "idle")
}

/// Checks the mirror from beginning to end: how long it took.
fn check(bench: &Bench<'_>, mirror: &Stacked) -> Result<Duration> {
    let start = Instant::now();
    begin_check(mirror)?;
    bench.until("the check of the mirror to end", || {
        Ok(is_idle(mirror)?.then_some(()))
    })?;
    Ok(start.elapsed())
}

fn legs(bench: &Bench<'_>) -> Result<()> {
    let [first, second] = [leg(bench)?, leg(bench)?];
    let mirror = Stacked::mirror([first.path(), second.path()])?;
    let puppet = bench.puppet()?;
    let file = puppet.open(mirror.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, WRITTEN)?;
    let rules = [first.arm("write", 2048, 8)?, second.arm("write", 2048, 8)?];
    bench.newly_acquired()?;
    let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
    let one = bench.held(&rules[0], &puppet, write)?;
    let two = bench.held(&rules[1], &puppet, write)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    one.release()?;
    let reader = bench.puppet()?;
    let stored = reader.filled(4096, 0)?;
    let read = |leg: &Disk<'_>| -> Result<u8> {
        let file = reader.open(leg.path(), Mode::DIRECT)?;
        reader.run(Job::Transfer(Transfer::read(file, stored.all(), 1 << 20)))?;
        reader.byte(stored.all())
    };
    bench.until("the first leg to have the write", || {
        Ok((read(&first)? == WRITTEN).then_some(()))
    })?;
    puppet.fill(mem.all(), 0x99)?;
    two.release()?;
    bench.see("written", puppet.finish("the write to the mirror", write)?);
    bench.see("first_leg", read(&first)?);
    bench.see("second_leg", read(&second)?);
    check(bench, &mirror)?;
    let mismatches = attribute(&mirror, "mismatch_cnt")?;
    bench.see("check_finds_it", mismatches != "0");
    bench.see("mismatched_sectors", mismatches);
    Ok(())
}

fn resync(bench: &Bench<'_>) -> Result<()> {
    let [first, second] = [leg(bench)?, leg(bench)?];
    let mirror = Stacked::mirror([first.path(), second.path()])?;
    // How long it takes when nothing keeps it.
    let free = check(bench, &mirror)?;
    let puppet = bench.puppet()?;
    let file = puppet.open(mirror.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, WRITTEN)?;
    let armed = second.arm("write", 2048, 8)?;
    let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, write)?;
    begin_check(&mirror)?;
    let start = Instant::now();
    let mut waits = true;
    while waits && start.elapsed() < free * 2 + Duration::from_millis(200) {
        std::thread::sleep(Duration::from_millis(10));
        waits = !is_idle(&mirror)?;
    }
    bench.see("check_waits", waits);
    held.release()?;
    bench.see("written", puppet.finish("the write to the mirror", write)?);
    let ends = bench.until("the check of the mirror to end", || {
        Ok(is_idle(&mirror)?.then_some(()))
    });
    bench.see("check_ends", ends.is_ok());
    Ok(())
}
