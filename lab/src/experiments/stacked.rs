//! Devices of the kernel on top of ours: a bvec that is handed down, and what is handed down instead.

use api::DataPath;

use crate::bench::{Bench, OLD, WRITTEN};
use crate::puppet::order::{How, Mode, Transfer};
use crate::stack::Stacked;
use crate::{Expected, Experiment, Need, Result};

const LOOP: &[Need] = &[
    Need::Counts,
    Need::Path(DataPath::UserCopy),
    Need::File("/dev/loop-control", "the module loop"),
    Need::Program("losetup"),
];
const LIO: &[Need] = &[
    Need::Counts,
    Need::Path(DataPath::UserCopy),
    Need::File(
        "/sys/module/target_core_file",
        "the module target_core_file (CONFIG_TCM_FILEIO)",
    ),
    Need::File(
        "/sys/module/tcm_loop",
        "the module tcm_loop (CONFIG_LOOPBACK_TARGET)",
    ),
];
const NVMET: &[Need] = &[
    Need::Counts,
    Need::Path(DataPath::UserCopy),
    Need::File("/sys/module/nvmet", "the module nvmet (CONFIG_NVME_TARGET)"),
    Need::File(
        "/sys/module/nvme_loop",
        "the module nvme-loop (CONFIG_NVME_TARGET_LOOP)",
    ),
];
const CRYPT: &[Need] = &[
    Need::Counts,
    Need::Path(DataPath::UserCopy),
    Need::File(
        "/sys/module/dm_crypt",
        "the module dm-crypt (CONFIG_DM_CRYPT)",
    ),
    Need::Program("dmsetup"),
];

/// What a destination shows that is handed down as it is.
const HANDED_DOWN: &[Expected] = &[
    Expected::count("acquired", 1).since(6, 5),
    Expected::count("acquired", 0).before(6, 5),
    Expected::count("pins_in_flight", 1).since(6, 5),
    Expected::count("pins_in_flight", 0).before(6, 5),
    Expected::bool("lower_store_seen", true),
    Expected::bool("bytes_as_stored", true),
    Expected::count("read", 4096),
];
/// What a destination shows that is copied into from elsewhere.
const COPIED: &[Expected] = &[
    Expected::count("acquired", 1).since(6, 5),
    Expected::count("acquired", 0).before(6, 5),
    Expected::count("pins_in_flight", 1).since(6, 5),
    Expected::count("pins_in_flight", 0).before(6, 5),
    Expected::bool("lower_store_seen", false),
    Expected::bool("bytes_as_stored", true),
    Expected::count("read", 4096),
];
/// What a source shows that is handed down as it is.
const SOURCE_HANDED_DOWN: &[Expected] = &[
    Expected::count("acquired", 1).since(6, 5),
    Expected::count("acquired", 0).before(6, 5),
    Expected::bool("source_changed", true),
    Expected::count("written", 4096),
];
/// What a source shows that was copied before.
const SOURCE_COPIED: &[Expected] = &[
    Expected::bool("source_changed", false),
    Expected::count("written", 4096),
];

const DIRECT: Experiment = Experiment {
    name: "loop-direct",
    question: "A direct read of a loop device with direct I/O, on a device that holds: who pins the reader's page, and who \
               fills it?",
    prediction: "The reader's own request pins it, once; loop hands the bvec down without pin or reference, and the lower \
                 device stores into the reader's page",
    source: "lo_rw_aio (drivers/block/loop.c) makes an ITER_BVEC; bio_iov_bvec_set (block/bio.c)",
    refuted_by: "A second pin, or no byte in the reader's page before the read is complete",
    needs: LOOP,
    expected: HANDED_DOWN,
    run: |bench| destination(bench, |device| Stacked::on_loop(device, true)),
    ..Experiment::BLANK
};

