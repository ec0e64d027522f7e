//! Lock, unmap, pin count 0: is a page stable then? And when a pin exists?

use api::DataPath;

use crate::bench::{Bench, Disk, FsKind, Mount};
use crate::experiment::MAKES_A_FILE_SYSTEM;
use crate::puppet::Puppet;
use crate::puppet::order::{FileId, How, Job, Mem, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result, Tolerated};

const NEEDS: &[Need] = &[
    Need::Path(DataPath::UserCopy),
    Need::Counts,
    Need::FileSystem("ext4"),
    Need::Program("mkfs.ext4"),
];

const WRITEBACK: Experiment = Experiment {
    name: "dma-under-writeback",
    question: "A file page is the destination of a held direct read and under write-back at once: is what is written stable?",
    prediction: "No: nothing in write-back looks at the pin count, and a store by the read's device changes what is on \
                 its way to the disk",
    source: "folio_mkclean and write_cache_pages look at no pins; Jan Kara's mail of 2022-09: lock, unmap, then pin count 0",
    refuted_by: "The bytes of the held write stay the same",
    needs: NEEDS,
    slow: Some(MAKES_A_FILE_SYSTEM),
    expected: &[
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::bool("write_back_goes_on", true),
        Expected::bool("writeback_changed", true),
        Expected::bool("page_under_writeback", true),
    ],
    run: |bench| under_writeback(bench, FsKind::Ext4, false),
    ..Experiment::BLANK
};

/// On ext4, with stable writes, on XFS; and what is lost.
pub(super) const ALL: &[Experiment] = &[
    WRITEBACK,
    Experiment {
        name: "dma-under-writeback-stable",
        question: "The same on a device that asks for stable writes: is what is written stable?",
        prediction: "No: stable writes make stores wait, and a pin is no store",
        run: |bench| under_writeback(bench, FsKind::Ext4, true),
        ..WRITEBACK
    },
    Experiment {
        name: "dma-under-writeback-xfs",
        question: "The same on XFS: is what is written stable?",
        needs: &[
            Need::Path(DataPath::UserCopy),
            Need::Counts,
            Need::FileSystem("xfs"),
            Need::Program("mkfs.xfs"),
        ],
        run: |bench| under_writeback(bench, FsKind::Xfs, false),
        ..WRITEBACK
    },
    Experiment {
        name: "gup-then-clean",
        question: "A direct read is held into a mapped page of ext4, which is written back and reclaimed meanwhile: does \
                   the data reach the file?",
        prediction: "Yes since reclaim spares pinned pages (6.5); before, the page loses its buffers, ext4 warns when it is \
                     dirtied at the end, and the data is lost",
        source: "shrink_folio_list (mm/vmscan.c); bio_set_pages_dirty (block/bio.c); LWN 2018, DMA and get_user_pages",
        refuted_by: "The file lacks the data after a remount, or ext4 warns",
        needs: &[
            Need::Counts,
            Need::FileSystem("ext4"),
            Need::Program("mkfs.ext4"),
        ],
        // What Jan Kara reported in 2018, and what pins were made for.
        tolerates: &[
            Tolerated::before("ext4_dirty_folio", 6, 5),
            Tolerated::before("does not have buffers attached", 6, 5),
        ],
        expected: &[
            Expected::bool("data_on_disk", true).since(6, 5),
            Expected::bool("data_on_disk", false).before(6, 5),
        ],
        run: gup_then_clean,
        ..WRITEBACK
    },
];

/// A file page that is the destination of a direct read from another disk.
struct Pinned<'a> {
    puppet: Puppet<'a>,
    mem: Mem,
    file: FileId,
    other: FileId,
}

fn mapped<'a>(
    bench: &Bench<'a>,
    mount: &Mount,
    source: &Disk<'_>,
) -> Result<(Pinned<'a>, std::path::PathBuf)> {
    let path = mount.file("data", 4096, 0x33)?;
    let puppet = bench.puppet()?;
    let file = puppet.open(&path, Mode::BUFFERED)?;
    let mem = puppet.map(Memory::FileShared(file), 4096)?;
    puppet.fill(mem.all(), 0x41)?;
    let other = puppet.open(source.path(), Mode::DIRECT)?;
    Ok((
        Pinned {
            puppet,
            mem,
            file,
            other,
        },
        path,
    ))
}

fn under_writeback(bench: &Bench<'_>, kind: FsKind, stable: bool) -> Result<()> {
    let disk = bench.disk_for(Some(kind))?;
    if stable {
        disk.set("stable_writes", "1")?;
    }
    let source = bench.disk()?;
    let mount = bench.mount(kind, &disk)?;
    let (
        Pinned {
            puppet, mem, other, ..
        },
        _,
    ) = mapped(bench, &mount, &source)?;
    let reading = source.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(other, mem.all(), 1 << 20), How::Sync)?;
    let held_read = bench.held(&reading, &puppet, read)?;
    let page = bench.look(&puppet, mem, 0)?;
    bench.see("pins_in_flight", page.pin_count);
    let writing =
        disk.rule("hold:max=60s where op=write,data=hex:4141414141414141@0 when count=1")?;
    let sync = puppet.start(Job::Sync(mem.all()))?;
    let held_write = bench.held(&writing, &puppet, sync)?;
    bench.see("write_back_goes_on", true);
    let flags = bench.frame(page.pfn)?.flags;
    bench.see(
        "page_under_writeback",
        flags.iter().any(|flag| flag == "writeback"),
    );
    let before = held_write.byte(100)?;
    held_read.poke(0, 0xd7, 4096)?;
    let after = held_write.byte(100)?;
    bench.must("the write carries what was stored", before == 0x41);
    bench.see("writeback_changed", before != after);
    held_read.release()?;
    puppet.finish("the direct read into the file's page", read)?;
    held_write.release()?;
    puppet.finish("msync", sync)?;
    Ok(())
}

fn gup_then_clean(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let source = bench.disk()?;
    let mount = bench.mount(FsKind::Ext4, &disk)?;
    let (pinned, path) = mapped(bench, &mount, &source)?;
    let Pinned {
        puppet,
        mem,
        file,
        other,
    } = pinned;
    let armed = source.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(other, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let before = bench.look(&puppet, mem, 0)?.pfn;
    puppet.run(Job::Sync(mem.all()))?;
    bench.see(
        "pageout",
        puppet.run(Job::Advise(mem.all(), libc::MADV_PAGEOUT))?,
    );
    held.poke(0, 0x77, 4096)?;
    held.release()?;
    puppet.finish("the direct read into the file's page", read)?;
    // Page-out may have taken the mapping, which a touch brings back.
    puppet.byte(mem.all())?;
    let after = bench.look(&puppet, mem, 0)?.pfn;
    bench.see("same_frame", after == before);
    puppet.run(Job::Fsync(file))?;
    drop(puppet);
    drop(armed);
    mount.remount()?;
    let bytes = std::fs::read(&path).map_err(crate::error::io_error("read a file"))?;
    bench.see("data_on_disk", bytes == vec![0x77; 4096]);
    Ok(())
}
