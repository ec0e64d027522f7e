//! A store into a page that is under write-back: does it wait, and does it change what is written?

use std::time::Duration;

use api::{DataPath, Integrity};

use crate::bench::{Bench, FsKind, WRITTEN};
use crate::experiment::MAKES_A_FILE_SYSTEM;
use crate::puppet::order::{Job, Memory, Mode};
use crate::{Danger, Expected, Experiment, Need, Result};

const RAW: Experiment = Experiment {
    name: "store-under-writeback",
    question: "A mapped page of a block device is under write-back and a program stores into it: does the store wait?",
    prediction: "No, it succeeds at once, and the bytes on the wire change: write-back takes no lock that keeps a store out",
    source: "folio_wait_stable (mm/page-writeback.c) waits only where the mapping asks for stable writes",
    refuted_by: "A store that waits, or two looks at the held write that show the same bytes",
    needs: &[Need::Path(DataPath::UserCopy)],
    danger: Danger::DState,
    expected: &[
        Expected::bool("store_waits", false),
        Expected::bool("writeback_changed", true),
    ],
    run: |bench| store(bench, On::Raw),
    ..Experiment::BLANK
};

const STABLE: &[Expected] = &[
    Expected::bool("store_waits", true),
    Expected::bool("writeback_changed", false),
];

/// Where the mapping comes from, and since when the device asks for stable writes.
pub(super) const ALL: &[Experiment] = &[
    RAW,
    Experiment {
        name: "store-under-writeback-late",
        question: "The same on a device that was told to want stable writes when it was there already: does the store wait?",
        prediction: "No: the mapping of a block device learns of stable writes when the device is added, not when \
                     queue/stable_writes is set",
        source: "bdev_add (block/bdev.c) sets AS_STABLE_WRITES; queue_stable_writes_store only the queue's limit",
        run: |bench| store(bench, On::RawSetLater),
        ..RAW
    },
    Experiment {
        name: "store-under-writeback-protected",
        question: "The same on a device with protection information, which wants stable writes from the beginning: does \
                   the store wait?",
        prediction: "Yes, until the write is complete",
        source: "blk_validate_integrity_limits (block/blk-settings.c) sets BLK_FEAT_STABLE_WRITES; bdev_add",
        refuted_by: "A store that succeeds at once, or bytes that change",
        needs: &[Need::Path(DataPath::UserCopy), Need::Kernel(7, 0)],
        expected: STABLE,
        run: |bench| store(bench, On::Protected),
        ..RAW
    },
    Experiment {
        name: "store-under-writeback-ext4",
        question: "The same for a file of ext4: does the store wait?",
        needs: EXT4,
        slow: Some(MAKES_A_FILE_SYSTEM),
        run: |bench| store(bench, On::Ext4),
        ..RAW
    },
    Experiment {
        name: "store-under-writeback-ext4-stable",
        question: "The same for a file of ext4, mounted when the device wanted stable writes: does the store wait?",
        prediction: "Yes: the file system takes it over when it is mounted, and each inode when it is made",
        source: "setup_bdev_super (fs/super.c) sets SB_I_STABLE_WRITES",
        refuted_by: "A store that succeeds at once, or bytes that change",
        needs: EXT4,
        slow: Some(MAKES_A_FILE_SYSTEM),
        expected: STABLE,
        run: |bench| store(bench, On::Ext4Stable),
        ..RAW
    },
];

const EXT4: &[Need] = &[
    Need::Path(DataPath::UserCopy),
    Need::FileSystem("ext4"),
    Need::Program("mkfs.ext4"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Raw,
    RawSetLater,
    Protected,
    Ext4,
    Ext4Stable,
}

fn store(bench: &Bench<'_>, on: On) -> Result<()> {
    let disk = bench.disk_with(|config| {
        if on == On::Protected {
            config.integrity = Integrity::T10Crc;
        }
    })?;
    if matches!(on, On::RawSetLater | On::Ext4Stable) {
        disk.set("stable_writes", "1")?;
    }
    let mount = match on {
        On::Ext4 | On::Ext4Stable => Some(bench.mount(FsKind::Ext4, &disk)?),
        _ => None,
    };
    let path = match &mount {
        Some(mount) => mount.file("data", 4096, 0x33)?,
        None => disk.path().into(),
    };
    let puppet = bench.puppet()?;
    let file = puppet.open(path, Mode::BUFFERED)?;
    let mem = puppet.map(Memory::FileShared(file), 4096)?;
    puppet.fill(mem.all(), WRITTEN)?;
    // By its data, since a file system writes other things as well.
    let armed =
        disk.rule("hold:max=60s where op=write,data=hex:4141414141414141@0 when count=1")?;
    let sync = puppet.start(Job::Sync(mem.all()))?;
    let held = bench.held(&armed, &puppet, sync)?;
    let before = held.byte(100)?;
    bench.must("the write carries what was stored", before == WRITTEN);
    let store = puppet.start(Job::Fill(mem.part(100, 1), 0x99))?;
    let early = puppet.poll(store, Duration::from_millis(300))?;
    bench.see("store_waits", early.is_none());
    bench.see("writeback_changed", held.byte(100)? != before);
    held.release()?;
    puppet.finish("msync", sync)?;
    puppet.finish("the store", store)?;
    bench.must(
        "the store is there in the end",
        puppet.byte(mem.part(100, 1))? == 0x99,
    );
    Ok(())
}
