//! What the kernel makes of a server's answers: errnos, and parts of a request.

use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use api::{DataPath, Device, DeviceConfig, TargetConfig, Transport, call};
use ublk::memory::SharedMemory;
use ublk::{Answer, Completion, DataPathKind, Op, Queue, Request, TransportKind};

use crate::client_io::{Aligned, Disk, errno};
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::server::{self, Server, Spec};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "answers::each_status_arrives_on_every_path_and_transport",
        statuses,
    )
    .within(120),
    Case::new("answers::only_the_errnos_of_the_table_survive", errnos),
    Case::new(
        "answers::the_kernel_deals_with_a_short_one_as_documented",
        short,
    )
    .within(120),
    Case::new(
        "answers::what_a_short_read_of_the_backing_leaves_is_read",
        short_backing,
    ),
];

/// The errnos that `errno_to_blk_status` (block/blk-core.c) knows and `blk_status_to_errno` gives back.
const SURVIVE: [i32; 17] = [
    libc::EIO,
    libc::EOPNOTSUPP,
    libc::ETIMEDOUT,
    libc::ENOSPC,
    libc::ENOLINK,
    libc::EREMOTEIO,
    libc::EBADE,
    libc::ENODATA,
    libc::EILSEQ,
    libc::ENOMEM,
    libc::EBUSY,
    libc::EAGAIN,
    libc::ENODEV,
    libc::ETIME,
    libc::EINVAL,
    libc::ETOOMANYREFS,
    libc::EOVERFLOW,
];

/// Every data path and transport that this kernel has with this daemon.
pub(crate) fn combinations(daemon: &Daemon) -> Vec<(DataPath, Transport)> {
    let features = daemon.features();
    let usable = |path: &api::DataPathSupport| path.usable && path.name != DataPath::Auto;
    let paths: Vec<_> = features.data_paths.iter().filter(|p| usable(p)).collect();
    features
        .transports
        .iter()
        .filter(|transport| transport.usable)
        .flat_map(|transport| paths.iter().map(|path| (path.name, transport.name)))
        .collect()
}

