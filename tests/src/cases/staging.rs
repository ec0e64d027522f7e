//! Reaching the payload of one request beside the fast path, on every data path and transport: a source is
//! looked at, again after its client has changed it, and stored elsewhere through staging memory; a
//! destination gets bytes that the backing does not have.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use ublk::memory::SharedMemory;
use ublk::{
    Answer, Completion, DataPathKind, Queue, Request, Stage, Submitted, Transfer, TransportKind,
};

use crate::client_io::Disk;
use crate::deadline::wait_for;
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::server::{self, Server, Spec};
use crate::sys::WriteInFlight;

pub(crate) const CASES: &[Case] = &[
    Case::new("staging::copy", || every_transport(DataPathKind::Copy)),
    Case::new("staging::user_copy", || {
        every_transport(DataPathKind::UserCopy)
    }),
    Case::new("staging::zero_copy", || {
        every_transport(DataPathKind::ZeroCopy)
    }),
    Case::new("staging::auto_zero_copy", || {
        every_transport(DataPathKind::AutoZeroCopy)
    }),
    Case::new("staging::shared_memory", || {
        every_transport(DataPathKind::SharedMemory)
    }),
];

/// What is written at 0 goes here, and what is read at 0 comes from here.
const ELSEWHERE: u64 = 1 << 20;
const LEN: usize = 8192;

fn every_transport(path: DataPathKind) -> Outcome {
    let mut served = 0;
    for transport in [TransportKind::PerIo, TransportKind::Batch] {
        if let Some(why) = server::lacks(path, transport) {
            if transport == TransportKind::PerIo {
                return Outcome::NotApplicable(why);
            }
            continue;
        }
        misdirected(path, transport);
        looked_at_twice(path, transport);
        served += 1;
    }
    assert!(served > 0);
    Outcome::Passed
}

/// Serves every request elsewhere on the backing, through staging memory.
struct Elsewhere {
    under_way: Vec<Option<(Request, Stage)>>,
    operations: Arc<AtomicU32>,
}

impl Elsewhere {
    fn take(&mut self, queue: &mut Queue, completion: Completion) -> io::Result<()> {
        match completion {
            Completion::Arrived(request) => self.start(queue, request),
            Completion::Backing { tag, result } => {
                let (request, stage) = self.under_way[usize::from(tag)].take().unwrap();
                let len = u32::try_from(request.len_bytes()).unwrap();
                assert_eq!(u32::try_from(result), Ok(len));
                self.operations.fetch_add(1, Ordering::Relaxed);
                if let Some(pages) = request.destination() {
                    let bytes = queue.stage_bytes(&stage, len);
                    bytes[3] ^= 0x10;
                    let bytes = bytes.to_vec();
                    // In two parts, the second one first.
                    queue.poke(pages, 512, &bytes[512..])?;
                    queue.poke(pages, 0, &bytes[..512])?;
                    assert!(queue.poke(pages, len - 1, &bytes[..2]).is_err());
                }
                queue.unstage(stage);
                queue.commit(request, Answer::Done)
            }
            Completion::Woken => Ok(()),
            other => panic!("{other:?}"),
        }
    }

    fn start(&mut self, queue: &mut Queue, request: Request) -> io::Result<()> {
        let (tag, len) = (request.tag(), u32::try_from(request.len_bytes()).unwrap());
        let stage = queue.stage()?;
        let transfer = Transfer {
            backing_offset_bytes: request.offset_bytes() + ELSEWHERE,
            stage_offset_bytes: 0,
            len_bytes: len,
        };
        let submitted = match request.source() {
            Some(pages) => {
                let mut bytes = vec![0; len as usize];
                queue.peek(pages, 0, &mut bytes)?;
                let mut tail = [0; 100];
                queue.peek(pages, len - 100, &mut tail)?;
                assert_eq!(tail, bytes[bytes.len() - 100..]);
                assert!(queue.peek(pages, len - 99, &mut tail).is_err());
                queue.stage_bytes(&stage, len).copy_from_slice(&bytes);
                queue.save(&request, &stage, transfer, true)?
            }
            None => queue.load(&request, &stage, transfer)?,
        };
        assert_eq!(submitted, Submitted::UnderWay, "the ring was left out");
        self.under_way[usize::from(tag)] = Some((request, stage));
        Ok(())
    }
}

