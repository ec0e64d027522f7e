//! What depends on which requests are under way: the tags, how many there are, and one that hangs while the
//! others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use api::{DataPath, Device, DeviceConfig, EventKind, StopRequest, TargetConfig, Which, call};

use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, config};
use crate::deadline::wait_for;
use crate::model::pattern;
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new("in_flight::a_rule_is_on_a_tag", tag),
    Case::new("in_flight::a_rule_is_on_how_many_there_are", inflight),
    Case::new("in_flight::a_hang_of_a_tag_ends_with_its_rule", || {
        hang("hang where op=read,tag=5", |daemon, device| {
            assert_eq!(daemon.ask(call::remove_rule(device, "h")).released, 1);
            Ok(())
        })
    }),
    Case::new("in_flight::a_hang_of_a_tag_is_healed", || {
        hang("hang where op=read,tag=2", |daemon, _| {
            assert_eq!(daemon.ask(call::heal(None)).released, 1);
            Ok(())
        })
    }),
    Case::new("in_flight::a_hang_of_a_sector_ends_with_the_device", || {
        hang("hang where op=read,lba=26", |daemon, device| {
            daemon.ask(call::stop(device, &StopRequest::default()));
            Ok(())
        })
    }),
    Case::new("in_flight::a_hang_fails_when_its_rule_goes", || {
        let words = "hang where op=read,lba=26 with on_remove=fail:TIMEOUT";
        hang(words, |daemon, device| {
            assert_eq!(daemon.ask(call::remove_rule(device, "h")).released, 1);
            Err(libc::ETIMEDOUT)
        })
    }),
];

const SIZE: u64 = 4 << 20;

/// The rule has chosen so many requests, and fired on each.
fn fired(daemon: &Daemon, device: &Device, rule: &str, times: u64) {
    let counters = daemon.ask(call::rule(device.id, rule)).counters;
    assert_eq!((counters.matched, counters.fired), (times, times), "{rule}");
}

/// Of two tags one is taken by a request that is held, so that the next one gets the other.
fn tag() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let device = daemon.add(&DeviceConfig {
        depth: 2,
        ..config(target, DataPath::Copy)
    });
    let disk = Disk::open(&device.path);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8 when count=2");
    let readers = [0, 1].map(|_| read_in_background(&device.path, 0, 4096));
    let holds = daemon.held(device.id, 2);
    daemon.rule(device.id, "again", "hold where op=read,lba=0+8");
    daemon.rule(device.id, "t", "fail:MEDIUM where op=read,lba=8+8,tag=1");
    let of_tag = |holds: &[api::Hold], tag| {
        let hold = holds.iter().find(|hold| hold.tag == tag);
        Which::HoldId(hold.unwrap().hold_id)
    };
    // Tag 0 is free, and nothing else.
    daemon.release(device.id, of_tag(&holds, 0));
    disk.read(4096, 4096);
    fired(&daemon, &device, "t", 0);
    let third = read_in_background(&device.path, 0, 4096);
    let holds = daemon.held(device.id, 2);
    // Tag 1 is.
    daemon.release(device.id, of_tag(&holds, 1));
    assert_eq!(errno(disk.try_read(4096, 4096)), libc::ENODATA);
    fired(&daemon, &device, "t", 1);
    daemon.ask(call::heal(None));
    for reader in readers.into_iter().chain([third]) {
        reader.join().unwrap().unwrap();
    }
    daemon.stop();
    Outcome::Passed
}

/// The third of three is one of at least three; alone it is one.
fn inflight() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let asked = |many: &str, alone: &str| {
        daemon.rule(
            device.id,
            "many",
            &format!("fail:MEDIUM where op=read,lba=8+8,{many}"),
        );
        daemon.rule(
            device.id,
            "alone",
            &format!("fail:NOSPC where op=read,lba=8+8,{alone}"),
        );
        assert_eq!(errno(disk.try_read(4096, 4096)), libc::ENOSPC);
        fired(&daemon, &device, "many", 0);
        daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
        let readers = [0, 1].map(|_| read_in_background(&device.path, 0, 4096));
        daemon.held(device.id, 2);
        assert_eq!(errno(disk.try_read(4096, 4096)), libc::ENODATA);
        fired(&daemon, &device, "many", 1);
        fired(&daemon, &device, "alone", 1);
        daemon.ask(call::heal(None));
        for reader in readers {
            reader.join().unwrap().unwrap();
        }
    };
    asked("inflight>=3", "inflight<3");
    asked("inflight=3", "inflight=1");
    daemon.stop();
    Outcome::Passed
}

/// A reader of one block, again and again.
struct Reader {
    done: Arc<AtomicU64>,
    thread: JoinHandle<std::io::Result<()>>,
}

fn readers(path: &str, stop: &Arc<AtomicBool>) -> Vec<Reader> {
    let start = |number: u64| {
        let (disk, stop) = (Disk::open(path), Arc::clone(stop));
        let done = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let found = disk.try_read(number * 4096, 4096)?;
                assert!(found == pattern(number, 4096), "block {number}");
                counts.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Reader { done, thread }
    };
    (0..8).map(start).collect()
}

/// Of eight readers on eight tags one hangs, and the others go on; until `end`, which says what its answer is then.
fn hang(words: &str, end: fn(&Daemon, u32) -> Result<(), i32>) -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let device = daemon.add(&DeviceConfig {
        depth: 8,
        ..config(target, DataPath::Copy)
    });
    let disk = Disk::open(&device.path);
    (0..8).for_each(|number| disk.write(number * 4096, &pattern(number, 4096)));
    daemon.rule(device.id, "h", words);
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = readers(&device.path, &stop);
    let event = wait_for("a request to hang", || {
        daemon.events(EventKind::Fired).pop()
    });
    let sector = event.sector.unwrap().0;
    let stuck = readers.remove(usize::try_from(sector / 8).unwrap());
    if let Some(tag) = words.split("tag=").nth(1) {
        assert_eq!(event.tag.unwrap().to_string(), tag);
    } else {
        assert_eq!(sector, 24, "sector 26 is in the block from 24 on");
    }
    let done = stuck.done.load(Ordering::Relaxed);
    for reader in &readers {
        let before = reader.done.load(Ordering::Relaxed);
        wait_for("the others to go on", || {
            (reader.done.load(Ordering::Relaxed) > before + 50).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.thread.join().unwrap().unwrap();
    }
    assert!(!stuck.thread.is_finished() && stuck.done.load(Ordering::Relaxed) == done);
    let stats = daemon.ask(call::stats(device.id));
    assert_eq!((stats.inflight, stats.delayed, stats.held), (1, 1, 0));
    fired(&daemon, &device, "h", 1);
    let expected = end(&daemon, device.id);
    let got = stuck.thread.join().unwrap();
    assert_eq!(got.map_err(|error| error.raw_os_error().unwrap()), expected);
    drop(disk);
    daemon.stop();
    Outcome::Passed
}
