//! A request's pages stay locked until all modification of them is complete. A server that commits while
//! a fixed read into them is under way does not complete the request: the kernel waits for the read. But it
//! has the server's word for the result, so a read that fails is told as a success over what the pages held
//! before. That is why bvecd never commits first, which is shown here too, on every data path.

use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use api::fault::Status;
use api::{DataPath, Device, DeviceConfig, ReleaseRequest, TargetConfig, Which, call};
use ublk::{Answer, Completion, DataPathKind, Queue, Request, TransportKind};

use crate::cases::answers::combinations;
use crate::client_io::{Aligned, Disk, errno};
use crate::daemon::{Daemon, config};
use crate::deadline::{LONG, wait_for};
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::server::{self, Server, Spec, in_flight};

pub(crate) const CASES: &[Case] = &[
    Case::new("deferral::an_early_commit_waits_for_the_read", || {
        early(Inner::Succeeds)
    }),
    Case::new(
        "deferral::an_early_commit_hides_that_the_read_failed",
        || early(Inner::Fails),
    ),
    Case::new("deferral::the_death_of_a_server_waits_for_the_read", || {
        death(Commits::Never)
    }),
    Case::new("deferral::so_does_its_death_after_an_early_commit", || {
        death(Commits::Early)
    }),
    Case::new("deferral::bvecd_never_commits_first", never_first).within(120),
];

/// What the pages of the client's read hold before it.
const BEFORE: u8 = 0xa5;
const OFFSET: u64 = 8192;
const LEN: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Succeeds,
    Fails,
}

/// When the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    Never,
    /// Right behind the read that it has just started.
    Early,
}

/// A device of bvecd's that holds what it is asked for.
fn inner(daemon: &Daemon) -> Device {
    let inner = daemon.add_ram(server::SIZE, DataPath::Copy);
    Disk::open(&inner.path).write(OFFSET, &pattern(33, LEN));
    inner
}

fn hold(daemon: &Daemon, inner: &Device, op: &str) {
    daemon.rule(inner.id, "hold", &format!("hold:60s where op={op}"));
}

/// A client's direct read; what came of it, its memory, and how many requests the inner device had then.
type Client = JoinHandle<(io::Result<()>, Vec<u8>, u64)>;

fn read_in_background(path: String, inner: String) -> Client {
    let disk = Disk::open(path);
    std::thread::spawn(move || {
        let mut memory = Aligned::new(LEN);
        memory.bytes_mut().fill(BEFORE);
        let done = disk.file.read_exact_at(memory.bytes_mut(), OFFSET);
        (done, memory.bytes().to_vec(), in_flight(&inner))
    })
}

