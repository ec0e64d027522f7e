//! The wrong direction is refused by the kernel. Our own types do not let it be asked for
//! (`ublk::direction`), so the server here forges a request of the other direction with the same tag.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use ublk::memory::SharedMemory;
use ublk::{
    Answer, BackingOp, Completion, DataPathKind, Op, Payload, Queue, Request, TransportKind,
};

use crate::client_io::{Aligned, Disk};
use crate::outcome::{Case, Outcome};
use crate::server::{self, Server, Spec};

pub(crate) const CASES: &[Case] = &[
    Case::new("direction::user_copy_refuses_the_wrong_one", user_copy),
    Case::new(
        "direction::a_registered_buffer_refuses_the_wrong_one_zero_copy",
        || registered(DataPathKind::ZeroCopy),
    ),
    Case::new(
        "direction::a_registered_buffer_refuses_the_wrong_one_auto_zero_copy",
        || registered(DataPathKind::AutoZeroCopy),
    ),
    Case::new("direction::copy_reaches_nothing_of_the_client", copy),
];

/// What a server tried in the wrong direction, and the result: bytes, or a negative errno.
type Tries = Arc<Mutex<Vec<(Op, i32)>>>;

const LEN: usize = 8192;
const CLIENT: u8 = 0x5c;

/// A request of the other direction with the same tag.
fn forged(request: &Request) -> Request {
    let op = match request.op() {
        Op::Read => Op::Write,
        _ => Op::Read,
    };
    let (tag, flags) = (request.tag(), request.flags());
    Request::new(tag, op, flags, request.sector(), request.sectors())
}

/// A client that reads and writes once, and checks that its memory and the disk are as they must be.
fn use_disk(path: &str) {
    let disk = Disk::open(path);
    let mut memory = Aligned::new(LEN);
    memory.bytes_mut().fill(CLIENT);
    disk.file.write_all_at(memory.bytes(), 0).unwrap();
    let changed = memory.bytes().iter().any(|byte| *byte != CLIENT);
    assert!(!changed, "a source was changed");
    disk.file
        .read_exact_at(memory.bytes_mut(), 1 << 20)
        .unwrap();
    let zeroes = memory.bytes().iter().all(|byte| *byte == 0);
    assert!(zeroes, "not what the disk has there");
}

fn result(done: &io::Result<()>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error().unwrap(),
    }
}

/// Each direction was tried, and refused with this errno.
fn all_refused(tries: &Tries, what: &str, errno: i32) {
    let tries = tries.lock().unwrap();
    for op in [Op::Read, Op::Write] {
        assert!(tries.iter().any(|(tried, _)| *tried == op), "no {op:?}");
    }
    for (op, result) in tries.iter() {
        assert_eq!(*result, -errno, "the wrong way at a {op:?} request, {what}");
    }
}

/// pread at a destination request, pwrite at a source request.
fn user_copy() -> Outcome {
    if let Some(why) = server::lacks(DataPathKind::UserCopy, TransportKind::PerIo) {
        return Outcome::NotApplicable(why);
    }
    for transport in [TransportKind::PerIo, TransportKind::Batch] {
        if server::lacks(DataPathKind::UserCopy, transport).is_some() {
            continue;
        }
        let tries = Tries::default();
        let noted = Arc::clone(&tries);
        let spec = Spec {
            transport,
            ..Spec::new(DataPathKind::UserCopy)
        };
        let server = Server::start(spec, move |queue, completion| {
            let Completion::Arrived(request) = completion else {
                return Ok(());
            };
            let wrong = forged(&request);
            let len = u32::try_from(request.len_bytes()).unwrap();
            let done = match wrong.op() {
                Op::Write => queue.gather(&wrong),
                _ => queue.scatter(&wrong, len),
            };
            wrong.abandon();
            noted.lock().unwrap().push((request.op(), result(&done)));
            queue.gather(&request)?;
            if let Some(Payload::Destination(pages)) = queue.payload(&request) {
                pages.zero();
            }
            queue.scatter(&request, len)?;
            queue.commit(request, Answer::Done)
        });
        use_disk(&server.path());
        all_refused(&tries, &format!("{transport:?}"), libc::EACCES);
        server.stop();
    }
    Outcome::Passed
}

/// The whole of a request's payload, moved in its direction.
fn whole(request: &Request) -> BackingOp {
    let (offset, len) = (request.offset_bytes(), u32::try_from(request.len_bytes()));
    let len = len.unwrap();
    match (request.destination(), request.source()) {
        (Some(pages), _) => pages.fill(offset, 0, len),
        (_, Some(pages)) => pages.store(offset, 0, len, false),
        _ => panic!("{request:?} has no payload"),
    }
}