/// A fault's status arrives at a direct reader and a direct writer as its errno.
fn statuses() -> Outcome {
    let daemon = Daemon::start();
    for (path, transport) in combinations(&daemon) {
        let size_bytes = server::SIZE;
        let device = daemon.add(&DeviceConfig {
            transport,
            ..config(TargetConfig::Ram { size_bytes }, path)
        });
        let disk = Disk::open(&device.path);
        let mut seen = Vec::new();
        for status in api::fault::Status::all() {
            daemon.rule(device.id, "now", &format!("fail:{}", status.name()));
            let read = errno(disk.try_read(0, 4096));
            let written = errno(disk.try_write(0, &[1; 4096]));
            assert_eq!(
                (read, written),
                (status.errno(), status.errno()),
                "{status:?} on {path} by {transport}"
            );
            daemon.ask(call::remove_rule(device.id, "now"));
            seen.push(read);
        }
        seen.sort_unstable();
        let mut expected = SURVIVE;
        expected.sort_unstable();
        assert_eq!(seen, expected, "{path} by {transport}");
        drop(disk);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// The number of the sector is the errno that it fails with. `EREMCHG`, the eighteenth of the kernel's table,
/// is the device mapper's own word for "requeue"; it arrives too.
fn errnos() -> Outcome {
    let server = Server::start(Spec::new(DataPathKind::Copy), |queue, completion| {
        let Completion::Arrived(request) = completion else {
            return Ok(());
        };
        let errno = i32::try_from(request.sector()).unwrap();
        queue.commit(request, Answer::failed(errno))
    });
    let disk = Disk::open(server.path());
    // Those of user space end at 133, the kernel's own are 512 to 530.
    for number in (1_i32..=133).chain(512..=530) {
        let seen = errno(disk.try_read(u64::from(number.unsigned_abs()) * 512, 512));
        let survives = SURVIVE.contains(&number) || number == libc::EREMCHG;
        let expected = if survives { number } else { libc::EIO };
        assert_eq!(seen, expected, "answered with {number}");
    }
    // A number that is no errno is no answer either: our own type makes it EIO.
    assert_eq!(errno(disk.try_read(0, 512)), libc::EIO);
    drop(disk);
    server.stop();
    Outcome::Passed
}

/// What the kernel did with an answer of fewer bytes than it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Sent the rest as a new request: nothing is lost.
    Resent,
    /// Told the client that all is done: the rest is lost.
    TakenAsWhole,
    /// Told the client that it failed.
    Failed,
}

/// The requests that a server got: operation, first sector, sectors.
type Log = Arc<Mutex<Vec<(Op, u64, u32)>>>;

/// A server that moves `first_bytes` of the first request of 8 sectors at sector 8, and answers so; it
/// serves every other request in full.
struct Short {
    log: Log,
    first_bytes: u32,
    /// What is under way: the request, and how many bytes of it are to be moved.
    under_way: Vec<Option<(Request, u32)>>,
}

impl Short {
    fn serve(&mut self, queue: &mut Queue, completion: Completion) -> std::io::Result<()> {
        match completion {
            Completion::Arrived(request) => {
                queue.gather(&request)?;
                let share = self.share(&request);
                let (tag, offset) = (request.tag(), request.offset_bytes());
                let op = match (request.destination(), request.source()) {
                    _ if share == 0 => return commit_part(queue, request, 0),
                    (Some(pages), _) => pages.fill(offset, 0, share),
                    (_, Some(pages)) => pages.store(offset, 0, share, false),
                    _ => return queue.commit(request, Answer::Done),
                };
                self.under_way[usize::from(tag)] = Some((request, share));
                server::submit(queue, tag, op)
            }
            Completion::Backing { tag, result } => {
                let (request, share) = self.under_way[usize::from(tag)].take().unwrap();
                assert_eq!(
                    u32::try_from(result),
                    Ok(share),
                    "the memory moves all of it"
                );
                queue.scatter(&request, share)?;
                commit_part(queue, request, share)
            }
            Completion::Woken => Ok(()),
            other => panic!("{other:?}"),
        }
    }

    fn share(&self, request: &Request) -> u32 {
        let mut log = self.log.lock().unwrap();
        let this = (request.op(), request.sector(), request.sectors());
        let is_first = this.1 == 8 && this.2 == 8 && !log.contains(&this);
        log.push(this);
        if is_first {
            self.first_bytes
        } else {
            request.sectors() * 512
        }
    }
}

/// Answers with this many bytes. No answer of ours can say so ([`Answer`]), so a forged request does.
fn commit_part(queue: &mut Queue, request: Request, bytes: u32) -> std::io::Result<()> {
    let op = if bytes == 0 { Op::Flush } else { request.op() };
    let forged = Request::new(
        request.tag(),
        op,
        request.flags(),
        request.sector(),
        bytes / 512,
    );
    request.abandon();
    queue.commit(forged, Answer::Done)
}

/// A server's answer that is short is the kernel's to deal with. It must do so as we say in
/// docs/design/conformance.md, which is why no answer of ours is ever short.
fn short() -> Outcome {
    let mut tried = 0;
    for transport in [TransportKind::PerIo, TransportKind::Batch] {
        for data_path in [
            DataPathKind::Copy,
            DataPathKind::UserCopy,
            DataPathKind::ZeroCopy,
            DataPathKind::AutoZeroCopy,
        ] {
            if server::lacks(data_path, transport).is_some() {
                continue;
            }
            for op in [Op::Read, Op::Write] {
                for bytes in [512, 0] {
                    let made = answer_short(data_path, transport, op, bytes);
                    assert_eq!(
                        made,
                        documented(data_path, op, bytes),
                        "{data_path:?} by {transport:?}, a {op:?} of 4096 answered with {bytes}; if a later \
                         kernel does it otherwise, docs/design/conformance.md must say so"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 8, "only {tried}");
    Outcome::Passed
}

/// What was measured: since 7.3 the driver counts only what it copies itself.
fn documented(data_path: DataPathKind, op: Op, bytes: u32) -> Made {
    match (op, bytes) {
        (Op::Read, 0) => Made::Failed,
        (Op::Read, _) if data_path == DataPathKind::Copy => Made::Resent,
        _ if server::kernel() >= (7, 3) => Made::TakenAsWhole,
        _ => Made::Resent,
    }
}

fn answer_short(
    data_path: DataPathKind,
    transport: TransportKind,
    op: Op,
    first_bytes: u32,
) -> Made {
    let memory = SharedMemory::new(server::SIZE).unwrap();
    let file = memory.file().try_clone_to_owned().unwrap();
    let data = pattern(21, 4096);
    if op == Op::Read {
        nix::sys::uio::pwrite(&file, &data, 4096).unwrap();
    }
    let spec = Spec {
        transport,
        backing: Some(Arc::new(file)),
        ..Spec::new(data_path)
    };
    let log = Log::default();
    let mut short = Short {
        log: Arc::clone(&log),
        first_bytes,
        under_way: (0..8).map(|_| None).collect(),
    };
    let server = Server::start(spec, move |queue, completion| {
        short.serve(queue, completion)
    });
    let disk = Disk::open(server.path());
    // Opening may have read the device.
    log.lock().unwrap().clear();
    let (done, found) = if op == Op::Read {
        let mut into = Aligned::new(4096);
        into.bytes_mut().fill(0xa5);
        let done = disk.file.read_exact_at(into.bytes_mut(), 4096);
        (done, into.bytes().to_vec())
    } else {
        let done = disk.try_write(4096, &data);
        let mut found = vec![0; 4096];
        nix::sys::uio::pread(memory.file(), &mut found, 4096).unwrap();
        (done, found)
    };
    drop(disk);
    server.stop();
    let log = log.lock().unwrap();
    let moved = first_bytes as usize;
    match (done, log.as_slice()) {
        (Ok(()), [_, rest]) => {
            let sectors = 8 - first_bytes / 512;
            assert_eq!(*rest, (op, u64::from(16 - sectors), sectors));
            assert!(found == data, "bytes were lost");
            Made::Resent
        }
        (Ok(()), [_]) => {
            assert_eq!(found[..moved], data[..moved]);
            assert!(
                found[moved..] != data[moved..],
                "the rest was not moved by anybody"
            );
            Made::TakenAsWhole
        }
        (Err(error), [_]) => {
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            Made::Failed
        }
        (done, log) => panic!("{done:?} after {log:?}"),
    }
}

/// A backing that is read through the page cache, and fails in the middle, gives what it has up to there. The
/// target asks for the rest: if the backing has got over it, the client never knows.
fn short_backing() -> Outcome {
    let daemon = Daemon::start();
    let lower = daemon.add_ram(server::SIZE, DataPath::Copy);
    let data = pattern(22, 64 << 10);
    for (number, (path, transport)) in combinations(&daemon).into_iter().enumerate() {
        // Pages that nobody has read yet.
        let base = number as u64 * (128 << 10);
        Disk::open(&lower.path).write(base, &data);
        let target = TargetConfig::Loop {
            file: lower.path.clone().into(),
            direct: false,
        };
        let upper = daemon.add(&DeviceConfig {
            transport,
            ..config(target, path)
        });
        let middle = base / 512 + 64;
        let what = format!("{path} by {transport}");
        let read = |failures| failing(&daemon, &lower, &upper, (base, middle), failures);
        // The read-ahead fails, the page alone is read again by the page cache: that is not ours.
        assert!(read(1).unwrap() == data, "{what}");
        // It fails twice: a short read, whose rest the target asks for, which is the third time.
        assert!(read(2).unwrap() == data, "bytes were lost: {what}");
        // The rest fails, too.
        assert_eq!(errno(read(3)), libc::EIO, "{what}");
        daemon.ask(call::delete_device(upper.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// Reads 64 KiB of the upper device, while so many reads of the lower one's sector in the middle fail.
fn failing(
    daemon: &Daemon,
    lower: &Device,
    upper: &Device,
    (base, middle): (u64, u64),
    failures: u64,
) -> std::io::Result<Vec<u8>> {
    // The pages of the lower device must be read again.
    std::fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
    let words = format!("fail:MEDIUM where op=read,lba={middle}+8 when count={failures}");
    daemon.rule(lower.id, "middle", &words);
    let read = Disk::open(&upper.path).try_read(base, 64 << 10);
    let rules = daemon.ask(call::rules(lower.id)).rules;
    assert_eq!(rules[0].counters.fired, failures, "the pages were cached");
    daemon.ask(call::remove_rule(lower.id, "middle"));
    read
}
