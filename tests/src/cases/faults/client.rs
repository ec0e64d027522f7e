//! The memory that a client's requests come from: its own, or, on data path shared-memory, memory that it
//! shares with the daemon.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;

use api::{DataPath, Device, call};
use ublk::memory::Mapping;

use super::bench::LEN;
use crate::cases::shared_memory;
use crate::client_io::{Aligned, Disk};
use crate::daemon::Daemon;
use crate::sys::{SharedMap, WriteInFlight};

/// A client of a device.
pub(super) struct Client {
    shared: Option<Shared>,
    /// Requests with payload that came from shared memory.
    from_shared: Cell<u64>,
}

struct Shared {
    file: File,
    map: RefCell<SharedMap>,
    /// How much of the file requests under way have: each gets a part of its own.
    used: Cell<usize>,
}

impl Client {
    pub(super) fn of(daemon: &Daemon, device: &Device, path: DataPath) -> Self {
        let shared = (path == DataPath::SharedMemory).then(|| {
            let file = shared_memory::register_sealed(daemon, device);
            Shared {
                map: RefCell::new(SharedMap::of(&file, true)),
                file,
                used: Cell::new(LEN),
            }
        });
        Self {
            shared,
            from_shared: Cell::new(0),
        }
    }

    fn with_memory<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        match &self.shared {
            None => work(Aligned::new(LEN).bytes_mut()),
            Some(shared) => {
                self.from_shared.set(self.from_shared.get() + 1);
                work(&mut shared.map.borrow_mut().bytes_mut()[..LEN])
            }
        }
    }

    /// Reads into memory of this byte, and gives what is there then.
    pub(super) fn read(&self, disk: &Disk, at: u64, before: u8) -> io::Result<Vec<u8>> {
        self.with_memory(|memory| {
            memory.fill(before);
            disk.file.read_exact_at(memory, at)?;
            Ok(memory.to_vec())
        })
    }

    /// Writes this byte; the memory it came from must be as it was.
    pub(super) fn write(&self, disk: &Disk, at: u64, fill: u8) -> io::Result<()> {
        self.with_memory(|memory| {
            memory.fill(fill);
            let result = disk.file.write_all_at(memory, at);
            assert!(
                memory.iter().all(|byte| *byte == fill),
                "the write changed the client's memory"
            );
            result
        })
    }

    /// Begins to write.
    pub(super) fn writing(&self, disk: &Disk, at: u64, fill: u8) -> WriteInFlight {
        match &self.shared {
            None => WriteInFlight::start(&disk.file, at, fill, LEN),
            Some(shared) => {
                let offset = i64::try_from(self.part(shared)).unwrap();
                let memory = Mapping::shared(&shared.file, offset, LEN, true).unwrap();
                WriteInFlight::from_memory(&disk.file, at, fill, memory)
            }
        }
    }

    /// Begins to read.
    pub(super) fn reading(&self, path: &str, at: u64) -> JoinHandle<io::Result<Vec<u8>>> {
        let Some(shared) = &self.shared else {
            return crate::client_io::read_in_background(path, at, LEN);
        };
        let (disk, part) = (Disk::open(path), self.part(shared));
        let mut map = SharedMap::of(&shared.file, true);
        std::thread::spawn(move || {
            let memory = &mut map.bytes_mut()[part..part + LEN];
            disk.file.read_exact_at(memory, at)?;
            Ok(memory.to_vec())
        })
    }

    fn part(&self, shared: &Shared) -> usize {
        self.from_shared.set(self.from_shared.get() + 1);
        shared.used.replace(shared.used.get() + LEN)
    }

    /// Sees that what came from shared memory was served from there.
    pub(super) fn check(&self, daemon: &Daemon, device: &Device) {
        let came = self.from_shared.get();
        // A rule may have taken the device, and its counts with it.
        let stats = daemon.client.send(call::stats(device.id));
        let counts = stats.ok().and_then(|stats| stats.shared_memory);
        if let Some(counts) = counts {
            assert!(counts.shared > 0 || came == 0, "{came} came, {counts:?}");
        }
    }
}
