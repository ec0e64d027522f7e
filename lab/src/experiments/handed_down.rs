//! A ublk server with zero copy hands its client's pages down to another device, which holds.

use std::path::Path;
use std::time::Duration;

use api::{BlockingClient, DataPath, DeviceConfig, TargetConfig, call};

use crate::bench::{Bench, Disk, OLD};
use crate::daemon::OwnDaemon;
use crate::experiment::STARTS_A_SERVER;
use crate::puppet::order::{How, Mode, Transfer};
use crate::{Danger, Expected, Experiment, Need, Result};

const LATE: Experiment = Experiment {
    name: "zero-copy-handed-down",
    question: "A ublk server without copies reads from an inner device straight into its client's page, and the inner device \
               is late: who pins the page, and who sees the bytes?",
    prediction: "The client's own request pins it, once: the server's read is of a registered bvec. The client sees what the \
                 inner device stores before either read is complete",
    source: "io_buffer_register_request (io_uring/rsrc.c), ublk_auto_buf_register (drivers/block/ublk_drv.c)",
    refuted_by: "A second pin, a byte that is not seen, or a client that returns before the inner read",
    needs: &[
        Need::Counts,
        Need::Path(DataPath::UserCopy),
        Need::Path(DataPath::AutoZeroCopy),
    ],
    danger: Danger::DState,
    slow: Some(STARTS_A_SERVER),
    expected: &[
        Expected::count("acquired", 1),
        Expected::count("pins_in_flight", 1),
        Expected::bool("inner_store_seen", true),
        Expected::count("read", 4096),
        Expected::bool("data_there", true),
    ],
    run: |bench| handed_down(bench, DataPath::AutoZeroCopy, false),
    ..Experiment::BLANK
};

const DEATH: Experiment = Experiment {
    name: "zero-copy-server-death",
    question: "The server dies while the inner device still has its client's page to store into: is the client's read \
               ended before?",
    prediction: "No: the driver waits until the registered buffer is given up, which io_uring does when the inner read is \
                 complete. Until then the client waits and its page stays pinned; then it gets EIO, and every pin is gone",
    source: "ublk_ch_release_work_fn and ublk_check_and_reset_active_ref (drivers/block/ublk_drv.c), ublk_io_release",
    refuted_by: "A client that returns while the inner read is held, a page without a pin, or a pin that stays",
    expected: &[
        Expected::bool("back_before_the_inner_read", false),
        Expected::count("pins_without_a_server", 1),
        Expected::bool("late_store_seen", true),
        Expected::count("read", -5),
        Expected::count("outstanding", 0),
    ],
    run: |bench| handed_down(bench, DataPath::AutoZeroCopy, true),
    ..LATE
};

/// A late inner device, and a dead server, with buffers registered by the driver and by hand.
pub(super) const ALL: &[Experiment] = &[
    LATE,
    DEATH,
    Experiment {
        name: "zero-copy-server-death-by-hand",
        question: "The same with a server that registers its client's page itself: is the client's read ended before?",
        needs: &[
            Need::Counts,
            Need::Path(DataPath::UserCopy),
            Need::Path(DataPath::ZeroCopy),
        ],
        run: |bench| handed_down(bench, DataPath::ZeroCopy, true),
        ..DEATH
    },
];

fn handed_down(bench: &Bench<'_>, path: DataPath, dies: bool) -> Result<()> {
    let inner = bench.disk()?;
    let mut server = OwnDaemon::start(bench.directory, bench.interrupted)?;
    let mut left = None;
    let result = outer(bench, &inner, &mut server, path, dies, &mut left);
    let socket = server.socket().to_owned();
    drop(server);
    if let Some(id) = left.filter(|_| dies) {
        remove_left(bench, &socket, id)?;
    }
    result
}

/// Removes the device that a dead server has left.
pub(super) fn remove_left(bench: &Bench<'_>, socket: &Path, id: u32) -> Result<()> {
    // It is of no use any more, and the directory beside it says which device was left.
    let _ = std::fs::remove_file(socket);
    let heir = OwnDaemon::start(bench.directory, bench.interrupted)?;
    let node = format!("/sys/class/ublk-char/ublkc{id}");
    bench.until("the dead server's device to be removed", || {
        heir.client.send(call::reap())?;
        Ok((!Path::new(&node).exists()).then_some(()))
    })
}

fn outer(
    bench: &Bench<'_>,
    inner: &Disk<'_>,
    server: &mut OwnDaemon,
    path: DataPath,
    dies: bool,
    left: &mut Option<u32>,
) -> Result<()> {
    let config = DeviceConfig {
        data_path: path,
        ..DeviceConfig::new(TargetConfig::Loop {
            file: inner.path().into(),
            direct: true,
        })
    };
    let client = BlockingClient::new(server.socket())?;
    let device = client.send(call::add_device(&config))?;
    *left = Some(device.id);
    let disk = Disk::new(&client, device);
    let puppet = bench.puppet()?;
    let file = puppet.open(disk.path(), Mode::DIRECT)?;
    let mem = puppet.filled(4096, OLD)?;
    let armed = inner.arm("read", 2048, 8)?;
    bench.newly_acquired()?;
    let read = puppet.submit(Transfer::read(file, mem.all(), 1 << 20), How::Sync)?;
    let held = bench.held(&armed, &puppet, read)?;
    bench.see("acquired", bench.newly_acquired()?);
    bench.see("pins_in_flight", bench.look(&puppet, mem, 0)?.pin_count);
    if dies {
        // It may be that it does not end before the inner read: nobody waits for it here.
        server.begin_kill()?;
        let early = puppet.poll(read, Duration::from_millis(700))?;
        bench.see("back_before_the_inner_read", early.is_some());
        bench.see("server_is_gone", server.has_ended()?);
        let page = bench.look(&puppet, mem, 0)?;
        bench.see("pins_without_a_server", page.pin_count);
    }
    held.poke(0, 0x11, 4096)?;
    let seen = if dies {
        "late_store_seen"
    } else {
        "inner_store_seen"
    };
    bench.see(seen, puppet.byte(mem.all())? == 0x11);
    held.release()?;
    bench.see("read", puppet.finish("the read of the outer device", read)?);
    bench.see("data_there", puppet.byte(mem.all())? == 0x11);
    bench.see("outstanding", bench.settled_pins()?);
    if dies {
        bench.until("the killed server to end", || {
            Ok(server.has_ended()?.then_some(()))
        })?;
    }
    Ok(())
}
