//! `auto-zero-copy` when the driver cannot put a request's pages into the buffer table: it delivers the
//! request all the same, marked, and the server registers it by hand. The driver needs a kernel without
//! memory for that, or a slot that is not there, which the server of the tests asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::DataPath;
use ublk::{
    Answer, Completion, DataPathKind, Queue, QueueConfig, Request, RequestFlags, TransportKind,
};

use crate::client_io::Disk;
use crate::daemon::Daemon;
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::server::{self, Server, Spec, lacks};

pub(crate) const CASES: &[Case] = &[
    Case::new("registration::by_hand_where_the_driver_could_not", || {
        by_hand(TransportKind::PerIo, 0)
    }),
    Case::new("registration::by_hand_for_some_tags_of_a_batch", || {
        by_hand(TransportKind::Batch, 4)
    }),
    Case::new("registration::automatic_where_the_driver_can", || {
        by_hand(TransportKind::PerIo, QueueConfig::ALL_TAGS)
    }),
];

/// Requests that came marked, and the others.
#[derive(Debug, Default)]
struct Seen {
    marked: AtomicU64,
    unmarked: AtomicU64,
}

/// Serves from the backing, through the queue's own registration.
struct Serve {
    under_way: Vec<Option<Request>>,
    seen: Arc<Seen>,
}

impl Serve {
    fn take(&mut self, queue: &mut Queue, completion: Completion) -> std::io::Result<()> {
        match completion {
            Completion::Arrived(request) => self.start(queue, request),
            Completion::Backing { tag, result } => {
                let request = self.under_way[usize::from(tag)].take().unwrap();
                let answer = if result == i32::try_from(request.len_bytes()).unwrap() {
                    Answer::Done
                } else {
                    Answer::failed(-result)
                };
                queue.commit(request, answer)
            }
            Completion::Woken => queue.arm_wake(),
            Completion::Refused { tag, result } => panic!("refused {tag:?}: {result}"),
        }
    }

    fn start(&mut self, queue: &mut Queue, request: Request) -> std::io::Result<()> {
        let (at, len) = (
            request.offset_bytes(),
            u32::try_from(request.len_bytes()).unwrap(),
        );
        let op = match (request.destination(), request.source()) {
            (Some(pages), _) => pages.fill(at, 0, len),
            (_, Some(pages)) => pages.store(at, 0, len, false),
            // The driver registers nothing for a request without a payload.
            _ => return queue.commit(request, Answer::Done),
        };
        let marked = request.flags().contains(RequestFlags::NEED_REG_BUF);
        let count = if marked {
            &self.seen.marked
        } else {
            &self.seen.unmarked
        };
        count.fetch_add(1, Ordering::Relaxed);
        let tag = request.tag();
        self.under_way[usize::from(tag)] = Some(request);
        server::submit(queue, tag, op)
    }
}

fn by_hand(transport: TransportKind, automatic_tags: u16) -> Outcome {
    if let Some(why) = lacks(DataPathKind::AutoZeroCopy, transport) {
        return Outcome::NotApplicable(why);
    }
    let daemon = Daemon::start();
    let below = daemon.add_ram(server::SIZE, DataPath::Copy);
    let seen = Arc::new(Seen::default());
    let mut serve = Serve {
        under_way: (0..server::DEPTH).map(|_| None).collect(),
        seen: Arc::clone(&seen),
    };
    let spec = Spec {
        transport,
        automatic_tags,
        ..Spec::new(DataPathKind::AutoZeroCopy).on(&below.path)
    };
    let server = Server::start(spec, move |queue, completion| serve.take(queue, completion));
    let workers: Vec<_> = (0..4_u64)
        .map(|worker| {
            let disk = Disk::open(server.path());
            std::thread::spawn(move || {
                for round in 0..32 {
                    let (offset, fill) = ((worker * 32 + round) * 8192, worker * 100 + round);
                    disk.write(offset, &pattern(fill, 8192));
                    assert_eq!(disk.read(offset, 8192), pattern(fill, 8192));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    server.stop();
    let found = Disk::open(&below.path).read(0, 8192);
    assert_eq!(found, pattern(0, 8192), "the data is not below");
    let (marked, unmarked) = (
        seen.marked.load(Ordering::Relaxed),
        seen.unmarked.load(Ordering::Relaxed),
    );
    match automatic_tags {
        0 => assert!(unmarked == 0 && marked >= 256, "{seen:?}"),
        QueueConfig::ALL_TAGS => assert!(marked == 0 && unmarked >= 256, "{seen:?}"),
        _ => assert!(marked + unmarked >= 256 && unmarked > 0, "{seen:?}"),
    }
    daemon.stop();
    Outcome::Passed
}
