//! A source that changes while the device takes its bytes.

use api::DataPath;

use crate::bench::{Bench, FsKind};
use crate::experiment::MAKES_A_FILE_SYSTEM;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};

const RAW: Experiment = Experiment {
    name: "unstable-source",
    question: "A program stores into the source of a direct write that is in flight: do the bytes on the wire change?",
    prediction: "Yes: the device reads the program's own page, whenever it does",
    source: "bio_iov_iter_get_pages (block/bio.c); LWN, The intersection of unstable pages and direct I/O (2025)",
    refuted_by: "Two looks at the source of the held request show the same bytes",
    needs: &[Need::Path(DataPath::UserCopy), Need::Counts],
    expected: &[
        Expected::bool("source_changed", true),
        Expected::count("acquired", 0).before(6, 5),
        Expected::count("acquired", 2).since(6, 5),
    ],
    run: |bench| unstable(bench, None, false),
    ..Experiment::BLANK
};

const EXT4: &[Need] = &[
    Need::Path(DataPath::UserCopy),
    Need::Counts,
    Need::FileSystem("ext4"),
    Need::Program("mkfs.ext4"),
];
const XFS: &[Need] = &[
    Need::Path(DataPath::UserCopy),
    Need::Counts,
    Need::FileSystem("xfs"),
    Need::Program("mkfs.xfs"),
];
const BTRFS: &[Need] = &[
    Need::Path(DataPath::UserCopy),
    Need::Counts,
    Need::FileSystem("btrfs"),
    Need::Program("mkfs.btrfs"),
];

/// Raw and on file systems, with and without stable writes.
pub(super) const ALL: &[Experiment] = &[
    RAW,
    Experiment {
        name: "unstable-raw-stable",
        question: "The same on a device that asks for stable writes: do the bytes on the wire change?",
        prediction: "Yes: a direct write to the block device itself is never bounced",
        run: |bench| unstable(bench, None, true),
        ..RAW
    },
    Experiment {
        name: "unstable-ext4",
        question: "The same for a file of ext4: do the bytes on the wire change?",
        needs: EXT4,
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| unstable(bench, Some(FsKind::Ext4), false),
        ..RAW
    },
    Experiment {
        name: "unstable-ext4-stable",
        question: "The same for a file of ext4 on a device that asks for stable writes: do the bytes on the wire change?",
        prediction: "Yes: ext4 does not ask for bounced direct writes, up to 7.3",
        source: "ext4_dio_write_iter (fs/ext4/file.c) does not pass IOMAP_DIO_BOUNCE",
        needs: EXT4,
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| unstable(bench, Some(FsKind::Ext4), true),
        ..RAW
    },
    Experiment {
        name: "unstable-xfs",
        question: "The same for a file of XFS: do the bytes on the wire change?",
        needs: XFS,
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| unstable(bench, Some(FsKind::Xfs), false),
        ..RAW
    },
    Experiment {
        name: "unstable-xfs-stable",
        question: "The same for a file of XFS on a device that asks for stable writes: do the bytes on the wire change?",
        prediction: "Not since 7.0: XFS bounces, so that no page of the program's is pinned; before, they do",
        source: "IOMAP_DIO_BOUNCE (fs/iomap/direct-io.c, 7.0), xfs_file_dio_write (fs/xfs/xfs_file.c)",
        refuted_by: "A change that is seen on 7.0 or later, or none before",
        needs: XFS,
        slow: Some(MAKES_A_FILE_SYSTEM),
        expected: &[
            Expected::bool("source_changed", true).before(7, 0),
            Expected::bool("source_changed", false).since(7, 0),
            Expected::count("acquired", 0).since(7, 0),
        ],
        run: |bench| unstable(bench, Some(FsKind::Xfs), true),
        ..RAW
    },
    Experiment {
        name: "unstable-btrfs",
        question: "The same for a file of btrfs, whose checksums would not fit: do the bytes on the wire change?",
        prediction: "No: with checksums btrfs writes through the page cache (6.14 and later), or bounces (7.3)",
        source: "btrfs_direct_write (fs/btrfs/direct-io.c)",
        refuted_by: "A change that is seen",
        needs: BTRFS,
        slow: Some(MAKES_A_FILE_SYSTEM),
        expected: &[
            Expected::bool("source_changed", false),
            Expected::count("acquired", 0),
        ],
        run: |bench| unstable(bench, Some(FsKind::Btrfs), false),
        ..RAW
    },
];

fn unstable(bench: &Bench<'_>, kind: Option<FsKind>, stable: bool) -> Result<()> {
    let disk = bench.disk_for(kind)?;
    if stable {
        // Before a file system looks at it.
        disk.set("stable_writes", "1")?;
    }
    let mount = kind.map(|kind| bench.mount(kind, &disk)).transpose()?;
    let path = match &mount {
        Some(mount) => mount.file("data", 64 << 10, 0x33)?,
        None => disk.path().into(),
    };
    let puppet = bench.puppet()?;
    let file = puppet.open(path, Mode::DIRECT)?;
    let mem = puppet.filled(8192, 0x41)?;
    // By its data, since a file system writes other things as well.
    let armed =
        disk.rule("hold:max=60s where op=write,data=hex:4141414141414141@0 when count=1")?;
    bench.newly_acquired()?;
    let write = puppet.submit(Transfer::write(file, mem.all(), 16384), How::Sync)?;
    let held = bench.held(&armed, &puppet, write)?;
    bench.see("acquired", bench.newly_acquired()?);
    let before = held.byte(100)?;
    puppet.fill(mem.all(), 0x99)?;
    let after = held.byte(100)?;
    bench.must("the first look shows what is written", before == 0x41);
    bench.see("source_changed", before != after);
    bench.see("second_look", after);
    held.release()?;
    let count = puppet.finish("the write whose source changed", write)?;
    bench.must("the write succeeds", count == 8192);
    Ok(())
}
