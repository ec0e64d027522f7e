//! The opening that most experiments share: a direct transfer of one page, held.

use crate::Result;
use crate::bench::{Armed, Bench, Disk, Held};
use crate::puppet::Puppet;
use crate::puppet::order::{FileId, How, Mem, Mode, OpId, Transfer};

/// What the memory holds before a read.
pub(crate) const OLD: u8 = 0xaa;
/// What the memory of a write holds.
pub(crate) const WRITTEN: u8 = 0x41;
/// Where the transfer is done on the disk, in bytes.
const PLACE: u64 = 1 << 20;
/// The same in sectors, and its length.
const SECTORS: (u64, u64) = (2048, 8);

/// How a transfer is submitted, where the puppet has no ring yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// pread(2) or pwrite(2).
    Sync,
    /// The kernel's AIO.
    Aio,
    /// io_uring.
    Ring,
}

/// A held transfer of the first page of `mem`, and all that it is made of. The second page of `mem` takes no part:
/// it shows what happens to a page that is not in flight.
///
/// Use the fields where they are: the rule must live for as long as the request is to be held.
#[derive(Debug)]
pub(crate) struct Flight<'a> {
    // Dropped in this order: the rule goes, which releases what it holds, then the puppet, then its disk.
    /// The request.
    pub(crate) held: Held<'a>,
    _armed: Armed<'a>,
    /// Who sent it.
    pub(crate) puppet: Puppet<'a>,
    /// The block device.
    pub(crate) path: String,
    _disk: Disk<'a>,
    /// The disk, opened for direct I/O.
    pub(crate) file: FileId,
    /// Two pages of private memory, filled with [`OLD`] or [`WRITTEN`].
    pub(crate) mem: Mem,
    /// The call.
    pub(crate) operation: OpId,
}

impl<'a> Bench<'a> {
    /// A disk, a puppet, and a direct read of a page that is held.
    pub(crate) fn held_read(&self, via: Via) -> Result<Flight<'a>> {
        self.held_read_on(self.disk()?, via)
    }

    /// As [`Bench::held_read`], on a disk that there is.
    pub(crate) fn held_read_on(&self, disk: Disk<'a>, via: Via) -> Result<Flight<'a>> {
        self.flight(disk, "read", via)
    }

    /// A disk, a puppet, and a direct write of a page that is held.
    pub(crate) fn held_source(&self, via: Via) -> Result<Flight<'a>> {
        self.flight(self.disk()?, "write", via)
    }

    fn flight(&self, disk: Disk<'a>, op: &str, via: Via) -> Result<Flight<'a>> {
        let puppet = self.puppet()?;
        let file = puppet.open(disk.path(), Mode::DIRECT)?;
        let how = match via {
            Via::Sync => How::Sync,
            Via::Aio => How::Aio,
            Via::Ring => How::Ring(puppet.ring()?),
        };
        let reads = op == "read";
        let mem = puppet.filled(8192, if reads { OLD } else { WRITTEN })?;
        let armed = disk.arm(op, SECTORS.0, SECTORS.1)?;
        let transfer = match reads {
            true => Transfer::read(file, mem.part(0, 4096), PLACE),
            false => Transfer::write(file, mem.part(0, 4096), PLACE),
        };
        self.newly_acquired()?;
        let operation = puppet.submit(transfer, how)?;
        let held = self.held(&armed, &puppet, operation)?;
        Ok(Flight {
            held,
            _armed: armed,
            puppet,
            path: disk.path().to_owned(),
            _disk: disk,
            file,
            mem,
            operation,
        })
    }
}
