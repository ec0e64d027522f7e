//! The end of the process whose read is held.

use std::time::Duration;

use crate::bench::{Bench, Via};
use crate::{Danger, Expected, Experiment, Need, Result};

const KILLED: Experiment = Experiment {
    name: "kill-sync",
    question: "A process is killed while its direct pread is held: does it end?",
    prediction: "Not before the request is complete: it waits uninterruptibly, and the page stays pinned",
    source: "__blkdev_direct_IO_simple (block/fops.c) waits without signals",
    refuted_by: "The process is gone while the request is held",
    needs: &[Need::Counts],
    danger: Danger::DState,
    expected: &[
        Expected::bool("gone_while_held", false),
        Expected::count("pins_while_held", 0).before(6, 5),
        Expected::count("pins_while_held", 1).since(6, 5),
        Expected::bool("gone_after_release", true),
    ],
    run: |bench| killed(bench, Via::Sync),
    ..Experiment::BLANK
};

/// One a way of submission.
pub(super) const ALL: &[Experiment] = &[
    KILLED,
    Experiment {
        name: "kill-aio",
        question: "A process is killed while its AIO read is held: does it end?",
        prediction: "Not before the request is complete: exit_aio waits for it",
        source: "exit_aio (fs/aio.c)",
        run: |bench| killed(bench, Via::Aio),
        ..KILLED
    },
    Experiment {
        name: "kill-uring",
        question: "A process is killed while its io_uring read is held: does it end?",
        prediction: "At once, though the device is to write into its page: the pin alone keeps the frame",
        source: "io_uring_files_cancel does not wait for requests that have been issued (io_uring/io_uring.c)",
        refuted_by: "The frame is free while the request is held",
        expected: &[
            Expected::bool("gone_while_held", true),
            Expected::count("pins_while_held", 0).before(6, 5),
            Expected::count("pins_while_held", 1).since(6, 5),
            Expected::count("map_count_while_held", 0),
            Expected::bool("gone_after_release", true),
        ],
        run: |bench| killed(bench, Via::Ring),
        ..KILLED
    },
    Experiment {
        name: "exec-uring",
        question: "A process calls execve while its io_uring read is held: does the new program start, and who has the page?",
        prediction: "exec waits until the request is complete, or the page is kept by its pin; the new program's memory is \
                     not written to",
        source: "begin_new_exec calls io_uring_task_cancel (fs/exec.c)",
        refuted_by: "The frame is free or mapped by the new program while the request is held",
        expected: &[
            Expected::count("pins_while_held", 0).before(6, 5),
            Expected::count("pins_while_held", 1).since(6, 5),
            Expected::bool("started_after_release", true),
        ],
        run: exec,
        ..KILLED
    },
];

fn killed(bench: &Bench<'_>, via: Via) -> Result<()> {
    let flight = bench.held_read(via)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let pfn = bench.look(puppet, mem, 0)?.pfn;
    puppet.kill();
    bench.see(
        "gone_while_held",
        puppet.ends_within(Duration::from_millis(300))?,
    );
    let state = bench.frame(pfn)?;
    bench.see("pins_while_held", state.pin_count);
    bench.see("map_count_while_held", state.map_count);
    bench.must("the page is kept", state.pin_count + state.ref_count > 0);
    flight.held.poke(0, 0x11, 4096)?;
    flight.held.release()?;
    bench.see(
        "gone_after_release",
        puppet.ends_within(crate::bench::LIMIT)?,
    );
    Ok(())
}

fn exec(bench: &Bench<'_>) -> Result<()> {
    let flight = bench.held_read(Via::Ring)?;
    let (puppet, mem) = (&flight.puppet, flight.mem);
    let pfn = bench.look(puppet, mem, 0)?.pfn;
    puppet.begin_exec()?;
    bench.see(
        "started_while_held",
        puppet.has_begun(Duration::from_millis(300))?,
    );
    let state = bench.frame(pfn)?;
    bench.see("pins_while_held", state.pin_count);
    bench.see("map_count_while_held", state.map_count);
    flight.held.poke(0, 0x11, 4096)?;
    flight.held.release()?;
    bench.see(
        "started_after_release",
        puppet.has_begun(crate::bench::LIMIT)?,
    );
    Ok(())
}