/// The client waits, and goes on waiting.
fn must_wait(client: &Client, path: &str) {
    for _ in 0..20 {
        assert!(
            !client.is_finished(),
            "the request completed during the read"
        );
        assert_eq!(in_flight(path), 1);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a fill for each destination request, and may commit at once; tells when the kernel has both.
struct Impatient {
    commits: Commits,
    sent: Sender<()>,
    ended: Sender<i32>,
}

impl Impatient {
    fn serve(&mut self, queue: &mut Queue, completion: Completion) -> io::Result<()> {
        match completion {
            Completion::Arrived(request) => self.begin(queue, request),
            Completion::Backing { result, .. } => {
                // Nobody listens any more when the test is over.
                let _ = self.ended.send(result);
                Ok(())
            }
            Completion::Woken => Ok(()),
            other => panic!("{other:?}"),
        }
    }

    fn begin(&mut self, queue: &mut Queue, request: Request) -> io::Result<()> {
        let len = u32::try_from(request.len_bytes()).unwrap();
        let Some(pages) = request.destination() else {
            return queue.commit(request, Answer::Done);
        };
        let op = pages.fill(request.offset_bytes(), 0, len);
        server::submit(queue, request.tag(), op)?;
        match self.commits {
            Commits::Early => queue.commit(request, Answer::Done)?,
            // The driver fails it when the server is gone.
            Commits::Never => request.abandon(),
        }
        // Sends both, in their order.
        queue.wait(Some(Duration::from_millis(1)))?;
        let _ = self.sent.send(());
        Ok(())
    }
}

fn early(ends: Inner) -> Outcome {
    let mut tried = 0;
    for data_path in [DataPathKind::ZeroCopy, DataPathKind::AutoZeroCopy] {
        for transport in [TransportKind::PerIo, TransportKind::Batch] {
            match server::lacks(data_path, transport) {
                Some(why) if tried == 0 && transport == TransportKind::Batch => {
                    return Outcome::NotApplicable(why);
                }
                Some(_) => {}
                None => {
                    early_on(data_path, transport, ends);
                    tried += 1;
                }
            }
        }
    }
    Outcome::Passed
}

fn early_on(data_path: DataPathKind, transport: TransportKind, ends: Inner) {
    let daemon = Daemon::start();
    let inner = inner(&daemon);
    let (sent, is_sent) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let commits = Commits::Early;
    let mut impatient = Impatient {
        commits,
        sent,
        ended,
    };
    let spec = Spec {
        transport,
        ..Spec::new(data_path).on(&inner.path)
    };
    let server = Server::start(spec, move |queue, done| impatient.serve(queue, done));
    hold(&daemon, &inner, "read");
    drain(&is_sent);
    let client = read_in_background(server.path(), inner.path.clone());
    is_sent.recv_timeout(LONG).expect("the commit was not sent");
    daemon.held(inner.id, 1);
    must_wait(&client, &server.path());
    assert!(!client.is_finished());
    let fail = (ends == Inner::Fails).then_some(Status::Medium);
    while has_ended.try_recv().is_ok() {}
    let which = Which::All;
    daemon.ask(call::release(
        inner.id,
        &ReleaseRequest::of(which).failing(fail),
    ));
    let (done, memory, _) = client.join().unwrap();
    let result = has_ended.recv_timeout(LONG).unwrap();
    done.expect("the client was told of the committed success");
    match ends {
        Inner::Succeeds => {
            assert_eq!(u32::try_from(result), Ok(8192));
            assert!(memory == pattern(33, LEN), "not what the inner device has");
        }
        Inner::Fails => {
            assert_eq!(result, -libc::ENODATA, "the inner read must fail");
            assert_eq!(memory, [BEFORE; LEN], "stale is what it is");
        }
    }
    server.stop();
    daemon.stop();
}

/// What opening the device made it do.
fn drain(sent: &Receiver<()>) {
    while sent.try_recv().is_ok() {}
}

/// The first argument that makes the suite a server of its own, to be killed.
pub(crate) const SERVE: &str = "--serve-impatiently";

/// Serves until it is killed: the arguments are the backing, the data path and when to commit. The device's
/// path is printed first, then a line for each request whose read is under way.
pub(crate) fn serve(words: &[String]) {
    let [backing, path, commits] = words else {
        panic!("found {words:?}, expected BACKING PATH WHEN");
    };
    let (sent, is_sent) = mpsc::channel();
    let mut impatient = Impatient {
        commits: if commits == "early" {
            Commits::Early
        } else {
            Commits::Never
        },
        sent,
        ended: mpsc::channel().0,
    };
    let data_path = if path == "zero-copy" {
        DataPathKind::ZeroCopy
    } else {
        DataPathKind::AutoZeroCopy
    };
    let spec = Spec::new(data_path).on(backing);
    let server = Server::start(spec, move |queue, done| impatient.serve(queue, done));
    println!("{}", server.path());
    while is_sent.recv().is_ok() {
        println!("sent");
    }
}

fn start_child(inner: &str, path: &str, commits: Commits) -> (Child, Receiver<String>) {
    let when = match commits {
        Commits::Early => "early",
        Commits::Never => "never",
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([SERVE, inner, path, when])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (line, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for text in output.lines().map_while(Result::ok) {
            // The test may be over.
            let _ = line.send(text);
        }
    });
    (child, lines)
}

fn death(commits: Commits) -> Outcome {
    if let Some(why) = server::lacks(DataPathKind::AutoZeroCopy, TransportKind::PerIo) {
        return Outcome::NotApplicable(why);
    }
    for path in ["zero-copy", "auto-zero-copy"] {
        death_on(path, commits);
    }
    Outcome::Passed
}

fn death_on(path: &str, commits: Commits) {
    let daemon = Daemon::start();
    let inner = inner(&daemon);
    let (mut child, lines) = start_child(&inner.path, path, commits);
    let device = lines.recv_timeout(LONG).expect("the server has failed");
    hold(&daemon, &inner, "read");
    let client = read_in_background(device.clone(), inner.path.clone());
    assert_eq!(lines.recv_timeout(LONG).as_deref(), Ok("sent"));
    daemon.held(inner.id, 1);
    must_wait(&client, &device);
    child.kill().unwrap();
    // Not even now: the inner device may still bring data for the client's pages.
    must_wait(&client, &device);
    daemon.release(inner.id, Which::All);
    let (done, memory, inner_in_flight) = client.join().unwrap();
    child.wait().unwrap();
    assert_eq!(
        inner_in_flight, 0,
        "the client went on before the read ended"
    );
    match commits {
        Commits::Never => assert_eq!(errno(done), libc::EIO),
        Commits::Early => {
            done.expect("the committed success");
            assert!(memory == pattern(33, LEN), "not what the inner device has");
        }
    }
    wait_for("the device to go with its server", || {
        (!Path::new(&device).exists()).then_some(())
    });
    let id = device.trim_start_matches("/dev/ublkb").parse().unwrap();
    ublk::control::delete(id).unwrap();
    daemon.stop();
}

/// On every data path, a request of the outer device stays in flight as long as the inner one's, and has its
/// result.
fn never_first() -> Outcome {
    let daemon = Daemon::start();
    let inner = inner(&daemon);
    for (path, transport) in combinations(&daemon) {
        let file = inner.path.clone().into();
        let direct = true;
        let outer = daemon.add(&DeviceConfig {
            transport,
            ..config(TargetConfig::Loop { file, direct }, path)
        });
        for op in ["read", "write"] {
            let what = format!("{op} on {path} by {transport}");
            hold(&daemon, &inner, op);
            let disk = Disk::open(&outer.path);
            let client = std::thread::spawn(move || match op {
                "read" => disk.try_read(OFFSET, LEN).map(drop),
                _ => disk.try_write(OFFSET, &[1; LEN]),
            });
            daemon.held(inner.id, 1);
            for _ in 0..10 {
                assert!(!client.is_finished(), "{what}: committed first");
                assert_eq!(daemon.ask(call::stats(outer.id)).inflight, 1, "{what}");
                assert_eq!(in_flight(&outer.path), 1, "{what}");
            }
            let fail = Some(Status::Medium);
            let which = Which::All;
            daemon.ask(call::release(
                inner.id,
                &ReleaseRequest::of(which).failing(fail),
            ));
            assert_eq!(errno(client.join().unwrap()), libc::ENODATA, "{what}");
            daemon.ask(call::remove_rule(inner.id, "hold"));
        }
        daemon.ask(call::delete_device(outer.id));
    }
    daemon.stop();
    Outcome::Passed
}