/// Each kind of device, in both directions.
pub(super) const ALL: &[Experiment] = &[
    DIRECT,
    Experiment {
        name: "loop-direct-source",
        question: "A direct write to a loop device with direct I/O is held below, and its source changes: do the bytes on the \
                   wire change?",
        prediction: "Yes: what is handed down is the writer's page",
        refuted_by: "Two looks at the held write that show the same bytes",
        expected: SOURCE_HANDED_DOWN,
        run: |bench| source(bench, |device| Stacked::on_loop(device, true)),
        ..DIRECT
    },
    Experiment {
        name: "loop-buffered",
        question: "The same read with a loop device that goes through the page cache: who fills the reader's page?",
        prediction: "loop's thread, by a copy from the page cache when the lower read is complete: nothing is seen early",
        source: "lo_rw_simple and do_req_filebacked (drivers/block/loop.c)",
        refuted_by: "A byte that is seen before completion",
        expected: COPIED,
        run: |bench| destination(bench, |device| Stacked::on_loop(device, false)),
        ..DIRECT
    },
    Experiment {
        name: "lio-direct",
        question: "A direct read of a disk of a LIO target, whose backstore does direct I/O on a device that holds: who pins \
                   the reader's page, and who fills it?",
        prediction: "The reader's own request pins it, once; the scatter list of the SCSI command becomes a bvec, which is \
                     handed down without pin or reference",
        source: "fd_execute_rw_aio (drivers/target/target_core_file.c): iov_iter_bvec, IOCB_DIRECT",
        needs: LIO,
        run: |bench| destination(bench, |device| Stacked::lio_file(device, true)),
        ..DIRECT
    },
    Experiment {
        name: "lio-direct-source",
        question: "A direct write to such a disk is held below, and its source changes: do the bytes on the wire change?",
        prediction: "Yes: what is handed down is the writer's page",
        source: "fd_execute_rw_aio (drivers/target/target_core_file.c)",
        refuted_by: "Two looks at the held write that show the same bytes",
        needs: LIO,
        expected: SOURCE_HANDED_DOWN,
        run: |bench| source(bench, |device| Stacked::lio_file(device, true)),
        ..DIRECT
    },
    Experiment {
        name: "lio-buffered",
        question: "The same read with a backstore that goes through the page cache: who fills the reader's page?",
        prediction: "The target, by a copy from the page cache when the lower read is complete: nothing is seen early",
        source: "fd_do_rw (drivers/target/target_core_file.c): vfs_iter_read",
        refuted_by: "A byte that is seen before completion",
        needs: LIO,
        expected: COPIED,
        run: |bench| destination(bench, |device| Stacked::lio_file(device, false)),
        ..DIRECT
    },
    Experiment {
        name: "nvmet-loop",
        question: "A direct read of a NVMe namespace of this machine's own target, on a device that holds: who pins the \
                   reader's page, and who fills it?",
        prediction: "The reader's own request pins it, once; the target puts the pages of its scatter list into a bio of its \
                     own and takes neither pin nor reference",
        source: "nvmet_bdev_execute_rw (drivers/nvme/target/io-cmd-bdev.c); nvme_loop_queue_rq (drivers/nvme/target/loop.c)",
        needs: NVMET,
        run: |bench| destination(bench, Stacked::nvme_loop),
        ..DIRECT
    },
    Experiment {
        name: "nvmet-loop-source",
        question: "A direct write to such a namespace is held below, and its source changes: do the bytes on the wire change?",
        prediction: "Yes: what is handed down is the writer's page",
        source: "nvmet_bdev_execute_rw (drivers/nvme/target/io-cmd-bdev.c)",
        refuted_by: "Two looks at the held write that show the same bytes",
        needs: NVMET,
        expected: SOURCE_HANDED_DOWN,
        run: |bench| source(bench, Stacked::nvme_loop),
        ..DIRECT
    },
    Experiment {
        name: "dm-crypt",
        question: "A direct read of a dm-crypt device on a device that holds: what is in the reader's page before the read is \
                   complete?",
        prediction: "The ciphertext: the clone has the reader's own page, which is decrypted in place when the lower read is \
                     complete",
        source: "crypt_io_read and kcryptd_crypt_read_convert (drivers/md/dm-crypt.c)",
        refuted_by: "A second pin, or no byte of the lower device's in the reader's page",
        needs: CRYPT,
        expected: &[
            Expected::count("acquired", 0).before(6, 5),
            Expected::count("acquired", 1).since(6, 5),
            Expected::count("acquired", 0).before(6, 5),
            Expected::count("pins_in_flight", 0).before(6, 5),
            Expected::count("pins_in_flight", 1).since(6, 5),
            Expected::count("pins_in_flight", 0).before(6, 5),
            Expected::bool("lower_store_seen", true),
            Expected::bool("bytes_as_stored", false),
            Expected::count("read", 4096),
        ],
        run: |bench| destination(bench, Stacked::crypt),
        ..DIRECT
    },
    Experiment {
        name: "dm-crypt-source",
        question: "A direct write to a dm-crypt device is held below, and its source changes: do the bytes on the wire change?",
        prediction: "No: what is handed down is ciphertext in pages of dm-crypt's own",
        source: "crypt_alloc_buffer (drivers/md/dm-crypt.c)",
        refuted_by: "Two looks at the held write that differ",
        needs: CRYPT,
        expected: SOURCE_COPIED,
        run: |bench| source(bench, Stacked::crypt),
        ..DIRECT
    },
];

/// Holds the lower part of a direct read and stores into it.
fn destination(bench: &Bench<'_>, make: impl FnOnce(&str) -> Result<Stacked>) -> Result<()> {
    let disk = bench.disk()?;
    let upper = make(disk.path())?;
    let puppet = bench.puppet()?;
    let file = puppet.open(upper.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, OLD)?;
    let armed = disk.arm("read", 2048, 8)?;
    bench.newly_acquired()?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    held.poke(0, 0x11, 4096)?;
    bench.see("lower_store_seen", puppet.byte(mem.all())? == 0x11);
    held.release()?;
    bench.see("read", puppet.finish("the read of the upper device", read)?);
    let bytes = puppet.load(mem.all())?;
    bench.must("the page is filled", bytes != vec![OLD; 4096]);
    bench.see("bytes_as_stored", bytes == vec![0x11; 4096]);
    Ok(())
}

/// Holds the lower part of a direct write and looks at it before and after the writer changes its page.
fn source(bench: &Bench<'_>, make: impl FnOnce(&str) -> Result<Stacked>) -> Result<()> {
    let disk = bench.disk()?;
    let upper = make(disk.path())?;
    let puppet = bench.puppet()?;
    let file = puppet.open(upper.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, WRITTEN)?;
    let armed = disk.arm("write", 2048, 8)?;
    bench.newly_acquired()?;
    let write = puppet.submit(Transfer::write(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, write)?;
    bench.see("acquired", bench.newly_acquired()?);
    let before = held.peek(0, 4096)?;
    puppet.fill(mem.all(), 0x99)?;
    bench.see("source_changed", held.peek(0, 4096)? != before);
    held.release()?;
    bench.see(
        "written",
        puppet.finish("the write to the upper device", write)?,
    );
    Ok(())
}
