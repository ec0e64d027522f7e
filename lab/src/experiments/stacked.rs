//! The kernel's loop driver on the device: a bvec that is handed down.

use std::process::{Command, Stdio};

use api::DataPath;

use crate::bench::Bench;
use crate::error::io_error;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Expected, Experiment, LabError, Need, Result};

const DIRECT: Experiment = Experiment {
    name: "loop-direct",
    question: "A direct read of a loop device with direct I/O, on a device that holds: who pins the reader's page, and who \
               fills it?",
    prediction: "The reader's own request pins it, once; loop hands the bvec down without pin or reference, and the lower \
                 device stores into the reader's page",
    source: "lo_rw_aio (drivers/block/loop.c) makes an ITER_BVEC; bio_iov_bvec_set (block/bio.c)",
    refuted_by: "A second pin, or no byte in the reader's page before the read is complete",
    needs: &[
        Need::Counts,
        Need::Path(DataPath::UserCopy),
        Need::File("/dev/loop-control", "the module loop"),
        Need::Program("losetup"),
    ],
    expected: &[
        Expected::count("acquired", 1).since(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::bool("lower_store_seen", true),
        Expected::count("read", 4096),
    ],
    run: |bench| on_loop(bench, true),
    ..Experiment::BLANK
};

/// With and without direct I/O of the loop driver.
pub(super) const ALL: &[Experiment] = &[
    DIRECT,
    Experiment {
        name: "loop-buffered",
        question: "The same with a loop device that goes through the page cache: who fills the reader's page?",
        prediction: "loop's thread, by a copy from the page cache when the lower read is complete: nothing is seen early",
        source: "lo_rw_simple and do_req_filebacked (drivers/block/loop.c)",
        refuted_by: "A byte that is seen before completion",
        expected: &[
            Expected::count("acquired", 1).since(6, 5),
            Expected::count("pins_in_flight", 1).since(6, 5),
            Expected::bool("lower_store_seen", false),
            Expected::count("read", 4096),
        ],
        run: |bench| on_loop(bench, false),
        ..DIRECT
    },
];

/// A loop device, detached when dropped.
struct Loop(String);

impl Loop {
    fn attach(device: &str, direct: bool) -> Result<Self> {
        let how = if direct {
            "--direct-io=on"
        } else {
            "--direct-io=off"
        };
        let output = Command::new("losetup")
            .args([how, "--find", "--show", device])
            .stdin(Stdio::null())
            .output()
            .map_err(io_error("start losetup"))?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || path.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().unwrap_or("it says nothing").to_owned();
            return Err(LabError::Lacking(format!("losetup of util-linux: {why}")));
        }
        Ok(Self(path))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // One that stays is found by the check for what is left behind.
        let _ = Command::new("losetup").args(["--detach", &self.0]).output();
    }
}

fn on_loop(bench: &Bench<'_>, direct: bool) -> Result<()> {
    let disk = bench.disk()?;
    let upper = Loop::attach(disk.path(), direct)?;
    let puppet = bench.puppet()?;
    let file = puppet.open(&upper.0, Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    bench.newly_acquired()?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    held.poke(0, 0x11, 4096)?;
    bench.see("lower_store_seen", puppet.byte(mem.all())? == 0x11);
    held.release()?;
    bench.see("read", puppet.finish("the read of the loop device", read)?);
    bench.must(
        "the data is there in the end",
        puppet.byte(mem.all())? == 0x11,
    );
    Ok(())
}
