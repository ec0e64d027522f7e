//! The stability watch: clients that change their memory while a write from it is under way.

use api::{DataPath, DeviceConfig, EventKind, ProblemCode, TargetConfig, Which, call};

use super::SIZE;
use crate::client_io::Disk;
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome};
use crate::sys::WriteInFlight;

pub(super) const CASES: &[Case] = &[
    Case::new("watch::names_what_a_client_changed", changed),
    Case::new("watch::is_silent_about_what_stays", stays),
    Case::new("watch::is_refused_where_nothing_can_be_seen", refused),
];

const LEN: usize = 16384;

fn watched(path: DataPath) -> DeviceConfig {
    DeviceConfig {
        stability_watch: true,
        ..config(TargetConfig::Ram { size_bytes: SIZE }, path)
    }
}

fn on_each_path(check: impl Fn(&Daemon, DataPath)) -> Outcome {
    let daemon = Daemon::start();
    for path in super::PATHS {
        if path != DataPath::Copy && daemon.lacks(path).is_none() {
            check(&daemon, path);
        }
    }
    daemon.stop();
    Outcome::Passed
}

/// The planted defect: two places of a held write's memory change.
fn changed() -> Outcome {
    on_each_path(|daemon, path| {
        let device = daemon.add(&watched(path));
        daemon.rule(device.id, "h", "hold where op=write when count=1");
        let disk = Disk::open(&device.path);
        let mut writing = WriteInFlight::start(&disk.file, 8192, 1, LEN);
        daemon.held(device.id, 1);
        writing.change(4095, 2, 9);
        writing.change(10_000, 1, 9);
        daemon.release(device.id, Which::All);
        assert_eq!(usize::try_from(writing.wait()), Ok(LEN));
        let events = of(daemon, device.id);
        assert_eq!(events.len(), 1, "{path}");
        assert_eq!(events[0].sector.unwrap().0, 16);
        let ranges = events[0].changed.as_ref().unwrap();
        let ranges: Vec<_> = ranges
            .iter()
            .map(|r| (r.offset_bytes, r.len_bytes))
            .collect();
        assert_eq!(ranges, [(4095, 2), (10_000, 1)], "{path}");
    })
}

fn stays() -> Outcome {
    on_each_path(|daemon, path| {
        let device = daemon.add(&watched(path));
        daemon.rule(device.id, "slow", "delay:1ms,at=complete where op=write");
        let disk = Disk::open(&device.path);
        for number in 0..50_u8 {
            disk.write(u64::from(number) * 4096, &[number; 4096]);
            assert_eq!(disk.read(u64::from(number) * 4096, 4096), [number; 4096]);
        }
        assert_eq!(of(daemon, device.id), [], "{path}");
    })
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    let problem = daemon.refused(call::add_device(&watched(DataPath::Copy)));
    assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
    assert!(problem.detail.contains("data path copy"), "{problem}");
    assert_eq!(problem.pointer.as_deref(), Some("/stability_watch"));
    daemon.stop();
    Outcome::Passed
}

fn of(daemon: &Daemon, device: u32) -> Vec<api::Event> {
    let mut events = daemon.events(EventKind::SourceChanged);
    events.retain(|event| event.device == Some(device));
    events
}
