//! One queue: completions come in as [`Request`]s, commits go out. This is where a request's way
//! through the server begins and ends.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::{cqueue, opcode, squeue, types};
use libublk::sys;

use crate::answer::Answer;
use crate::backing_op::{BackingOp, allocate_entry, sync_entry};
use crate::data_path::{DataPath, DataPathKind};
use crate::direction::Payload;
use crate::error::Error;
use crate::memory::Mapping;
use crate::request::{Op, Request};
use crate::ring::{Ring, Token};
use crate::shared_buffers::SharedQueue;
use crate::stage::Stages;
use crate::transport::{Heard, Transport, TransportKind};

mod protection;
mod staging;

pub(crate) use staging::within;

/// What a queue thread needs to open its queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The number N of `/dev/ublkcN`.
    pub device: u32,
    /// Which queue of the device, from 0.
    pub queue: u16,
    /// Tags of the queue, as the driver gave them.
    pub depth: u16,
    /// The longest read or write in bytes.
    pub max_io_bytes: u32,
    /// How payload moves.
    pub data_path: DataPathKind,
    /// How requests are fetched and answered.
    pub transport: TransportKind,
    /// `auto-zero-copy`: tags from this one on ask for a slot that is not there, so that the driver delivers
    /// their requests unregistered. Every tag is below [`QueueConfig::ALL_TAGS`]; less is for tests of
    /// what follows then, which otherwise needs a kernel without memory.
    pub automatic_tags: u16,
    /// The character device, opened by [`crate::char_device::open`].
    pub char_device: Arc<OwnedFd>,
    /// What backs the device, for targets that have a file.
    pub backing: Option<Arc<OwnedFd>>,
    /// Whether the backing is a file in memory that io_uring can only reach through a worker thread
    /// (tmpfs, ramfs): where payloads pass through memory of the server, a plain read or write then takes a
    /// third of the instructions, and waits for no device.
    pub backing_in_memory: bool,
    /// An eventfd: a write to it makes the queue report [`Completion::Woken`].
    pub wake: Arc<OwnedFd>,
    /// The device's shared buffers, for data path `shared-memory`.
    pub shared: SharedQueue,
}

impl QueueConfig {
    /// More tags than a queue has.
    pub const ALL_TAGS: u16 = u16::MAX;
}

/// What came back from the kernel.
#[derive(Debug)]
pub enum Completion {
    /// A new request.
    Arrived(Request),
    /// The operation on the backing for the request with this tag is complete: bytes moved or 0, or
    /// a negative errno.
    Backing {
        /// The request's tag.
        tag: u16,
        /// Bytes or a negative errno.
        result: i32,
    },
    /// Somebody wrote to the wake event.
    Woken,
    /// The driver refused a command, which it never does to a server without a bug.
    Refused {
        /// The tag that it was about, if about one.
        tag: Option<u16>,
        /// The driver's answer, a negative errno.
        result: i32,
    },
}

/// What became of an operation on the backing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Submitted {
    /// It is under way; [`Completion::Backing`] will tell of its end.
    UnderWay,
    /// It has ended already: bytes or 0, or a negative errno.
    Ended(i32),
}

/// One queue of a device, on the thread that serves it.
///
/// The fields are dropped in their order: the ring closes before the memory it may still name goes.
#[derive(Debug)]
pub struct Queue {
    ring: Ring,
    transport: Transport,
    path: DataPath,
    stages: Stages,
    descriptors: Mapping,
    /// Whether the poll of the wake event is under way.
    wake_armed: bool,
    config: QueueConfig,
}

impl Queue {
    /// Opens the queue on the calling thread, which must be the one that serves it: the driver ties
    /// each tag to the task that fetched it.
    ///
    /// # Errors
    /// The system's, for the ring, the mappings or the registrations.
    pub fn open(config: QueueConfig) -> Result<Self, Error> {
        let queue = config.queue;
        let context = |what: &str| Error::system(format!("{what} of queue {queue}"));
        let ring = Ring::new(config.depth).map_err(context("make the ring"))?;
        let backing = config.backing.as_ref().map_or(-1, |file| file.as_raw_fd());
        let files: [RawFd; 2] = [config.char_device.as_raw_fd(), backing];
        ring.io_uring()
            .submitter()
            .register_files(&files)
            .map_err(context("register the files"))?;
        let slots = config.data_path.slots(config.depth);
        if slots > 0 {
            ring.io_uring()
                .submitter()
                .register_buffers_sparse(slots)
                .map_err(context("register a buffer table"))?;
        }
        let transport = Transport::new(config.transport, queue, config.depth, &ring)
            .map_err(context("prepare the transport"))?;
        let path = DataPath::new(&config).map_err(context("map the staging memory"))?;
        let descriptors = map_descriptors(&config).map_err(context("map the io descriptors"))?;
        Ok(Self {
            ring,
            transport,
            path,
            stages: Stages::new(config.max_io_bytes),
            descriptors,
            wake_armed: false,
            config,
        })
    }

