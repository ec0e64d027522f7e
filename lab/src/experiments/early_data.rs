//! Bytes of a destination request before it is complete.

use crate::bench::{Bench, FsKind};
use crate::experiment::MAKES_A_FILE_SYSTEM;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};
use api::DataPath;

const EARLY: Experiment = Experiment {
    name: "early-data",
    question: "The device stores into the destination of a direct read that it has not completed: does the \
               reader see it?",
    prediction: "Yes, at once, and a second store as well: the pages are the reader's own",
    source: "bio_iov_iter_get_pages (block/bio.c): the bio has the user's pages; ublk_user_copy (ublk_drv.c)",
    refuted_by: "The reader sees the old bytes until the read is complete",
    needs: &[Need::Path(DataPath::UserCopy)],
    expected: &[
        Expected::bool("seen_before_completion", true),
        Expected::bool("second_store_seen", true),
    ],
    run: |bench| early(bench, None),
    ..Experiment::BLANK
};

/// On the raw device, and on file systems.
pub(super) const ALL: &[Experiment] = &[
    EARLY,
    Experiment {
        name: "early-data-ext4",
        question: "The same for a file of ext4: does the reader see bytes of a read that is not complete?",
        needs: &[
            Need::Path(DataPath::UserCopy),
            Need::FileSystem("ext4"),
            Need::Program("mkfs.ext4"),
        ],
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| early(bench, Some(FsKind::Ext4)),
        ..EARLY
    },
    Experiment {
        name: "early-data-xfs",
        question: "The same for a file of XFS: does the reader see bytes of a read that is not complete?",
        needs: &[
            Need::Path(DataPath::UserCopy),
            Need::FileSystem("xfs"),
            Need::Program("mkfs.xfs"),
        ],
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| early(bench, Some(FsKind::Xfs)),
        ..EARLY
    },
];

fn early(bench: &Bench<'_>, kind: Option<FsKind>) -> Result<()> {
    let disk = bench.disk_for(kind)?;
    let mount = kind.map(|kind| bench.mount(kind, &disk)).transpose()?;
    let path = match &mount {
        Some(mount) => mount.file("data", 8192, 0x33)?,
        None => disk.path().into(),
    };
    let puppet = bench.puppet()?;
    let file = puppet.open(path, Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.rule("hold:max=60s where op=read when count=1")?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 4096), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.must("nothing is there yet", puppet.byte(mem.all())? == 0xaa);
    held.poke(0, 0x71, 4096)?;
    bench.see("seen_before_completion", puppet.byte(mem.all())? == 0x71);
    held.poke(0, 0x72, 4096)?;
    bench.see("second_store_seen", puppet.byte(mem.all())? == 0x72);
    held.release()?;
    let count = puppet.finish("the read whose data was early", read)?;
    bench.must("the read succeeds", count == 4096);
    bench.must(
        "the last store is what was read",
        puppet.byte(mem.all())? == 0x72,
    );
    Ok(())
}
