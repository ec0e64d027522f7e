//! Shared memory is pinned once, for long, and not for each request by the daemon.

use std::os::unix::fs::FileExt;

use api::{DataPath, call};

use super::{BUFFER, SIZE, counts, shared};
use crate::client_io::Disk;
use crate::daemon::Daemon;
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_data_path};

pub(super) const CASES: &[Case] = &[Case::new(
    "shared_memory::pinned_once_and_given_back",
    pinned_once,
)];

/// Pins taken and given back on this machine since it started.
fn pins() -> (u64, u64) {
    // The CPUs keep a part of each count to themselves until they are asked.
    std::fs::read("/proc/sys/vm/stat_refresh").unwrap();
    let text = std::fs::read_to_string("/proc/vmstat").unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    (value("nr_foll_pin_acquired"), value("nr_foll_pin_released"))
}

fn outstanding() -> u64 {
    let (acquired, released) = pins();
    acquired - released
}

const PAGES: u64 = (BUFFER / 4096) as u64;

fn pinned_once() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let (device, _) = daemon.add_loop(SIZE as u64, DataPath::SharedMemory);
    let disk = Disk::open(&device.path);
    let before = outstanding();
    let mut map = shared(&daemon, &device);
    assert_eq!(outstanding() - before, PAGES, "pinned by the registration");

    // 64 requests of 4 pages each way: the client's own O_DIRECT takes one pin a page, the daemon none.
    let (acquired, _) = pins();
    for number in 0..64 {
        let part = &mut map.bytes_mut()[..16384];
        disk.file.write_all_at(part, number * 16384).unwrap();
        disk.file.read_exact_at(part, number * 16384).unwrap();
    }
    assert_eq!(counts(&daemon, &device).shared, 128);
    assert_eq!(pins().0 - acquired, 128 * 4, "pins of the requests");
    assert_eq!(outstanding() - before, PAGES, "while it is registered");

    daemon.ask(call::remove_buffer(device.id, 0));
    assert_eq!(outstanding(), before, "after it was taken back");
    let _map = shared(&daemon, &device);
    assert_eq!(outstanding() - before, PAGES, "registered again");
    drop(disk);
    daemon.ask(call::delete_device(device.id));
    // The driver lets go when the last file of the device is closed, in a worker (`ublk_cdev_rel`).
    wait_for("the pins to be given back", || {
        (outstanding() == before).then_some(())
    });
    daemon.stop();
    Outcome::Passed
}