    /// Sends FETCH for every tag and arms the wake event. START_DEV waits for this of every queue.
    ///
    /// # Errors
    /// The ring's.
    pub fn start(&mut self) -> Result<(), Error> {
        let queue = self.config.queue;
        self.fetch_all()
            .map_err(Error::system(format!("fetch the tags of queue {queue}")))
    }

    fn fetch_all(&mut self) -> io::Result<()> {
        self.transport.start(&mut self.ring, &self.path)?;
        self.arm_wake()?;
        self.ring.submit()
    }

    /// Sends what is queued and waits until there is a completion, at most `timeout` if one is
    /// given.
    ///
    /// # Errors
    /// The ring's.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.flush(&mut self.ring)?;
        self.ring.wait(timeout)
    }

    /// Whether the driver may still send requests, or waits for answers. It ends when the device stops or
    /// is quiesced.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.transport.is_open()
    }

    /// Whether the driver has every answer that was given before the last wait.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.transport.is_settled()
    }

    /// Takes the next completion, if there is one.
    #[inline]
    pub fn next_completion(&mut self) -> Option<Completion> {
        loop {
            if let Some(tag) = self.transport.next_tag() {
                return Some(self.arrived(tag));
            }
            let event = self.ring.next()?;
            match event.token {
                Token::Backing(tag) => {
                    let result = match self.path.registered() {
                        Some(table) => table.outcome(tag, event.result),
                        None => event.result,
                    };
                    return Some(Completion::Backing { tag, result });
                }
                Token::Staged(index) => {
                    if let Some(tag) = self.stages.ended(index) {
                        let result = event.result;
                        return Some(Completion::Backing { tag, result });
                    }
                }
                Token::Wake => {
                    self.wake_armed = cqueue::more(event.flags);
                    return Some(Completion::Woken);
                }
                Token::Registration(tag) => {
                    if let Some(table) = self.path.registered() {
                        table.refused(tag, event.result);
                    }
                }
                Token::Command(_) | Token::Fetch | Token::Commit => {
                    match self.transport.hear(event) {
                        Heard::Request(tag) => return Some(self.arrived(tag)),
                        Heard::Nothing => {}
                        Heard::Refused(tag, result) => {
                            return Some(Completion::Refused { tag, result });
                        }
                    }
                }
            }
        }
    }

    #[inline]
    fn arrived(&mut self, tag: u16) -> Completion {
        let request = Request::from_descriptor(tag, &self.descriptor(tag));
        self.path.arrived(&request);
        Completion::Arrived(request)
    }

    /// Answers a request and asks for the tag's next one.
    ///
    /// # Errors
    /// The ring's. The request is consumed in any case.
    #[inline]
    pub fn commit(&mut self, request: Request, answer: Answer) -> io::Result<()> {
        let tag = request.tag();
        let result = answer.result(&request);
        request.abandon();
        if let Some(entry) = self
            .path
            .registered()
            .and_then(|table| table.unregister(tag))
        {
            self.push(&entry)?;
        }
        self.transport
            .commit(&mut self.ring, &self.path, tag, result)
    }

    /// Starts an operation on the backing for the request with this tag.
    ///
    /// # Errors
    /// The ring's.
    #[inline]
    pub fn submit(&mut self, tag: u16, op: BackingOp) -> io::Result<Submitted> {
        if let Some(result) = self.at_once(tag, op) {
            return Ok(Submitted::Ended(result));
        }
        let moves_payload = matches!(op, BackingOp::Fill(_) | BackingOp::Store(_));
        if moves_payload
            && let Some(entry) = self.path.registered().and_then(|table| table.register(tag))
        {
            self.push(&entry)?;
        }
        let entry = match op {
            BackingOp::Fill(part) => self.path.destination_entry(tag, part),
            BackingOp::Store(part) => self.path.source_entry(tag, part),
            BackingOp::Sync => sync_entry(),
            BackingOp::Allocate {
                mode,
                offset_bytes,
                len_bytes,
            } => allocate_entry(mode, offset_bytes, len_bytes),
        };
        let mut entry = entry.user_data(Token::Backing(tag).pack());
        if self.config.backing_in_memory {
            // The attempt to do it without a worker would fail. The worker looks up the slot of a fixed
            // buffer late, which is safe because nothing is committed before its end.
            entry = entry.flags(squeue::Flags::ASYNC);
        }
        self.push(&entry)?;
        Ok(Submitted::UnderWay)
    }

    /// Brings a source request's payload to where the server reaches it (`user-copy`); nothing to do
    /// on the other data paths.
    ///
    /// # Errors
    /// The driver's, such as `EACCES` when the device is gone.
    #[inline]
    pub fn gather(&self, request: &Request) -> io::Result<()> {
        match request.source() {
            Some(source) => self.path.gather(source),
            None => Ok(()),
        }
    }

    /// Brings the first `len_bytes` of a destination request's payload to its pages (`user-copy`);
    /// nothing to do on the other data paths.
    ///
    /// # Errors
    /// As [`Queue::gather`].
    #[inline]
    pub fn scatter(&self, request: &Request, len_bytes: u32) -> io::Result<()> {
        match request.destination() {
            Some(destination) => self.path.scatter(destination, len_bytes),
            None => Ok(()),
        }
    }

    /// The payload of a request as memory of the server; none where it stays in the request's own
    /// pages (the zero copies), or has none.
    #[inline]
    #[must_use]
    pub fn payload(&self, request: &Request) -> Option<Payload<'_>> {
        let len = payload_bytes(request)?;
        Payload::of(request, self.path.payload(request.tag(), len)?)
    }

    /// Arms the wake event again after [`Completion::Woken`], unless it still is.
    ///
    /// # Errors
    /// The ring's.
    pub fn arm_wake(&mut self) -> io::Result<()> {
        if self.wake_armed {
            return Ok(());
        }
        // A poll that stays: each write to the eventfd is a completion, whether the counter was read or not
        // (`eventfd_signal_mask`, `io_poll_check_events`). Not a registered file: it would keep the table's.
        let wake = types::Fd(self.config.wake.as_raw_fd());
        let events = u32::from(libc::POLLIN.cast_unsigned());
        let poll = opcode::PollAdd::new(wake, events).multi(true).build();
        self.wake_armed = true;
        self.push(&poll.user_data(Token::Wake.pack()))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: every entry names registered files and memory of `self.path` or `self.stages`, which
        // outlive the ring.
        unsafe { self.ring.push(entry) }
    }

    fn descriptor(&self, tag: u16) -> sys::ublksrv_io_desc {
        let index = usize::from(tag) * size_of::<sys::ublksrv_io_desc>();
        let span = self
            .descriptors
            .span(index, size_of::<sys::ublksrv_io_desc>());
        // SAFETY: the span covers one descriptor, which the driver has finished writing before the
        // tag's command completed. A volatile read, because the driver writes it again later.
        unsafe { span.as_ptr().cast::<sys::ublksrv_io_desc>().read_volatile() }
    }
}

