//! A ublk server of the tests, on the `ublk` crate alone, that does what bvecd must never do: it answers
//! short, with any errno, too early, or takes a payload in the wrong direction. One queue; what is done
//! with a completion is the test's.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sys::eventfd::EventFd;
use ublk::control::{self, AddDevice};
use ublk::params::BlockShift;
use ublk::{
    BackingOp, Completion, DataPathKind, Features, Params, Queue, QueueConfig, SharedQueue,
    Submitted, TransportKind,
};

use crate::deadline::wait_for;

/// The size of the device.
pub(crate) const SIZE: u64 = 4 << 20;

/// Its tags.
pub(crate) const DEPTH: u16 = 8;

/// What the device is made of.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) data_path: DataPathKind,
    pub(crate) transport: TransportKind,
    /// What operations on the backing work on.
    pub(crate) backing: Option<Arc<OwnedFd>>,
    /// Tags from this one on are delivered unregistered.
    pub(crate) automatic_tags: u16,
}

impl Spec {
    pub(crate) fn new(data_path: DataPathKind) -> Self {
        Self {
            data_path,
            transport: TransportKind::PerIo,
            backing: None,
            automatic_tags: QueueConfig::ALL_TAGS,
        }
    }

    /// Opened with O_DIRECT: the payload's own pages get to the device.
    pub(crate) fn on(self, backing: impl AsRef<Path>) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
            .open(backing)
            .unwrap();
        Self {
            backing: Some(Arc::new(file.into())),
            ..self
        }
    }
}

/// Why this kernel does not have a data path with a transport; none if it has.
pub(crate) fn lacks(data_path: DataPathKind, transport: TransportKind) -> Option<String> {
    let needed = data_path.features() | transport.features();
    let error = Features::probe().unwrap().require(needed).err()?;
    Some(error.to_string())
}

/// A device that is being served.
pub(crate) struct Server {
    id: u32,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the device, and serves it with `serve` on a thread of its own.
    pub(crate) fn start(
        spec: Spec,
        serve: impl FnMut(&mut Queue, Completion) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let info = control::add(AddDevice {
            id: None,
            queues: 1,
            depth: DEPTH,
            max_io_bytes: 512 << 10,
            flags: spec.data_path.features()
                | spec.transport.features()
                | (Features::probe().unwrap() & Features::NO_AUTO_PART_SCAN),
        })
        .unwrap();
        control::set_params(info.id, &params(spec.data_path)).unwrap();
        let config = QueueConfig {
            device: info.id,
            queue: 0,
            depth: info.depth,
            max_io_bytes: info.max_io_bytes,
            data_path: spec.data_path,
            transport: spec.transport,
            automatic_tags: spec.automatic_tags,
            char_device: ublk::char_device::open(info.id).unwrap(),
            backing: spec.backing,
            backing_in_memory: false,
            shared: SharedQueue::default(),
            wake: Arc::new(EventFd::new().unwrap().into()),
        };
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut queue = Queue::open(config).unwrap();
            queue.start().unwrap();
            ready.send(()).unwrap();
            run(&mut queue, serve);
        });
        is_ready.recv().expect("the queue's thread has failed");
        control::start(info.id).unwrap();
        let server = Self {
            id: info.id,
            thread: Some(thread),
        };
        wait_for("the block device's node", || {
            std::fs::metadata(server.path()).ok().map(drop)
        });
        server
    }

    pub(crate) fn path(&self) -> String {
        format!("/dev/ublkb{}", self.id)
    }

    /// Removes the device. Every request must have been answered, as a stop waits for them.
    pub(crate) fn stop(mut self) {
        control::stop(self.id).unwrap();
        self.thread.take().unwrap().join().unwrap();
        control::delete(self.id).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // A test that panics: what it has not answered cannot be waited for here.
            println!("the test's server of {} is left behind", self.path());
        }
    }
}

/// Requests of a block device that clients wait for, as the block layer counts them.
pub(crate) fn in_flight(path: &str) -> u64 {
    let name = path.trim_start_matches("/dev/");
    let counts = std::fs::read_to_string(format!("/sys/block/{name}/inflight")).unwrap();
    counts
        .split_whitespace()
        .map(|count| count.parse::<u64>().unwrap())
        .sum()
}

/// Starts an operation on the backing, through the ring.
pub(crate) fn submit(queue: &mut Queue, tag: u16, op: BackingOp) -> io::Result<()> {
    let submitted = queue.submit(tag, op)?;
    assert_eq!(submitted, Submitted::UnderWay, "the ring was left out");
    Ok(())
}

/// The kernel's version, as (7, 3).
pub(crate) fn kernel() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn run(queue: &mut Queue, mut serve: impl FnMut(&mut Queue, Completion) -> io::Result<()>) {
    while queue.is_open() {
        queue.wait(None).unwrap();
        while let Some(completion) = queue.next_completion() {
            serve(queue, completion).unwrap();
        }
    }
}

fn params(data_path: DataPathKind) -> Params {
    let block = |bytes| BlockShift::from_bytes(bytes).unwrap();
    Params {
        device_sectors: SIZE >> 9,
        logical_block: block(512),
        physical_block: block(512),
        io_min: block(512),
        io_opt: block(512),
        max_io_bytes: 512 << 10,
        read_only: false,
        rotational: false,
        volatile_cache: false,
        discard: None,
        max_write_zeroes_bytes: 0,
        segments: None,
        // Where the client's memory gets to a backing with O_DIRECT.
        dma_alignment_mask: data_path.reaches_client_pages().then_some(511),
        protection: None,
    }
}
