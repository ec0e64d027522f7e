//! One cell of the table: a device on a file whose content is known, a rule, a client.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::fault::Op;
use api::{DataPath, Device, Event, EventKind, call};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config};
use crate::outcome::Outcome;

/// The size of the device.
pub(super) const SIZE: u64 = 4 << 20;

/// What the medium holds at first.
pub(super) const OLD: u8 = 0x11;

/// What clients write.
pub(super) const NEW: u8 = 0xee;

/// Where the requests of most rows are: sector 8, eight sectors.
pub(super) const AT: u64 = 4096;
pub(super) const LEN: usize = 4096;

/// One row of the table: an action, what it does, and how that is checked.
pub(crate) struct Row {
    /// The test's name.
    pub(crate) name: &'static str,
    /// The rule, in words.
    pub(crate) rule: &'static str,
    /// What a client sees, and what the medium holds afterwards.
    pub(crate) result: &'static str,
    /// Checks it.
    pub(crate) check: fn(&mut Bench),
}

/// A device on a file of bytes [`OLD`], with the row's rule in force.
pub(crate) struct Bench {
    pub(super) daemon: Daemon,
    pub(super) device: Device,
    pub(super) file: PathBuf,
    pub(super) disk: Disk,
    pub(super) path: DataPath,
    checks: Cell<u32>,
}

/// Checks one cell: a row on a data path.
pub(super) fn run(row: &Row, path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    if let Some(why) = daemon.lacks(path) {
        return Outcome::NotApplicable(why);
    }
    let file = daemon.file(SIZE);
    std::fs::write(&file, vec![OLD; usize::try_from(SIZE).unwrap()]).unwrap();
    let target = api::TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let device = daemon.add(&config(target, path));
    if row.rule.contains("return=") && daemon.lacks_flag("IO_DESC_SIZE").is_some() {
        return Outcome::NotApplicable("a stopped device starts again from Linux 7.3 on".into());
    }
    daemon.rule(device.id, "r", row.rule);
    let disk = Disk::open(&device.path);
    let mut bench = Bench {
        daemon,
        device,
        file,
        disk,
        path,
        checks: Cell::new(0),
    };
    (row.check)(&mut bench);
    assert!(
        bench.checks.get() > 0,
        "nothing was checked of: {}",
        row.result
    );
    let Bench { daemon, disk, .. } = bench;
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

impl Bench {
    /// What the medium holds.
    pub(super) fn medium(&self, offset: u64, len: usize) -> Vec<u8> {
        self.checks.set(self.checks.get() + 1);
        let bytes = std::fs::read(&self.file).unwrap();
        let offset = usize::try_from(offset).unwrap();
        bytes[offset..offset + len].to_vec()
    }

    /// The medium holds this byte in these places of the request at [`AT`], and the old one everywhere else.
    pub(super) fn only_new_at(&self, ranges: &[std::ops::Range<usize>]) {
        let medium = self.medium(0, usize::try_from(SIZE).unwrap());
        let at = usize::try_from(AT).unwrap();
        for (place, byte) in medium.iter().enumerate() {
            let inside = ranges
                .iter()
                .any(|range| range.contains(&place.wrapping_sub(at)));
            let expected = if inside { NEW } else { OLD };
            assert_eq!(*byte, expected, "byte {place} of the medium");
        }
    }

    /// The same for one place.
    pub(super) fn only_new_in(&self, range: std::ops::Range<usize>) {
        self.only_new_at(std::slice::from_ref(&range));
    }

    /// The medium is as it was at first.
    pub(super) fn untouched(&self) {
        self.only_new_at(&[]);
    }

    pub(super) fn write(&self) -> std::io::Result<()> {
        self.disk.try_write(AT, &[NEW; LEN])
    }

    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        self.disk.try_read(AT, LEN)
    }

    /// A direct reader and a cached one both get an error, with these errnos.
    pub(super) fn reads_fail(&self, direct: i32, cached: i32) {
        assert_eq!(errno(self.read()), direct, "a direct reader");
        let through_cache = Disk::open_with(&self.device.path, 0);
        assert_eq!(
            errno(through_cache.try_read(AT, LEN)),
            cached,
            "a cached reader"
        );
        self.checks.set(self.checks.get() + 1);
    }

    /// How long something took.
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        self.checks.set(self.checks.get() + 1);
        let begin = Instant::now();
        let result = work();
        (result, begin.elapsed())
    }

    pub(super) fn events(&self, kind: EventKind) -> Vec<Event> {
        self.checks.set(self.checks.get() + 1);
        let mut events = self.daemon.events(kind);
        events.retain(|event| event.device == Some(self.device.id));
        events
    }

    pub(super) fn ios(&self, device: u32, op: Op) -> u64 {
        let stats = self.daemon.ask(call::stats(device));
        stats.ops.iter().find(|stats| stats.op == op).unwrap().ios
    }

    pub(super) fn heal(&self) {
        self.daemon.ask(call::heal(Some(self.device.id)));
    }
}
