//! What an experiment works with: disks, puppets, holds, and ways to look.

mod disk;
mod flight;
mod mount;
mod setting;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::{BlockingClient, DataPath, DeviceConfig, Driver, TargetConfig, call};
use pages::{PageScope, PageState, PinCounters, VmStat};
use serde_json::Value;

use crate::error::io_error;
use crate::expected::Observations;
use crate::puppet::Puppet;
use crate::puppet::order::{Mem, OpId};
use crate::{LabError, PageCounts, Result};

pub(crate) use disk::{Armed, Disk, Held};
pub(crate) use flight::{OLD, Via, WRITTEN};
pub(crate) use mount::{FsKind, Mount, command};
pub(crate) use setting::{Setting, Swap};

/// How long something may take that nothing holds up. Under emulation it takes milliseconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
/// The size of a disk unless told otherwise.
const DISK_BYTES: u64 = 64 << 20;

/// Given to one run of an experiment.
#[derive(Debug)]
pub struct Bench<'a> {
    pub(crate) client: &'a BlockingClient,
    /// What makes the block devices.
    pub(crate) driver: Driver,
    /// The data path of a disk unless told otherwise: what shows most on this kernel.
    pub(crate) path: DataPath,
    pub(crate) scope: Option<&'a PageScope>,
    pub(crate) vmstat: &'a VmStat,
    /// A directory of this run's own.
    pub(crate) directory: &'a Path,
    /// The pin counters when it began.
    pub(crate) start: PinCounters,
    pub(crate) interrupted: &'a AtomicBool,
    pub(crate) observations: RefCell<Observations>,
    pub(crate) broken: RefCell<Vec<String>>,
    pub(crate) pins_seen: Cell<PinCounters>,
}

