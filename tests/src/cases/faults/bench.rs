//! One cell of the table: a device on a file whose content is known, a rule, a client.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::fault::Op;
use api::{
    DataPath, Device, DeviceConfig, Event, EventKind, Integrity, ProblemCode, Recovery,
    TargetConfig, call,
};

use super::client::Client;
use super::row::{Ground, Made, Row};
use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config};
use crate::model::first_difference;
use crate::outcome::Outcome;
use crate::scratch::Mounted;

/// The size of the device.
pub(super) const SIZE: u64 = 1 << 20;

/// What the medium holds at first.
pub(super) const OLD: u8 = 0x11;

/// What clients write.
pub(super) const NEW: u8 = 0xee;

/// Where the requests of most rows are: sector 8, eight sectors.
pub(super) const AT: u64 = 4096;
pub(super) const LEN: usize = 4096;

/// A device on a file of bytes [`OLD`], with the row's rule in force.
pub(super) struct Bench {
    pub(super) daemon: Daemon,
    pub(super) device: Device,
    pub(super) file: PathBuf,
    pub(super) disk: Disk,
    pub(super) ground: Ground,
    pub(super) client: Client,
    checks: Cell<u32>,
}

/// Checks one cell: a row on some ground.
pub(super) fn run(row: &Row, ground: Ground) -> Outcome {
    // A daemon does not see what is mounted after its start.
    let mounted = if ground.direct { Mounted::ext4() } else { None };
    if ground.direct && mounted.is_none() {
        return Outcome::Skipped("the kernel's brd is missing".into());
    }
    let daemon = Daemon::start();
    let lacks = daemon
        .lacks(ground.path)
        .or_else(|| daemon.lacks_transport(ground.transport));
    if let Some(why) = lacks {
        return Outcome::NotApplicable(why);
    }
    if row.rule.contains("return=") && daemon.lacks_flag("IO_DESC_SIZE").is_some() {
        return Outcome::NotApplicable("a stopped device starts again from Linux 7.3 on".into());
    }
    let file = match &mounted {
        Some(mounted) => mounted.path().join("backing"),
        None => daemon.file(SIZE),
    };
    std::fs::write(&file, vec![OLD; usize::try_from(SIZE).unwrap()]).unwrap();
    let config = config_of(row, ground, file.clone());
    if row.made == Made::Protected {
        if ground.path != DataPath::UserCopy {
            let problem = daemon.refused(call::add_device(&config));
            assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
            assert_eq!(problem.pointer.as_deref(), Some("/data_path"), "{problem}");
            daemon.stop();
            return Outcome::Passed;
        }
        if let Some(why) = daemon.lacks_flag("INTEGRITY") {
            return Outcome::NotApplicable(why);
        }
    }
    let said = Said(row, ground);
    let bench = Bench::new(daemon, &config, ground, file);
    bench.exercise(row);
    drop(said);
    if let Some(mounted) = mounted {
        mounted.unmount();
    }
    Outcome::Passed
}

/// What the guide says of a cell, told when the cell fails.
struct Said<'r>(&'r Row, Ground);

impl Drop for Said<'_> {
    fn drop(&mut self) {
        let Self(row, ground) = self;
        if std::thread::panicking() {
            println!(
                "of `{}` docs/faults.md says: O_DIRECT client: {}; through the page cache: {}; medium: {}; on {}: {}",
                row.rule,
                row.direct,
                row.cached,
                row.medium,
                ground.path,
                row.on(ground.path)
            );
        }
    }
}

fn config_of(row: &Row, ground: Ground, file: PathBuf) -> DeviceConfig {
    let target = TargetConfig::Loop {
        file,
        direct: ground.direct,
    };
    let outlives = row.made == Made::ToOutlive && ground.path != DataPath::SharedMemory;
    DeviceConfig {
        transport: ground.transport,
        recovery: if outlives {
            Recovery::Queue
        } else {
            Recovery::Fail
        },
        integrity: match row.made {
            Made::Protected => Integrity::T10Crc,
            _ => Integrity::None,
        },
        ..config(target, ground.path)
    }
}

impl Bench {
    fn new(daemon: Daemon, config: &DeviceConfig, ground: Ground, file: PathBuf) -> Self {
        let device = daemon.add(config);
        Self {
            disk: Disk::open(&device.path),
            client: Client::of(&daemon, &device, ground.path),
            daemon,
            device,
            file,
            ground,
            checks: Cell::new(0),
        }
    }

    fn exercise(mut self, row: &Row) {
        self.daemon.rule(self.device.id, "r", row.rule);
        (row.check)(&mut self);
        assert!(self.checks.get() > 0, "nothing was checked of {}", row.name);
        self.client.check(&self.daemon, &self.device);
        let Self { daemon, disk, .. } = self;
        drop(disk);
        daemon.stop();
    }

    /// What the medium holds: of the backing file.
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
        let mut expected = vec![OLD; medium.len()];
        for range in ranges {
            expected[at + range.start..at + range.end].fill(NEW);
        }
        let place = first_difference(&medium, &expected);
        assert!(
            place.is_none(),
            "byte {place:?} of the medium is another one"
        );
    }

    /// The same for one place.
    pub(super) fn only_new_in(&self, range: std::ops::Range<usize>) {
        self.only_new_at(std::slice::from_ref(&range));
    }

    /// The medium is as it was at first.
    pub(super) fn untouched(&self) {
        self.only_new_at(&[]);
    }

    /// Writes past the page cache.
    pub(super) fn write(&self) -> std::io::Result<()> {
        self.client.write(&self.disk, AT, NEW)
    }

    /// Reads past the page cache.
    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        self.client.read(&self.disk, AT, 0)
    }

    /// Reads through the page cache, which has forgotten what it had of the place; without read-ahead, so
    /// that one request comes of it.
    pub(super) fn cached_read(&self) -> std::io::Result<Vec<u8>> {
        self.cached().try_read(AT, LEN)
    }

    /// Writes this byte through the page cache, and makes it durable.
    pub(super) fn cached_write(&self, fill: u8) -> std::io::Result<()> {
        let disk = self.cached();
        disk.try_write(AT, &[fill; LEN])?;
        disk.file.sync_all()
    }

    fn cached(&self) -> Disk {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        let disk = Disk::open_with(&self.device.path, 0);
        for advice in [
            PosixFadviseAdvice::POSIX_FADV_RANDOM,
            PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        ] {
            posix_fadvise(&disk.file, 0, 0, advice).unwrap();
        }
        disk
    }

    /// A direct reader and a cached one both get an error, with these errnos.
    pub(super) fn reads_fail(&self, direct: i32, cached: i32) {
        assert_eq!(errno(self.read()), direct, "a direct reader");
        assert_eq!(errno(self.cached_read()), cached, "a cached reader");
        self.checks.set(self.checks.get() + 1);
    }

    /// A direct writer gets this errno; a cached one gets `EIO` from fsync, whatever it was
    /// (`mark_buffer_write_io_error`, fs/buffer.c).
    pub(super) fn writes_fail(&self, direct: i32) {
        assert_eq!(errno(self.write()), direct, "a direct writer");
        assert_eq!(errno(self.cached_write(NEW)), libc::EIO, "a cached writer");
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