/// WRITE_FIXED from a destination request's pages, READ_FIXED into a source request's.
fn registered(data_path: DataPathKind) -> Outcome {
    if let Some(why) = server::lacks(data_path, TransportKind::PerIo) {
        return Outcome::NotApplicable(why);
    }
    for transport in [TransportKind::PerIo, TransportKind::Batch] {
        if server::lacks(data_path, transport).is_none() {
            registered_by(data_path, transport);
        }
    }
    Outcome::Passed
}

fn registered_by(data_path: DataPathKind, transport: TransportKind) {
    let memory = SharedMemory::new(server::SIZE).unwrap();
    let spec = Spec {
        transport,
        backing: Some(Arc::new(memory.file().try_clone_to_owned().unwrap())),
        ..Spec::new(data_path)
    };
    let tries = Tries::default();
    let noted = Arc::clone(&tries);
    // The requests under way, each with whether its wrong operation is over.
    let mut requests: Vec<Option<(Request, bool)>> = (0..8).map(|_| None).collect();
    let server = Server::start(
        spec,
        move |queue: &mut Queue, completion| match completion {
            Completion::Arrived(request) => {
                let wrong = forged(&request);
                let (tag, op) = (request.tag(), whole(&wrong));
                wrong.abandon();
                requests[usize::from(tag)] = Some((request, false));
                server::submit(queue, tag, op)
            }
            Completion::Backing { tag, result } => {
                let (request, wrong_is_over) = requests[usize::from(tag)].take().unwrap();
                if wrong_is_over {
                    assert_eq!(u64::try_from(result), Ok(request.len_bytes()));
                    return queue.commit(request, Answer::Done);
                }
                noted.lock().unwrap().push((request.op(), result));
                let op = whole(&request);
                requests[usize::from(tag)] = Some((request, true));
                server::submit(queue, tag, op)
            }
            Completion::Woken => Ok(()),
            other => panic!("{other:?}"),
        },
    );
    use_disk(&server.path());
    all_refused(
        &tries,
        &format!("{data_path:?} {transport:?}"),
        libc::EFAULT,
    );
    server.stop();
}

/// Under `copy` the kernel cannot refuse, because there is nothing to refuse: what the server reaches is its
/// own memory. It sees nothing of a destination's pages, and changes nothing of a source's.
fn copy() -> Outcome {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let server = Server::start(Spec::new(DataPathKind::Copy), move |queue, completion| {
        let Completion::Arrived(request) = completion else {
            return Ok(());
        };
        let wrong = forged(&request);
        match queue.payload(&wrong) {
            // A destination request's memory, taken as source.
            Some(Payload::Source(pages)) => {
                let memory = SharedMemory::new(512 << 10).unwrap();
                pages.copy_to(memory.mapping().span(0, 512 << 10));
                let mut bytes = vec![0; usize::try_from(request.len_bytes()).unwrap()];
                nix::sys::uio::pread(memory.file(), &mut bytes, 0).unwrap();
                noted.lock().unwrap().push((request.sector(), bytes));
            }
            // A source request's memory, taken as destination.
            Some(Payload::Destination(pages)) => pages.zero(),
            None => panic!("copy has memory for every payload"),
        }
        wrong.abandon();
        if let Some(Payload::Destination(pages)) = queue.payload(&request) {
            pages.zero();
        }
        queue.commit(request, Answer::Done)
    });
    let disk = Disk::open(server.path());
    let mut memory = Aligned::new(LEN);
    memory.bytes_mut().fill(CLIENT);
    disk.file
        .read_exact_at(memory.bytes_mut(), 1 << 20)
        .unwrap();
    assert_eq!(memory.bytes(), [0; LEN]);
    {
        let seen = seen.lock().unwrap();
        let (_, bytes) = seen.iter().find(|(sector, _)| *sector == 2048).unwrap();
        assert_eq!(bytes.len(), LEN);
        assert!(!bytes.contains(&CLIENT), "a destination's pages were seen");
    }
    memory.bytes_mut().fill(CLIENT);
    disk.file.write_all_at(memory.bytes(), 1 << 20).unwrap();
    assert_eq!(memory.bytes(), [CLIENT; LEN], "a source's pages changed");
    drop(disk);
    server.stop();
    Outcome::Passed
}
