//! What rules do to the requests of such a device.

use api::{EventKind, call};

use super::{ending, need_nbd, on_file, ram};
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::Daemon;
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};

pub(super) const CASES: &[Case] = &[
    Case::new("nbd::every_action_but_short", actions),
    Case::new("nbd::events_tell_each_fault", events),
];

/// Each action once, on a medium that can be looked at.
fn actions() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    let medium = |at: usize, len: usize| std::fs::read(&file).unwrap()[at..at + len].to_vec();
    let rule = |words: &str| {
        daemon.ask(call::heal(None));
        daemon.rule(device.id, "r", words);
    };
    disk.write(0, &[1; 8192]);

    rule("fail:TIMEOUT where op=read,lba=0+8 when count=1");
    assert_eq!(errno(disk.try_read(0, 4096)), libc::EIO);
    assert_eq!(disk.read(0, 4096), [1; 4096]);

    rule("drop where op=write,lba=0+8");
    disk.write(0, &[2; 4096]);
    assert_eq!(
        medium(0, 4096),
        [1; 4096],
        "a dropped write is on the medium"
    );

    rule("torn:parts=8,persist=1 where op=write,lba=0+8");
    disk.write(0, &[3; 4096]);
    assert_eq!(medium(0, 512), [3; 512]);
    assert_eq!(medium(512, 3584), [1; 3584], "the rest was to be torn off");

    rule("corrupt:kind=flip,places=1 where op=read,lba=8+8");
    let read = disk.read(4096, 4096);
    let flipped: u32 = read.iter().map(|byte| (byte ^ 1).count_ones()).sum();
    assert_eq!(flipped, 1, "bits that were flipped");
    assert_eq!(medium(4096, 4096), [1; 4096]);

    rule("misdirect:to=1024 where op=write,lba=0+8");
    disk.write(0, &[4; 4096]);
    assert_eq!(medium(1024 * 512, 4096), [4; 4096]);

    rule("delay:30ms where op=read,lba=0+8");
    let begin = std::time::Instant::now();
    disk.read(0, 4096);
    assert!(begin.elapsed() >= std::time::Duration::from_millis(30));

    rule("hang where op=read,lba=0+8");
    let reader = read_in_background(&device.path, 0, 4096);
    wait_for("a request that hangs", || {
        (daemon.ask(call::stats(device.id)).delayed == 1).then_some(())
    });
    disk.read(4096, 4096);
    assert!(!reader.is_finished());
    daemon.ask(call::heal(None));
    reader.join().unwrap().unwrap();
    // The driver keeps a device for whoever has it open.
    drop(disk);
    daemon.stop();
    ending::nothing_is_left();
    Outcome::Passed
}

fn events() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let device = ram(&daemon);
    let disk = Disk::open(&device.path);
    daemon.rule(
        device.id,
        "m",
        "fail:MEDIUM where op=read,lba=40+8 when count=1",
    );
    assert_eq!(errno(disk.try_read(40 * 512, 4096)), libc::EIO);
    let fired = daemon.events(EventKind::Fired);
    let [event] = &fired[..] else {
        panic!("{fired:?}");
    };
    assert_eq!(event.rule.as_deref(), Some("m"));
    assert_eq!(
        (
            event.device,
            event.sector.map(|sector| sector.0),
            event.sectors,
            event.queue
        ),
        (Some(device.id), Some(40), Some(8), Some(0))
    );
    let ends = daemon.events(EventKind::Completed);
    assert_eq!(ends[0].result, Some(-libc::ENODATA));
    daemon.stop();
    Outcome::Passed
}
