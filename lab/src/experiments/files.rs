//! A destination in a file's memory, and what happens to the file meanwhile.

use crate::bench::{Bench, LIMIT};
use crate::puppet::order::{How, Job, Memory, Mode, Transfer};
use crate::{Expected, Experiment, LabError, Need, Result};

const MEMFD: Experiment = Experiment {
    name: "memfd",
    question: "A direct read into a shared mapping of a memory file: is the page pinned, and does the file get the data?",
    prediction: "One pin, and the file has the data",
    source: "shmem pages are pinned as anonymous ones are (mm/gup.c)",
    refuted_by: "No pin, or other data in the file",
    needs: &[Need::Counts],
    expected: &[
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::bool("file_has_data", true),
        Expected::count("read", 4096),
    ],
    run: |bench| during(bench, |_| None),
    ..Experiment::BLANK
};

/// One a change.
pub(super) const ALL: &[Experiment] = &[
    MEMFD,
    Experiment {
        name: "truncate",
        question: "The file behind the destination of a held direct read is truncated: does that wait, and where is the data?",
        prediction: "It returns at once: pins do not keep a truncate back (only DAX waits); the page is orphaned, the data \
                     vanishes with it, and nothing leaks",
        source: "truncate_inode_pages_range (mm/truncate.c)",
        refuted_by: "The truncate waits, or the file has the data",
        expected: &[
            Expected::bool("change_waits", false),
            Expected::count("pins_in_flight", 0).before(6, 5),
            Expected::count("pins_in_flight", 1).since(6, 5),
            Expected::bool("file_has_data", false),
            Expected::count("read", 4096),
        ],
        run: |bench| during(bench, |file| Some(Job::Truncate(file, 0))),
        ..MEMFD
    },
    Experiment {
        name: "punch-hole",
        question: "A hole is punched into the file behind the destination of a held direct read: where is the data?",
        prediction: "In a page that is no longer the file's: it vanishes, and nothing leaks",
        source: "shmem_fallocate (mm/shmem.c) with FALLOC_FL_PUNCH_HOLE",
        refuted_by: "The file has the data, or the call waits",
        expected: &[
            Expected::bool("change_waits", false),
            Expected::bool("file_has_data", false),
            Expected::count("read", 4096),
        ],
        run: |bench| during(bench, |file| Some(Job::Punch(file, 0, 4096))),
        ..MEMFD
    },
    Experiment {
        name: "private-file",
        question: "A direct read into a private mapping of a file that was never stored to: whose page is written?",
        prediction: "A copy: taking the page for writing breaks the sharing first, and the file keeps its bytes",
        source: "faultin_page with FOLL_WRITE, do_cow_fault (mm/memory.c)",
        refuted_by: "The file has the data",
        expected: &[
            Expected::bool("file_has_data", false),
            Expected::bool("memory_has_data", true),
        ],
        run: private,
        ..MEMFD
    },
    Experiment {
        name: "secretmem",
        question: "A direct read into secret memory: is it refused?",
        prediction: "Yes, EFAULT: its pages are not in the kernel's own map, and no pin stays (7.3 takes one and gives it back)",
        source: "check_vma_flags and gup_fast_folio_allowed (mm/gup.c): vma_is_secretmem",
        refuted_by: "The read is sent to the device",
        expected: &[Expected::count("read", -14)],
        run: secret,
        ..MEMFD
    },
    Experiment {
        name: "hugetlb",
        question: "A direct read into a page of the pool of huge pages: where are the pins, and does the page come back?",
        prediction: "On the folio, one a small page; afterwards the pool has its page again",
        source: "folio._pincount; tools/testing/selftests/mm/hugetlb_dio.c watches the same",
        refuted_by: "Another count, or a page that the pool lacks afterwards",
        expected: &[
            Expected::count("pins_in_flight", 0).before(6, 5),
            Expected::count("pins_in_flight", 2).since(6, 5),
            Expected::bool("page_back", true),
            Expected::count("read", 8192),
        ],
        needs: &[
            Need::Counts,
            Need::File("/proc/sys/vm/nr_hugepages", "CONFIG_HUGETLBFS"),
        ],
        run: huge,
        ..MEMFD
    },
];

