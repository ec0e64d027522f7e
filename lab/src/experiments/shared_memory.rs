//! Memory that the client shares with the server: what the driver knows of it is frames, which may change.

use std::fs::File;

use api::DataPath;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::bench::{Bench, Disk, OLD};
use crate::error::io_error;
use crate::puppet::Puppet;
use crate::puppet::order::{FileId, How, Job, Mem, Memory, Mode, Transfer};
use crate::{Expected, Experiment, Need, Result};

const PUNCHED: Experiment = Experiment {
    name: "shared-memory-punched",
    question: "A hole is punched into memory that is registered with the device, and the client touches it again: is a \
               read into the new page taken for one into shared memory?",
    prediction: "No: the driver compares frames, and the client's is another now. The read is copied; the old frame stays \
                 pinned by the registration although no file has it",
    source: "ublk_try_buf_match (drivers/block/ublk_drv.c) looks frames up; ublk_ctrl_reg_buf pins them for long",
    refuted_by: "A read that is not copied, wrong bytes, or an old frame that is free while it is registered",
    needs: &[
        Need::Counts,
        Need::Kernel(7, 1),
        Need::Path(DataPath::SharedMemory),
    ],
    expected: &[
        Expected::count("pins_of_registration", 2),
        Expected::count("shared_before", 1),
        Expected::bool("new_frame", true),
        Expected::count("old_frame_pins", 1),
        Expected::count("shared_after", 1),
        Expected::count("copied_after", 1),
        Expected::bool("data_right", true),
    ],
    run: punched,
    ..Experiment::BLANK
};

/// Before a read, and while one is held.
pub(super) const ALL: &[Experiment] = &[
    PUNCHED,
    Experiment {
        name: "shared-memory-punched-in-flight",
        question: "The hole is punched while a read into the shared memory is held: where does the data go?",
        prediction: "Where the server stores it, into the file's new page: the server reaches the memory by its own mapping. \
                     The request's own page, which only pins keep, gets nothing",
        source: "docs/shared-memory.md; the frames of the request are compared when it is delivered, and not again",
        refuted_by: "Data in the request's own page, or a pin that stays",
        expected: &[
            Expected::count("read", 4096),
            Expected::bool("new_frame", true),
            Expected::bool("file_has_data", true),
            // By the registration and by the client's own direct read.
            Expected::count("old_frame_pins", 2),
        ],
        run: punched_in_flight,
        ..PUNCHED
    },
];

/// A disk on whose client's memory the server has a mapping, too.
struct Shared<'a> {
    puppet: Puppet<'a>,
    disk: Disk<'a>,
    device: FileId,
    memory: FileId,
    mem: Mem,
}

impl<'a> Shared<'a> {
    fn new(bench: &Bench<'a>) -> Result<Self> {
        let disk = bench.disk_with(|config| config.data_path = DataPath::SharedMemory)?;
        let file = sealed(8192).map_err(io_error("make a file of memory"))?;
        let puppet = bench.puppet()?;
        let device = puppet.open(disk.path(), Mode::DIRECT)?;
        let ours = format!("/proc/{}/fd/{}", std::process::id(), fd(&file));
        let memory = puppet.open(ours, Mode::BUFFERED)?;
        let mem = puppet.map(Memory::FileShared(memory), 8192)?;
        puppet.fill(mem.all(), OLD)?;
        bench.newly_acquired()?;
        disk.share(file)?;
        bench.see("pins_of_registration", bench.newly_acquired()?);
        Ok(Self {
            puppet,
            disk,
            device,
            memory,
            mem,
        })
    }

    /// Takes the first page from the file, and touches it again: a new one.
    fn punch(&self, bench: &Bench<'_>) -> Result<u64> {
        let first = self.mem.part(0, 4096);
        let old = bench.look(&self.puppet, self.mem, 0)?.pfn;
        let punched = self.puppet.run(Job::Punch(self.memory, 0, 4096))?;
        bench.must("the hole is punched", punched == 0);
        self.puppet.fill(first, OLD)?;
        let new = bench.look(&self.puppet, self.mem, 0)?.pfn;
        bench.see("new_frame", new != old);
        Ok(old)
    }
}

fn fd(file: &File) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

/// A file of memory that nobody can shorten, so that the server may touch it itself.
fn sealed(bytes: u64) -> std::io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create("shared", flags)?);
    file.set_len(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
    Ok(file)
}

fn punched(bench: &Bench<'_>) -> Result<()> {
    let shared = Shared::new(bench)?;
    let (puppet, mem) = (&shared.puppet, shared.mem);
    let read = || {
        puppet.run(Job::Transfer(Transfer::read(
            shared.device,
            mem.part(0, 4096),
            1 << 20,
        )))
    };
    bench.must("the first read succeeds", read()? == 4096);
    bench.see("shared_before", shared.disk.shared_and_copied()?.0);
    let old = shared.punch(bench)?;
    bench.see("old_frame_pins", bench.frame(old)?.pin_count);
    bench.must("the second read succeeds", read()? == 4096);
    let (taken, copied) = shared.disk.shared_and_copied()?;
    bench.see("shared_after", taken);
    bench.see("copied_after", copied);
    bench.see(
        "data_right",
        puppet.load(mem.part(0, 4096))? == vec![0; 4096],
    );
    Ok(())
}

fn punched_in_flight(bench: &Bench<'_>) -> Result<()> {
    let shared = Shared::new(bench)?;
    let (puppet, mem) = (&shared.puppet, shared.mem);
    let armed = shared.disk.arm("read", 2048, 8)?;
    let read = Transfer::read(shared.device, mem.part(0, 4096), 1 << 20);
    let read = puppet.submit(read, How::Sync)?;
    let held = bench.held(&armed, puppet, read)?;
    let old = shared.punch(bench)?;
    bench.see("old_frame_pins", bench.frame(old)?.pin_count);
    held.release()?;
    bench.see(
        "read",
        puppet.finish("the read into the punched page", read)?,
    );
    bench.see(
        "file_has_data",
        puppet.load(mem.part(0, 4096))? == vec![0; 4096],
    );
    Ok(())
}