/// The length of a read or write, at most 32 MiB; none for other requests.
#[inline]
pub(crate) fn payload_bytes(request: &Request) -> Option<u32> {
    match request.op() {
        Op::Read | Op::Write => u32::try_from(request.len_bytes()).ok(),
        _ => None,
    }
}

/// Maps the queue's io descriptors: one area of `UBLK_MAX_QUEUE_DEPTH` descriptors a queue, of which
/// the queue's depth, rounded to pages, is mapped (`ublk_ch_mmap`).
fn map_descriptors(config: &QueueConfig) -> io::Result<Mapping> {
    let size = size_of::<sys::ublksrv_io_desc>();
    let area = size * sys::UBLK_MAX_QUEUE_DEPTH as usize;
    let len = (size * usize::from(config.depth)).next_multiple_of(4096);
    let offset = i64::try_from(usize::from(config.queue) * area)
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    Mapping::shared(&*config.char_device, offset, len, false)
}

impl Drop for Queue {
    fn drop(&mut self) {
        // A ring gives its files back in a worker, some time after it was closed; a backing must be free
        // for its next user when its device is gone.
        // Replaced one by one: unregistering the table would wait for every request on it until Linux 6.12
        // (`io_rsrc_ref_quiesce`), and the wake event's read never ends.
        let submitter = self.ring.io_uring().submitter();
        if let Err(error) = submitter.register_files_update(0, &[-1, -1]) {
            tracing::warn!(queue = self.config.queue, %error, "the files are given back late");
        }
    }
}
