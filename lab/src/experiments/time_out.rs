//! Requests that are held longer than somebody expects.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Setting, Via};
use crate::error::io_error;
use crate::kernel_log::KernelLog;
use crate::puppet::Puppet;
use crate::puppet::order::{How, Job, Mode, Transfer};
use crate::{Danger, Expected, Experiment, Need, Result, Tolerated};

const TIME_OUT: Experiment = Experiment {
    name: "held-past-io-timeout",
    question: "A request is held for longer than the queue's io_timeout: is it failed, or its server killed?",
    prediction: "Neither: for a device of root's the driver sets the timer anew each time (for an ordinary user's it kills \
                 the server)",
    source: "ublk_timeout (drivers/block/ublk_drv.c): BLK_EH_RESET_TIMER",
    refuted_by: "A read that comes back by itself, or a server that is gone",
    needs: &[Need::Counts, Need::Path(api::DataPath::UserCopy)],
    danger: Danger::DState,
    slow: Some("it waits for three time-outs of a second each, which the block layer rounds up"),
    expected: &[
        Expected::bool("back_by_itself", false),
        Expected::count("pins_after_the_timeout", 1).since(6, 5),
        Expected::count("pins_after_the_timeout", 0).before(6, 5),
        Expected::count("read", 4096),
    ],
    run: time_out,
    ..Experiment::BLANK
};

/// The block layer's patience, and the kernel's with tasks in state D.
pub(super) const ALL: &[Experiment] = &[
    TIME_OUT,
    Experiment {
        name: "hung-task",
        question: "A direct reader, a buffered reader and an fsync wait for held requests: which of them does the kernel \
                   report as hung?",
        prediction: "The fsync only: a direct reader sleeps in shorter naps on purpose, and a buffered reader could be killed",
        source: "blk_io_schedule (block/blk-core.c); check_hung_uninterruptible_tasks (kernel/hung_task.c) leaves \
                 TASK_KILLABLE out; folio_wait_writeback (mm/page-writeback.c)",
        refuted_by: "A report of one of the readers, or none of the fsync",
        needs: &[Need::File(
            "/proc/sys/kernel/hung_task_timeout_secs",
            "CONFIG_DETECT_HUNG_TASK",
        )],
        slow: Some("it waits until the kernel loses its patience, which is counted in seconds"),
        tolerates: &[
            Tolerated::always("INFO: task "),
            Tolerated::always("hung_task"),
        ],
        expected: &[
            Expected::bool("direct_reader", false),
            Expected::bool("buffered_reader", false),
            Expected::bool("fsync", true),
        ],
        run: hung,
        ..TIME_OUT
    },
];

fn time_out(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    disk.set("io_timeout", "1000")?;
    let flight = bench.held_read_on(disk, Via::Sync)?;
    let puppet = &flight.puppet;
    let early = puppet.poll(flight.operation, Duration::from_millis(3500))?;
    bench.see("back_by_itself", early.is_some());
    let page = bench.look(puppet, flight.mem, 0)?;
    bench.see("pins_after_the_timeout", page.pin_count);
    flight.held.release()?;
    bench.see(
        "read",
        puppet.finish("the read that was held long", flight.operation)?,
    );
    Ok(())
}

fn hung(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.disk()?;
    let rules = [
        disk.arm("read", 2048, 8)?,
        disk.arm("read", 4096, 8)?,
        disk.arm("write", 8192, 8)?,
    ];
    let puppets = [bench.puppet()?, bench.puppet()?, bench.puppet()?];
    let [direct, buffered, syncing] = &puppets;
    let mut log = KernelLog::begin()?;
    let _settings = [
        Setting::to("/proc/sys/kernel/hung_task_warnings", "10")?,
        Setting::to("/proc/sys/kernel/hung_task_timeout_secs", "1")?,
    ];
    let mut waiting = Vec::new();
    for (puppet, mode, place) in [
        (direct, Mode::DIRECT, 1_u64 << 20),
        (buffered, Mode::BUFFERED, 2 << 20),
    ] {
        let file = puppet.open(disk.path(), mode)?;
        let mem = puppet.filled(4096, 0xaa)?;
        waiting.push(puppet.submit(Transfer::read(file, mem.all(), place), How::Sync)?);
    }
    let file = syncing.open(disk.path(), Mode::BUFFERED)?;
    let mem = syncing.filled(4096, 0x41)?;
    syncing.run(Job::Transfer(Transfer::write(file, mem.all(), 4 << 20)))?;
    waiting.push(syncing.start(Job::Fsync(file))?);
    let mut held = Vec::new();
    for ((rule, puppet), operation) in rules.iter().zip(&puppets).zip(&waiting) {
        held.push(bench.held(rule, puppet, *operation)?);
    }
    let mut reported = BTreeSet::new();
    bench.until("a report of the fsync", || {
        reported.extend(log.alarms(&[])?.iter().filter_map(|line| task_of(line)));
        Ok(is_reported(syncing, &reported)?.then_some(()))
    })?;
    // The others have been waiting for as long; what would be reported late gets its time.
    let late = Instant::now();
    while late.elapsed() < Duration::from_millis(1500) {
        std::thread::sleep(Duration::from_millis(20));
        reported.extend(log.alarms(&[])?.iter().filter_map(|line| task_of(line)));
    }
    bench.see("direct_reader", is_reported(direct, &reported)?);
    bench.see("buffered_reader", is_reported(buffered, &reported)?);
    bench.see("fsync", is_reported(syncing, &reported)?);
    for held in held {
        held.release()?;
    }
    for (puppet, operation) in puppets.iter().zip(waiting) {
        puppet.finish("a call that was held long", operation)?;
    }
    Ok(())
}

/// The task of a line such as `INFO: task exe:123 blocked in I/O wait for more than 1 seconds.` (the words about I/O since
/// 7.x; `check_hung_task` in kernel/hung_task.c).
fn task_of(line: &str) -> Option<u32> {
    let (task, why) = line.split_once("INFO: task ")?.1.split_once(" blocked ")?;
    let number = task.rsplit_once(':')?.1.parse().ok();
    number.filter(|_| why.contains("for more than "))
}

/// Whether one of a puppet's threads is among them.
fn is_reported(puppet: &Puppet<'_>, tasks: &BTreeSet<u32>) -> Result<bool> {
    let path = format!("/proc/{}/task", puppet.pid());
    let threads = fs::read_dir(path).map_err(io_error("list the threads of a puppet"))?;
    Ok(threads.flatten().any(|thread| {
        let name = thread.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        number.is_some_and(|number: u32| tasks.contains(&number))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_from_reports() {
        for (line, task) in [
            (
                "INFO: task exe:123 blocked for more than 1 seconds.",
                Some(123),
            ),
            (
                "INFO: task exe:173 blocked in I/O wait for more than 3 seconds.",
                Some(173),
            ),
            (
                "INFO: task a:b:77 blocked for more than 1 seconds.",
                Some(77),
            ),
            (
                "INFO: task exe:123 blocked on a mutex likely owned by task b:9.",
                None,
            ),
            ("WARNING: x", None),
        ] {
            assert_eq!(task_of(line), task, "{line}");
        }
    }
}
