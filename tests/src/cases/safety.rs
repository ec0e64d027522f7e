//! What keeps the daemon from harm, and others from harm by it.

use std::process::Stdio;

use api::{DataPath, Device, DeviceConfig, EventKind, TargetConfig, call};
use nix::unistd::Pid as NixPid;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client_io::{Disk, read_in_background};
use crate::daemon::{Daemon, block_devices, char_devices, config};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("safety::queue_threads_never_wait_for_their_device", flusher),
    Case::new("safety::memory_is_locked_if_asked_for", locked),
    Case::new("safety::memory_that_cannot_be_locked_is_told", not_locked),
    Case::new("safety::a_queue_that_cannot_start_fails_the_add", no_files).within(120),
    Case::new(
        "safety::a_queue_that_fails_later_ends_its_device",
        fails_later,
    ),
];

const SIZE: u64 = 4 << 20;

fn four_queues() -> DeviceConfig {
    DeviceConfig {
        queues: 4,
        depth: 8,
        ..config(TargetConfig::Ram { size_bytes: SIZE }, DataPath::Copy)
    }
}

/// `PR_SET_IO_FLUSHER` sets two flags of the task (kernel/sys.c), which proc shows (proc(5), field 9).
fn flusher() -> Outcome {
    const PF_MEMALLOC_NOIO: u64 = 0x0008_0000;
    const PF_LOCAL_THROTTLE: u64 = 0x0010_0000;
    let daemon = Daemon::start();
    let device = daemon.add(&four_queues());
    let flags = |tid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/task/{tid}/stat", daemon.pid()));
        let stat = stat.unwrap();
        // The name, in brackets, may have blanks.
        let rest = stat.rsplit(") ").next().unwrap();
        rest.split(' ').nth(6).unwrap().parse().unwrap()
    };
    for queue in 0..device.queues {
        let set = flags(daemon.thread(&format!("ublk{}q{queue}", device.id)));
        let wanted = PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;
        assert_eq!(set & wanted, wanted, "queue {queue}: {set:#x}");
    }
    // The server's thread does no I/O for the device, and shows that the flags are not always there.
    assert_eq!(flags(daemon.pid()) & PF_MEMALLOC_NOIO, 0);
    daemon.stop();
    Outcome::Passed
}

/// Locked memory of a process in KiB (proc(5), `VmLck`).
fn locked_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let count = line.unwrap().trim().trim_end_matches(" kB");
    count.parse().unwrap()
}

fn locked() -> Outcome {
    let plain = Daemon::start();
    assert_eq!(locked_kib(&plain), 0);
    plain.stop();
    let daemon = Daemon::start_with(&["--mlock"]);
    let before = locked_kib(&daemon);
    assert!(before > 1024, "only {before} KiB are locked");
    // What comes later is locked too.
    daemon.add_ram(SIZE, DataPath::Copy);
    let after = locked_kib(&daemon);
    assert!(after - before >= SIZE >> 10, "{before} KiB, then {after}");
    daemon.stop();
    Outcome::Passed
}

fn not_locked() -> Outcome {
    use std::os::unix::process::CommandExt;
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(programs::find("bvecd").unwrap())
        .arg("--socket")
        .arg(directory.path().join("s"))
        .arg("--mlock")
        .uid(1234)
        .gid(1234)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("RLIMIT_MEMLOCK"), "{text}");
    Outcome::Passed
}

/// Takes the daemon's descriptors away at every step of making a device with four queues.
fn no_files() -> Outcome {
    let daemon = Daemon::start();
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
            .unwrap()
            .count() as u64
    };
    // One device comes and goes first, so that what is opened once is open.
    let device = daemon.add(&four_queues());
    daemon.ask(call::delete_device(device.id));
    let before = open();
    let mut causes = Vec::new();
    let mut more = 0;
    let device = loop {
        let limit = Rlimit {
            current: Some(before + more),
            maximum: Some(before + more),
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
        // The connection itself takes a descriptor of the daemon's.
        match daemon.client.send(call::add_device(&four_queues())) {
            Ok(device) => break device,
            Err(error) => causes.push(error.to_string()),
        }
        let roomy = Rlimit {
            current: Some(1024),
            maximum: Some(1024),
        };
        prlimit(pid, Resource::Nofile, roomy).unwrap();
        assert_eq!(daemon.ask(call::devices()).devices, []);
        assert_eq!(
            char_devices(),
            Vec::<String>::new(),
            "after {more}: {causes:?}"
        );
        more += 1;
        assert!(more < 64, "it never was enough: {causes:?}");
    };
    let roomy = Rlimit {
        current: Some(1024),
        maximum: Some(1024),
    };
    prlimit(pid, Resource::Nofile, roomy).unwrap();
    let told = |words: &str| causes.iter().any(|cause| cause.contains(words));
    // A queue's thread was the one that failed, and it said so.
    assert!(
        told("of queue ") && told("Too many open files"),
        "{causes:#?}"
    );
    serves(&device);
    daemon.ask(call::delete_device(device.id));
    wait_for("descriptors to be given back", || {
        (open() <= before).then_some(())
    });
    daemon.stop();
    Outcome::Passed
}

fn serves(device: &Device) {
    wait_for("the block device's node", || {
        std::fs::metadata(&device.path).ok().map(drop)
    });
    let disk = Disk::open(&device.path);
    disk.write(0, &[7; 4096]);
    assert_eq!(disk.read(0, 4096), [7; 4096]);
}

/// strace makes one `io_uring_enter` of one queue's thread fail. The device goes, with an event; its
/// clients get errors; the daemon and its other devices go on.
fn fails_later() -> Outcome {
    need_program!("strace");
    let daemon = Daemon::start();
    let other = daemon.add_ram(SIZE, DataPath::Copy);
    let device = daemon.add(&four_queues());
    let queue = device.queues - 1;
    let tid = daemon.thread(&format!("ublk{}q{queue}", device.id));
    daemon.rule(device.id, "hold", "hold where op=read");
    let held = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let mut strace = programs::command("strace")
        .args(["-qq", "-e", "trace=io_uring_enter"])
        .args(["-e", "inject=io_uring_enter:error=ENXIO:when=1"])
        .args(["-p", &tid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let event = wait_for("the event of the failed queue", || {
        // A change of the rules wakes every queue, so that the one which is traced makes a call.
        let _ = daemon.client.send(call::clear_rules(device.id));
        daemon.events(EventKind::QueueFailed).into_iter().next()
    });
    assert_eq!((event.device, event.queue), (Some(device.id), Some(queue)));
    wait_for("the device to go", || {
        let deleted = daemon.events(EventKind::DeviceDeleted);
        deleted
            .iter()
            .any(|event| event.device == Some(device.id))
            .then_some(())
    });
    let _ = nix::sys::signal::kill(
        NixPid::from_raw(i32::try_from(strace.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    );
    wait_for("strace to end", || strace.try_wait().unwrap());
    // Released by the cleared rules or failed with the queue, but answered.
    if let Err(error) = held.join().unwrap() {
        assert!(error.raw_os_error().is_some(), "{error}");
    }
    assert_eq!(block_devices(), [format!("ublkb{}", other.id)]);
    assert_eq!(char_devices(), [format!("ublkc{}", other.id)]);
    assert!(
        daemon.log().contains("a queue ended before its device"),
        "{}",
        daemon.log()
    );
    serves(&other);
    assert!(std::fs::File::open(&device.path).is_err());
    daemon.stop();
    Outcome::Passed
}
