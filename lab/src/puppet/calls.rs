//! What a puppet can be asked for, each call one order.

use std::path::Path;
use std::time::Duration;

use super::order::{
    Answer, FileId, How, Job, Mem, Memory, Mode, OpId, Order, Part, RingId, Transfer,
};
use super::{BACK, Puppet, number, odd};
use crate::{LabError, Result};

impl Puppet<'_> {
    /// Opens a file.
    pub(crate) fn open(&self, path: impl AsRef<Path>, mode: Mode) -> Result<FileId> {
        let order = Order::Open(path.as_ref().to_owned(), mode);
        self.id(&order).map(FileId)
    }

    /// Makes a file of memory.
    pub(crate) fn memory_file(&self, bytes: u64) -> Result<FileId> {
        self.id(&Order::MemoryFile(bytes)).map(FileId)
    }

    /// Makes a file of secret memory, or says the errno.
    pub(crate) fn secret_file(&self, bytes: u64) -> Result<std::result::Result<FileId, i32>> {
        let order = Order::SecretFile(bytes);
        match self.tell(&order)? {
            Ok(Answer::Id(id)) => Ok(Ok(FileId(id))),
            Ok(other) => Err(odd(&order, &other)),
            Err(errno) => Ok(Err(errno)),
        }
    }

    /// Maps memory.
    pub(crate) fn map(&self, memory: Memory, bytes: usize) -> Result<Mem> {
        self.mem(&Order::Map(memory, bytes))
    }

    /// Maps private memory and fills it, so that its pages are there.
    pub(crate) fn filled(&self, bytes: usize, byte: u8) -> Result<Mem> {
        let mem = self.map(Memory::Private, bytes)?;
        self.fill(mem.all(), byte)?;
        Ok(mem)
    }

    /// Moves memory to another address.
    pub(crate) fn remap(&self, mem: Mem) -> Result<Mem> {
        self.mem(&Order::Remap(mem))
    }

    fn mem(&self, order: &Order) -> Result<Mem> {
        match self.get(order)? {
            Answer::Mem(mem) => Ok(mem),
            other => Err(odd(order, &other)),
        }
    }

    fn id(&self, order: &Order) -> Result<usize> {
        match self.get(order)? {
            Answer::Id(id) => Ok(id),
            other => Err(odd(order, &other)),
        }
    }

    /// A pipe: the end to take from, and the one to put into.
    pub(crate) fn pipe(&self) -> Result<(FileId, FileId)> {
        match self.get(&Order::Pipe)? {
            Answer::Ids(from, to) => Ok((FileId(from), FileId(to))),
            other => Err(odd(&Order::Pipe, &other)),
        }
    }

    /// Stores a byte all over memory.
    pub(crate) fn fill(&self, part: Part, byte: u8) -> Result<()> {
        self.get(&Order::Do(Job::Fill(part, byte))).map(drop)
    }

    /// What memory holds.
    pub(crate) fn load(&self, part: Part) -> Result<Vec<u8>> {
        let order = Order::Do(Job::Load(part));
        match self.get(&order)? {
            Answer::Bytes(bytes) => Ok(bytes.0),
            other => Err(odd(&order, &other)),
        }
    }

    /// The first byte of a part: enough where a whole part has one value.
    pub(crate) fn byte(&self, part: Part) -> Result<u8> {
        Ok(self
            .load(Part { bytes: 1, ..part })?
            .first()
            .copied()
            .unwrap_or(0))
    }

    /// Which pages of memory are resident.
    pub(crate) fn resident(&self, part: Part) -> Result<Vec<bool>> {
        let order = Order::Resident(part);
        match self.get(&order)? {
            Answer::Pages(pages) => Ok(pages),
            other => Err(odd(&order, &other)),
        }
    }

    /// Does a job that must not block: its number, or a negative errno.
    pub(crate) fn run(&self, job: Job) -> Result<i64> {
        let order = Order::Do(job);
        number(&order, self.tell(&order)?)
    }

    /// Begins a job that may block.
    pub(crate) fn start(&self, job: Job) -> Result<OpId> {
        self.id(&Order::Start(job)).map(OpId)
    }

    /// Begins a transfer in one of the ways.
    pub(crate) fn submit(&self, transfer: Transfer, how: How) -> Result<OpId> {
        match how {
            How::Sync => self.start(Job::Transfer(transfer)),
            _ => self.id(&Order::Submit(transfer, how)).map(OpId),
        }
    }

    /// Whether an operation is over: its number or a negative errno, once it is. Waits at most `time`.
    pub(crate) fn poll(&self, operation: OpId, time: Duration) -> Result<Option<i64>> {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let order = Order::Wait(operation, milliseconds);
        match self.tell(&order)? {
            Ok(Answer::Pending) => Ok(None),
            said => number(&order, said).map(Some),
        }
    }

    /// Waits for an operation that nothing holds any more.
    pub(crate) fn finish(&self, what: &str, operation: OpId) -> Result<i64> {
        self.poll(operation, BACK)?.ok_or_else(|| LabError::Stuck {
            what: what.to_owned(),
            limit: BACK,
        })
    }

    /// Asks io_uring to cancel an operation; the answer is that of another one.
    pub(crate) fn cancel(&self, operation: OpId) -> Result<OpId> {
        self.id(&Order::Cancel(operation)).map(OpId)
    }

    /// Has it call execve(2), after which it is a fresh puppet; see [`Self::has_begun`].
    pub(crate) fn begin_exec(&self) -> Result<()> {
        self.say(&Order::Exec).map(drop)
    }

    /// Whether the fresh puppet has begun, or does within `time`.
    pub(crate) fn has_begun(&self, time: Duration) -> Result<bool> {
        self.speaks_within(time)
    }

    /// As [`Self::finish`], for an operation whose answer is bytes.
    pub(crate) fn finish_bytes(&self, what: &str, operation: OpId) -> Result<Vec<u8>> {
        self.finish(what, operation)?;
        let order = Order::Wait(operation, 0);
        match self.get(&order)? {
            Answer::Bytes(bytes) => Ok(bytes.0),
            other => Err(odd(&order, &other)),
        }
    }

    /// A new io_uring.
    pub(crate) fn ring(&self) -> Result<RingId> {
        self.id(&Order::Ring).map(RingId)
    }
}
