//! The kernel's look for partitions on a block device that has just appeared.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use ublk::Features;

use super::Device;
use super::plan::Plan;

/// How long the kernel may take to begin. One that knows no kind of partition table never does.
const PATIENCE: Duration = Duration::from_secs(2);

impl Device {
    /// Waits until the kernel has looked for partitions, unless it was told not to. Of the kernels that cannot be told so
    /// the later ones, stable ones among them (6.18.15), look at a time of their own, when the start has been answered
    /// (`ublk_partition_scan_work`). `before`: how many requests had come before the start.
    pub(super) fn wait_for_scan(&self, plan: &Plan, before: u64) {
        // The driver does not look where an ordinary user serves.
        let quiet = Features::NO_AUTO_PART_SCAN | Features::UNPRIVILEGED_DEV;
        if plan.add.flags.intersects(quiet) {
            return;
        }
        let begin = Instant::now();
        while self.arrived() == before {
            if begin.elapsed() >= PATIENCE {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // It looks under the lock that an open takes. Best effort: the node may not be there.
        let _ = File::open(self.path());
    }

    /// How many requests have come.
    pub(super) fn arrived(&self) -> u64 {
        let queues = self.queues.iter();
        queues.map(|queue| queue.stats.arrived.get()).sum()
    }
}
