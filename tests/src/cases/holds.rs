//! Holding requests, and letting them go.

use std::time::{Duration, Instant};

use api::{DataPath, ReleaseRequest, TargetConfig, Which, call};

use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new("holds::released_in_any_order_copy", || {
        any_order(DataPath::Copy)
    }),
    Case::new("holds::released_in_any_order_user_copy", || {
        any_order(DataPath::UserCopy)
    }),
    Case::new("holds::released_in_any_order_auto_zero_copy", || {
        any_order(DataPath::AutoZeroCopy)
    }),
    Case::new(
        "holds::a_held_write_reaches_the_medium_only_when_released",
        held_write,
    ),
    Case::new("holds::released_with_an_error", released_with_error),
    Case::new("holds::a_hold_ends_by_itself", ends_by_itself),
    Case::new("holds::removing_the_rule_releases", rule_removed),
    Case::new(
        "holds::a_removed_rule_delays_what_it_let_through",
        removed_behind,
    ),
    Case::new("holds::others_are_served_meanwhile", others_served),
    Case::new("holds::a_full_queue_of_holds_is_released", full_queue),
];

const SIZE: u64 = 4 << 20;

fn any_order(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, _) = daemon.add_loop(SIZE, path);
    let disk = Disk::open(&device.path);
    for number in 0..6_u64 {
        disk.write(number * 4096, &pattern(number, 4096));
    }
    daemon.rule(device.id, "h", "hold where op=read when count=6");
    let mut readers: Vec<_> = (0..6_u64)
        .map(|number| {
            (
                number,
                read_in_background(&device.path, number * 4096, 4096),
            )
        })
        .collect();
    let holds = daemon.held(device.id, 6);
    assert_eq!(daemon.ask(call::stats(device.id)).held, 6);
    for number in [3_u64, 0, 5, 1, 4, 2] {
        let hold = holds
            .iter()
            .find(|hold| hold.sector.0 == number * 8)
            .unwrap();
        assert_eq!(
            daemon.release(device.id, Which::HoldId(hold.hold_id)),
            [hold.hold_id]
        );
        let place = readers
            .iter()
            .position(|(reader, _)| *reader == number)
            .unwrap();
        let (_, reader) = readers.remove(place);
        assert_eq!(
            reader.join().unwrap().unwrap(),
            pattern(number, 4096),
            "read {number}"
        );
        // The others are still held.
        assert!(readers.iter().all(|(_, reader)| !reader.is_finished()));
    }
    assert_eq!(daemon.ask(call::stats(device.id)).held, 0);
    daemon.stop();
    Outcome::Passed
}

fn held_write() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=write when count=1");
    let disk = Disk::open(&device.path);
    let writer = std::thread::spawn(move || disk.try_write(0, &[5; 4096]));
    daemon.held(device.id, 1);
    assert_eq!(
        std::fs::read(&file).unwrap()[..4096],
        [0; 4096],
        "it was written while held"
    );
    daemon.release(device.id, Which::All);
    writer.join().unwrap().unwrap();
    assert_eq!(std::fs::read(&file).unwrap()[..4096], [5; 4096]);
    daemon.stop();
    Outcome::Passed
}

fn released_with_error() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let fail = Some("MEDIUM".parse().unwrap());
    let request = ReleaseRequest::of(Which::Rule("h".into())).failing(fail);
    assert_eq!(
        daemon
            .ask(call::release(device.id, &request))
            .released
            .len(),
        1
    );
    assert_eq!(errno(reader.join().unwrap()), libc::ENODATA);
    daemon.stop();
    Outcome::Passed
}

fn ends_by_itself() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    daemon.rule(
        device.id,
        "go",
        "hold:max=200ms where op=read,lba=0+8 when count=1",
    );
    daemon.rule(
        device.id,
        "no",
        "hold:max=200ms,then=fail:TIMEOUT where op=read,lba=8+8",
    );
    assert_eq!(disk.read(0, 4096), [0; 4096]);
    assert_eq!(errno(disk.try_read(4096, 4096)), libc::ETIMEDOUT);
    assert_eq!(daemon.ask(call::holds(device.id)).holds, []);
    daemon.stop();
    Outcome::Passed
}

fn rule_removed() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read");
    daemon.rule(device.id, "other", "hold where op=write");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let changed = daemon.ask(call::remove_rule(device.id, "h"));
    assert_eq!((changed.released, changed.rules), (1, 1));
    reader.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

fn others_served() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8 when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let disk = Disk::open(&device.path);
    for number in 1..200_u64 {
        disk.write(number * 4096, &pattern(number, 4096));
        assert_eq!(disk.read(number * 4096, 4096), pattern(number, 4096));
    }
    assert!(!reader.is_finished());
    daemon.release(device.id, Which::All);
    reader.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

/// Every tag of the queue held: nothing else can be served, and everything comes back.
fn full_queue() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let small = api::DeviceConfig {
        depth: 4,
        ..config(target, DataPath::Copy)
    };
    let device = daemon.add(&small);
    daemon.rule(device.id, "h", "hold where op=read when count=4");
    let readers: Vec<_> = (0..6)
        .map(|number| read_in_background(&device.path, number * 4096, 4096))
        .collect();
    daemon.held(device.id, 4);
    std::thread::sleep(Duration::from_millis(50));
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    assert_eq!(daemon.release(device.id, Which::All).len(), 4);
    for reader in readers {
        reader.join().unwrap().unwrap();
    }
    daemon.stop();
    Outcome::Passed
}

/// A request that is at the medium when its rule goes has its delay still before it, if that is to expire.
fn removed_behind() -> Outcome {
    const DELAY: Duration = Duration::from_millis(1500);
    let daemon = Daemon::start();
    let lower = daemon.add_ram(SIZE, DataPath::Copy);
    let upper = daemon.add(&config(
        TargetConfig::Loop {
            file: lower.path.clone().into(),
            direct: true,
        },
        DataPath::Copy,
    ));
    daemon.rule(lower.id, "h", "hold where op=read,lba=0+8");
    let words = "delay(1500ms,at=complete) where op=read with on_remove=expire";
    daemon.rule(upper.id, "late", words);
    let reader = read_in_background(&upper.path, 0, 4096);
    daemon.held(lower.id, 1);
    daemon.ask(call::remove_rule(upper.id, "late"));
    let start = Instant::now();
    daemon.release(lower.id, Which::All);
    reader.join().unwrap().unwrap();
    assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
    daemon.ask(call::delete_device(upper.id));
    daemon.stop();
    Outcome::Passed
}
