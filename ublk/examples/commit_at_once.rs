//! The smallest server there is: it answers every request at once and touches nothing. What a request
//! costs here is the floor under every server with the same data path and transport, and `cargo xtask
//! bench-peers` reports all others above it. It also shows how this crate is used.
//!
//! `commit_at_once ID DATA_PATH TRANSPORT BYTES` serves `/dev/ublkbID` until SIGTERM or SIGINT.

use std::error::Error;
use std::sync::Arc;

use nix::sys::eventfd::EventFd;
use nix::sys::signal::{SigSet, Signal};
use ublk::control::{self, AddDevice};
use ublk::params::BlockShift;
use ublk::{
    Answer, Completion, DataPathKind, Params, Queue, QueueConfig, TransportKind, char_device,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DEPTH: u16 = 128;
const MAX_IO_BYTES: u32 = 512 << 10;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [id, data_path, transport, bytes] = words.as_slice() else {
        return Err("expected ID DATA_PATH TRANSPORT BYTES".into());
    };
    let data_path = match data_path.as_str() {
        "copy" => DataPathKind::Copy,
        "user-copy" => DataPathKind::UserCopy,
        "zero-copy" => DataPathKind::ZeroCopy,
        "auto-zero-copy" => DataPathKind::AutoZeroCopy,
        other => return Err(format!("{other} is no data path").into()),
    };
    let transport = match transport.as_str() {
        "per-io" => TransportKind::PerIo,
        "batch" => TransportKind::Batch,
        other => return Err(format!("{other} is no transport").into()),
    };
    // Before the first thread: each inherits it, so that a signal is waited for here only.
    let stop = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    stop.thread_block()?;
    serve(id.parse()?, data_path, transport, bytes.parse()?, &stop)
}

fn serve(
    id: u32,
    data_path: DataPathKind,
    transport: TransportKind,
    bytes: u64,
    stop: &SigSet,
) -> Result<()> {
    let info = control::add(AddDevice {
        id: Some(id),
        queues: 1,
        depth: DEPTH,
        max_io_bytes: MAX_IO_BYTES,
        flags: data_path.features() | transport.features(),
    })?;
    control::set_params(id, &params(bytes)?)?;
    let config = QueueConfig {
        device: id,
        queue: 0,
        depth: info.depth,
        max_io_bytes: info.max_io_bytes,
        data_path,
        transport,
        automatic_tags: QueueConfig::ALL_TAGS,
        char_device: char_device::open(id)?,
        shared: ublk::SharedQueue::default(),
        backing: None,
        backing_in_memory: false,
        wake: Arc::new(EventFd::new()?.into()),
    };
    // START_DEV waits until the queue has fetched, which must happen on the thread that serves it.
    let thread = std::thread::spawn(move || answer_all(config));
    let started = control::start(id);
    if started.is_ok() {
        stop.wait()?;
    }
    control::stop(id)?;
    thread.join().map_err(|_| "the queue panicked")??;
    control::delete(id)?;
    Ok(started?)
}

fn answer_all(config: QueueConfig) -> Result<()> {
    // As bvecd's queues run: the difference must be the work, not the scheduler.
    ublk::set_batch_scheduling()?;
    let mut queue = Queue::open(config)?;
    queue.start()?;
    while queue.is_open() {
        queue.wait(None)?;
        while let Some(completion) = queue.next_completion() {
            match completion {
                Completion::Arrived(request) => queue.commit(request, Answer::Done)?,
                Completion::Woken => queue.arm_wake()?,
                Completion::Backing { .. } => {}
                Completion::Refused { tag, result } => {
                    return Err(format!("the driver refused tag {tag:?}: {result}").into());
                }
            }
        }
    }
    Ok(())
}

fn params(bytes: u64) -> Result<Params> {
    let block = |bytes| BlockShift::from_bytes(bytes).ok_or("a block is a power of two");
    Ok(Params {
        device_sectors: bytes >> 9,
        logical_block: block(512)?,
        physical_block: block(4096)?,
        io_min: block(4096)?,
        io_opt: block(4096)?,
        max_io_bytes: MAX_IO_BYTES,
        read_only: false,
        rotational: false,
        volatile_cache: false,
        discard: None,
        max_write_zeroes_bytes: 0,
        segments: None,
        dma_alignment_mask: None,
        protection: None,
    })
}