impl<'a> Bench<'a> {
    /// Makes a disk of memory on which everything can be seen that this kernel shows: `user-copy` reaches the pages
    /// of a held request.
    pub(crate) fn disk(&self) -> Result<Disk<'a>> {
        self.disk_with(|_| {})
    }

    /// As [`Bench::disk`], large enough for a file system: XFS wants 300 MiB, btrfs 109.
    pub(crate) fn disk_for(&self, kind: Option<FsKind>) -> Result<Disk<'a>> {
        let size_bytes = match kind {
            None | Some(FsKind::Ext4) => DISK_BYTES,
            Some(FsKind::Xfs | FsKind::Btrfs) => 320 << 20,
        };
        self.disk_with(|config| config.target = TargetConfig::Ram { size_bytes })
    }

    /// As [`Bench::disk`], changed before it is made.
    pub(crate) fn disk_with(&self, change: impl FnOnce(&mut DeviceConfig)) -> Result<Disk<'a>> {
        let mut config = DeviceConfig {
            data_path: self.path,
            ..DeviceConfig::new(TargetConfig::Ram {
                size_bytes: DISK_BYTES,
            })
        };
        change(&mut config);
        if self.driver == Driver::Nbd {
            config.driver = Driver::Nbd;
            config.data_path = DataPath::Copy;
        }
        let device = self.client.send(call::add_device(&config))?;
        Ok(Disk::new(self.client, device))
    }

    /// Starts a puppet.
    pub(crate) fn puppet(&self) -> Result<Puppet<'a>> {
        Puppet::new(self.client)
    }

    /// Makes a file system on a disk and mounts it.
    pub(crate) fn mount(&self, kind: FsKind, disk: &Disk<'_>) -> Result<Mount> {
        Mount::make(kind, disk.path(), self.directory)
    }

    /// Writes down what was observed.
    pub(crate) fn see(&self, key: &str, value: impl Into<Value>) {
        self.observations
            .borrow_mut()
            .insert(key.to_owned(), value.into());
    }

    /// Says what must hold on every kernel, and whether it did.
    pub(crate) fn must(&self, what: &str, holds: bool) {
        if !holds {
            self.broken.borrow_mut().push(format!("not so: {what}"));
        }
    }

    /// Pins acquired and released since the experiment began, exact.
    pub(crate) fn pins(&self) -> Result<PinCounters> {
        Ok(self.vmstat.pins()?.since(self.start))
    }

    /// Pins acquired and not released since the experiment began.
    pub(crate) fn outstanding(&self) -> Result<i64> {
        Ok(self.pins()?.outstanding())
    }

    /// Pins acquired since this was asked last, or since the beginning.
    pub(crate) fn newly_acquired(&self) -> Result<u64> {
        let now = self.pins()?;
        let since = now.since(self.pins_seen.replace(now));
        Ok(since.acquired)
    }

    fn scope(&self) -> Result<&'a PageScope> {
        self.scope.ok_or(LabError::NoCounts)
    }

    /// The page at an offset of a puppet's memory; all zero where there is none.
    pub(crate) fn look(&self, puppet: &Puppet<'_>, mem: Mem, at: usize) -> Result<PageCounts> {
        let address = mem.address + at as u64;
        let state = self.scope()?.of(puppet.pid(), address)?;
        Ok(state.as_ref().map(PageCounts::from).unwrap_or_default())
    }

    /// A frame, whoever maps it.
    pub(crate) fn frame(&self, pfn: u64) -> Result<PageState> {
        Ok(self.scope()?.page_state(pfn)?)
    }

    /// A bit of the pagemap entry at an offset of a puppet's memory (Documentation/admin-guide/mm/pagemap.rst).
    pub(crate) fn pagemap_bit(
        &self,
        puppet: &Puppet<'_>,
        mem: Mem,
        at: usize,
        bit: u32,
    ) -> Result<bool> {
        use std::os::unix::fs::FileExt;
        let path = format!("/proc/{}/pagemap", puppet.pid());
        let read = || -> std::io::Result<u64> {
            let mut entry = [0; 8];
            let offset = (mem.address + at as u64) / pages::PAGE_SIZE_BYTES * 8;
            std::fs::File::open(path)?.read_exact_at(&mut entry, offset)?;
            Ok(u64::from_le_bytes(entry))
        };
        let entry = read().map_err(io_error("read a pagemap"))?;
        Ok(entry >> bit & 1 == 1)
    }

    /// Frames whose page lock is held and which are not uptodate: page-cache pages that a read is to fill, on a
    /// quiet machine those of the request that is held. A whole pass over `/proc/kpageflags`.
    pub(crate) fn locked_frames(&self) -> Result<BTreeSet<u64>> {
        // KPF_LOCKED and KPF_UPTODATE (include/uapi/linux/kernel-page-flags.h).
        const LOCKED: u64 = 1;
        const UPTODATE: u64 = 1 << 3;
        let flags = std::fs::read("/proc/kpageflags").map_err(io_error("read the page flags"))?;
        let words = flags.chunks_exact(8).map(|word| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            u64::from_le_bytes(bytes)
        });
        Ok((0..)
            .zip(words)
            .filter(|(_, flags)| flags & (LOCKED | UPTODATE) == LOCKED)
            .map(|(pfn, _)| pfn)
            .collect())
    }

    /// Asks again and again until there is an answer; `what` is what is waited for.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(LabError::Interrupted);
            }
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if start.elapsed() > LIMIT {
                return Err(LabError::Stuck {
                    what: what.to_owned(),
                    limit: LIMIT,
                });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until a rule holds a request. An operation that comes back meanwhile was not held.
    pub(crate) fn held<'h>(
        &self,
        armed: &Armed<'h>,
        puppet: &Puppet<'_>,
        operation: OpId,
    ) -> Result<Held<'h>> {
        self.until("a request to be held", || {
            if let Some(held) = armed.next()? {
                return Ok(Some(held));
            }
            match puppet.poll(operation, Duration::ZERO)? {
                Some(outcome) => Err(LabError::NotStopped {
                    rule: armed.words(),
                    outcome,
                }),
                None => Ok(None),
            }
        })
    }

    /// Waits until a rule holds a request, whoever sent it.
    pub(crate) fn held_somewhere<'h>(&self, armed: &Armed<'h>) -> Result<Held<'h>> {
        self.until("a request to be held", || armed.next())
    }

    /// Gives pins that are released behind an asynchronous completion the time for it.
    pub(crate) fn settled_pins(&self) -> Result<i64> {
        let start = Instant::now();
        loop {
            let left = self.outstanding()?;
            if left == 0 || start.elapsed() > Duration::from_secs(1) {
                return Ok(left);
            }
            std::thread::sleep(POLL);
        }
    }
}