fn misdirected(path: DataPathKind, transport: TransportKind) {
    let memory = SharedMemory::new(server::SIZE + ELSEWHERE).unwrap();
    let spec = Spec {
        transport,
        backing: Some(Arc::new(memory.file().try_clone_to_owned().unwrap())),
        ..Spec::new(path)
    };
    let operations = Arc::new(AtomicU32::new(0));
    let mut serve = Elsewhere {
        under_way: (0..server::DEPTH).map(|_| None).collect(),
        operations: Arc::clone(&operations),
    };
    let server = Server::start(spec, move |queue, completion| serve.take(queue, completion));
    let disk = Disk::open(server.path());
    for round in 0..20_u64 {
        let (sent, at) = (pattern(round, LEN), round * 3 * 4096);
        disk.write(at, &sent);
        let mut stored = vec![0; LEN];
        let offset = i64::try_from(at + ELSEWHERE).unwrap();
        nix::sys::uio::pread(memory.file(), &mut stored, offset).unwrap();
        assert_eq!(stored, sent, "{path:?} {transport:?} round {round}");
        let mut expected = sent;
        expected[3] ^= 0x10;
        assert_eq!(disk.read(at, LEN), expected, "{path:?} {transport:?}");
    }
    drop(disk);
    server.stop();
    assert!(operations.load(Ordering::Relaxed) >= 40);
}

/// A client changes its memory while its write is in flight. The server sees that, except under `copy`.
fn looked_at_twice(path: DataPathKind, transport: TransportKind) {
    const ARRIVED: u8 = 1;
    const CHANGED: u8 = 2;
    let stage = Arc::new(AtomicU8::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (told, noted) = (Arc::clone(&stage), Arc::clone(&seen));
    let spec = Spec {
        transport,
        ..Spec::new(path)
    };
    let server = Server::start(spec, move |queue, completion| {
        let Completion::Arrived(request) = completion else {
            return Ok(());
        };
        if let Some(pages) = request.source() {
            let mut bytes = [0; LEN];
            queue.peek(pages, 0, &mut bytes)?;
            noted.lock().unwrap().push(bytes);
            told.store(ARRIVED, Ordering::Release);
            wait_for("the client to change its memory", || {
                (told.load(Ordering::Acquire) == CHANGED).then_some(())
            });
            queue.peek(pages, 0, &mut bytes)?;
            noted.lock().unwrap().push(bytes);
        } else if let Some(pages) = request.destination() {
            let len = usize::try_from(request.len_bytes()).unwrap();
            queue.poke(pages, 0, &vec![0; len])?;
        }
        queue.commit(request, Answer::Done)
    });
    let disk = Disk::open(server.path());
    let mut writing = WriteInFlight::start(&disk.file, 0, 7, LEN);
    wait_for("the write to arrive", || {
        (stage.load(Ordering::Acquire) == ARRIVED).then_some(())
    });
    writing.change(5000, 10, 9);
    stage.store(CHANGED, Ordering::Release);
    assert_eq!(writing.wait(), i32::try_from(LEN).unwrap());
    let seen = seen.lock().unwrap();
    let differ = (0..LEN).filter(|at| seen[0][*at] != seen[1][*at]);
    let expected: Vec<usize> = match path.sees_later_changes() {
        true => (5000..5010).collect(),
        false => Vec::new(),
    };
    assert_eq!(
        differ.collect::<Vec<_>>(),
        expected,
        "{path:?} {transport:?}"
    );
    drop(disk);
    server.stop();
}