fn during(
    bench: &Bench<'_>,
    change: impl FnOnce(crate::puppet::order::FileId) -> Option<Job>,
) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let memory = puppet.memory_file(4096)?;
    let mem = puppet.map(Memory::FileShared(memory), 4096)?;
    puppet.fill(mem.all(), 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let pfn = bench.look(&puppet, mem, 0)?.pfn;
    bench.see("pins_in_flight", bench.frame(pfn)?.pin_count);
    if let Some(job) = change(memory) {
        let change = puppet.start(job)?;
        let early = puppet.poll(change, std::time::Duration::from_millis(300))?;
        bench.see("change_waits", early.is_none());
        bench.must("the change succeeds", early.is_none_or(|code| code == 0));
    }
    let state = bench.frame(pfn)?;
    bench.must("the page is kept", state.pin_count + state.ref_count > 0);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    bench.see(
        "read",
        puppet.finish("the read into the file's memory", read)?,
    );
    puppet.run(Job::Truncate(memory, 4096))?;
    let copy = puppet.filled(1, 0)?;
    puppet.run(Job::Transfer(Transfer::read(memory, copy.all(), 0)))?;
    bench.see("file_has_data", puppet.byte(copy.all())? == 0x11);
    Ok(())
}

fn private(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let memory = puppet.memory_file(4096)?;
    let shared = puppet.map(Memory::FileShared(memory), 4096)?;
    puppet.fill(shared.all(), 0x33)?;
    let mem = puppet.map(Memory::FilePrivate(memory), 4096)?;
    bench.must("the file's bytes show", puppet.byte(mem.all())? == 0x33);
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    let pages = [
        bench.look(&puppet, shared, 0)?,
        bench.look(&puppet, mem, 0)?,
    ];
    bench.see("copied_at_submission", pages[0].pfn != pages[1].pfn);
    held.poke(0, 0x11, 4096)?;
    held.release()?;
    puppet.finish("the read into the private mapping", read)?;
    bench.see("file_has_data", puppet.byte(shared.all())? == 0x11);
    bench.see("memory_has_data", puppet.byte(mem.all())? == 0x11);
    Ok(())
}

fn secret(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let memory = match puppet.secret_file(4096)? {
        Ok(memory) => memory,
        Err(errno) => {
            let why =
                format!("memfd_secret is refused (errno {errno}): boot with secretmem.enable=1");
            return Err(LabError::Lacking(why));
        }
    };
    let mem = puppet.map(Memory::FileShared(memory), 4096)?;
    puppet.fill(mem.all(), 0xaa)?;
    bench.newly_acquired()?;
    let read = Transfer::read(file, mem.all(), 1 << 20);
    bench.see("read", puppet.run(Job::Transfer(read))?);
    bench.see("acquired", bench.newly_acquired()?);
    Ok(())
}

fn huge(bench: &Bench<'_>) -> Result<()> {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    let number = |path: &str| -> Result<u64> {
        let text = std::fs::read_to_string(path).map_err(crate::error::io_error("read a pool"))?;
        Ok(text.trim().parse().unwrap_or(0))
    };
    let set = |count: u64| {
        std::fs::write(POOL, count.to_string()).map_err(crate::error::io_error("change a pool"))
    };
    let before = number(POOL)?;
    set(before + 1)?;
    if number(POOL)? != before + 1 {
        return Err(LabError::Lacking("there is no free huge page".to_owned()));
    }
    let result = huge_page(bench);
    let free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let back = bench.until("the huge page to be free again", || {
        Ok((number(free)? > before || number(POOL)? == before).then_some(()))
    });
    bench.see("page_back", back.is_ok());
    set(before)?;
    result
}

fn huge_page(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.map(Memory::HugeTlb, 2 << 20)?;
    puppet.fill(mem.all(), 0xaa)?;
    let armed = disk.arm("read", 2048, 16)?;
    let read = Transfer::read(file, mem.part(4096, 8192), 1 << 20);
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    held.release()?;
    bench.see("read", puppet.finish("the read into the huge page", read)?);
    puppet.kill();
    bench.must("the puppet ends", puppet.ends_within(LIMIT)?);
    Ok(())
}
