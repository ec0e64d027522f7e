//! The end of the server while it holds a request.

use api::{DeviceConfig, TargetConfig, call};

use super::handed_down::remove_left;
use crate::bench::{Bench, Disk};
use crate::daemon::OwnDaemon;
use crate::experiment::STARTS_A_SERVER;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Danger, Expected, Experiment, Need, Result};

/// The server dies.
pub(super) const ALL: &[Experiment] = &[Experiment {
    name: "server-death",
    question: "The server dies while it holds a direct read: what does the reader get, and are the pins given back?",
    prediction: "EIO, the memory is as it was, and no pin stays",
    source: "ublk_abort_queue and ublk_ch_release (drivers/block/ublk_drv.c); nbd_start_device_ioctl (drivers/block/nbd.c)",
    refuted_by: "A read that hangs or succeeds, changed bytes, or a pin that stays",
    needs: &[Need::Counts],
    danger: Danger::DState,
    slow: Some(STARTS_A_SERVER),
    expected: &[
        Expected::count("read", -5),
        Expected::bool("memory_untouched", true),
        Expected::count("pins_in_flight", 0).before(6, 5),
        Expected::count("pins_in_flight", 1).since(6, 5),
        Expected::count("outstanding", 0),
    ],
    run,
    ..Experiment::BLANK
}];

fn run(bench: &Bench<'_>) -> Result<()> {
    let mut daemon = OwnDaemon::start(bench.directory, bench.interrupted)?;
    let mut left = None;
    let result = die(bench, &mut daemon, &mut left);
    let socket = daemon.socket().to_owned();
    drop(daemon);
    if let Some(id) = left {
        remove_left(bench, &socket, id)?;
    }
    result
}

fn die(bench: &Bench<'_>, daemon: &mut OwnDaemon, left: &mut Option<u32>) -> Result<()> {
    let config = DeviceConfig {
        driver: bench.driver,
        data_path: bench.path,
        ..DeviceConfig::new(TargetConfig::Ram {
            size_bytes: 16 << 20,
        })
    };
    let client = api::BlockingClient::new(daemon.socket())?;
    let device = client.send(call::add_device(&config))?;
    *left = Some(device.id);
    let disk = Disk::new(&client, device);
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, 0xaa)?;
    let armed = disk.arm("read", 2048, 8)?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    daemon.kill()?;
    bench.see("read", puppet.finish("the read of the dead server", read)?);
    bench.see(
        "memory_untouched",
        puppet.load(mem.all())? == vec![0xaa; 4096],
    );
    bench.see("outstanding", bench.settled_pins()?);
    drop(held);
    Ok(())
}
