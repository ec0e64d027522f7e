//! What is refused, and what ends while memory is shared.

use std::fs::File;
use std::os::unix::fs::FileExt;

use api::{BufferConfig, DataPath, Problem, ProblemCode, Which, call};
use nix::fcntl::SealFlag;

use super::client::{memfd, seal};
use super::{BUFFER, SIZE, counts, register, shared};
use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};
use crate::programs;

pub(super) const CASES: &[Case] = &[
    Case::new("shared_memory::what_cannot_be_shared_says_why", refusals),
    Case::new("shared_memory::not_while_a_request_is_held", not_while_held),
    Case::new(
        "shared_memory::taken_back_memory_is_copied_again",
        taken_back,
    ),
    Case::new("shared_memory::it_outlives_the_client", outlives_client),
    Case::new(
        "shared_memory::a_shortened_file_fails_the_request_alone",
        shortened,
    ),
];

fn send(daemon: &Daemon, device: u32, file: File) -> Problem {
    let call = call::add_buffer(device, &BufferConfig::default());
    daemon.refused(call.with_file(file))
}

fn refusals() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let copies = daemon.add_ram(SIZE as u64, DataPath::Copy).id;
    let problem = send(&daemon, copies, memfd(4096));
    assert_eq!(problem.code, ProblemCode::Conflict);
    assert!(
        problem.detail.contains("--data-path shared-memory"),
        "{problem}"
    );
    assert_eq!(
        daemon.refused(call::buffers(copies)).code,
        ProblemCode::Conflict
    );

    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory).id;
    let none = daemon.refused(call::add_buffer(device, &BufferConfig::default()));
    assert_eq!(none.pointer.as_deref(), Some("/file"));
    let both = BufferConfig {
        file: Some("/dev/shm/x".into()),
        read_only: false,
    };
    let both = daemon.refused(call::add_buffer(device, &both).with_file(memfd(4096)));
    assert_eq!(both.pointer.as_deref(), Some("/file"));
    let on_disk = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    for (file, says) in [
        (memfd(0), "0 bytes"),
        (memfd(4097), "4097 bytes"),
        (memfd((4 << 30) + 4096), "up to 4 GiB"),
        (on_disk, "not a file of memory"),
        (File::open("/proc/version").unwrap(), "not a file of memory"),
    ] {
        let problem = send(&daemon, device, file);
        assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
        assert!(problem.detail.contains(says), "{problem}");
    }
    let file = memfd(BUFFER);
    let for_reading = File::open(format!("/proc/self/fd/{}", fd(&file))).unwrap();
    let problem = send(&daemon, device, for_reading);
    assert!(
        problem.detail.contains("not open for reading and writing"),
        "{problem}"
    );
    register(&daemon, &daemon.ask(call::device(device)), &file);
    let twice = send(&daemon, device, file);
    assert_eq!(twice.code, ProblemCode::Conflict);
    assert!(twice.detail.contains("registered"), "{twice}");
    let missing = daemon.refused(call::remove_buffer(device, 7));
    assert_eq!(missing.code, ProblemCode::NotFound);
    assert_eq!(daemon.ask(call::buffers(device)).buffers.len(), 1);
    daemon.stop();
    Outcome::Passed
}

fn fd(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

/// The driver waits for every request in flight: a held one would stop the device.
fn not_while_held() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    shared(&daemon, &device);
    daemon.rule(device.id, "stop", "hold:max=60s where op=read when count=1");
    let reader = crate::client_io::read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let problem = send(&daemon, device.id, memfd(4096));
    assert_eq!(problem.code, ProblemCode::Conflict);
    assert!(problem.detail.contains("bvecctl hold release"), "{problem}");
    let removal = daemon.refused(call::remove_buffer(device.id, 0));
    assert_eq!(removal.code, ProblemCode::Conflict);
    daemon.release(device.id, Which::All);
    reader.join().unwrap().unwrap();
    daemon.ask(call::remove_buffer(device.id, 0));
    daemon.stop();
    Outcome::Passed
}

fn taken_back() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let mut map = shared(&daemon, &device);
    let disk = Disk::open(&device.path);
    map.bytes_mut().copy_from_slice(&pattern(1, BUFFER));
    disk.file.write_all_at(&map.bytes()[..65536], 0).unwrap();
    daemon.ask(call::remove_buffer(device.id, 0));
    disk.file
        .write_all_at(&map.bytes()[65536..131_072], 65536)
        .unwrap();
    let counted = counts(&daemon, &device);
    assert_eq!((counted.shared, counted.copied), (1, 1));
    // The number is free again, and means the new memory.
    let mut next = shared(&daemon, &device);
    assert_eq!(daemon.ask(call::buffers(device.id)).buffers[0].buffer, 0);
    disk.file
        .read_exact_at(&mut next.bytes_mut()[..131_072], 0)
        .unwrap();
    assert_eq!(next.bytes()[..131_072], pattern(1, BUFFER)[..131_072]);
    assert_eq!(counts(&daemon, &device).shared, 2);
    // Nothing of the first buffer is left in the daemon.
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    assert_eq!(maps.matches("memfd:suite").count(), 1, "{maps}");
    daemon.ask(call::delete_device(device.id));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    assert_eq!(maps.matches("memfd:suite").count(), 0, "{maps}");
    daemon.stop();
    Outcome::Passed
}

/// `bvecctl` ends at once; the memory stays shared until it is taken back.
fn outlives_client() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let device = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let file = memfd(BUFFER);
    seal(&file, SealFlag::F_SEAL_SHRINK);
    let ctl = |words: &[&str]| {
        let output = programs::command("bvecctl")
            .arg("--socket")
            .arg(daemon.socket())
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let path = format!("/proc/{}/fd/{}", std::process::id(), fd(&file));
    let added = ctl(&["buffer", "add", &path]);
    assert!(added.contains("memfd:suite"), "{added}");
    let mut map = crate::sys::SharedMap::of(&file, true);
    map.bytes_mut().fill(7);
    let disk = Disk::open(&device.path);
    disk.file.write_all_at(&map.bytes()[..65536], 0).unwrap();
    assert_eq!(counts(&daemon, &device).shared, 1);
    drop((map, file));
    let listed = ctl(&["buffer", "list", "--json"]);
    assert!(listed.contains("\"sealed\":true"), "{listed}");
    assert_eq!(disk.read(0, 65536), [7; 65536]);
    ctl(&["buffer", "rm", "0"]);
    assert!(ctl(&["buffer", "list"]).contains("no buffers"));
    daemon.stop();
    Outcome::Passed
}

/// The client cuts its memory short while a request in it is under way: an error for the request, and no
/// SIGBUS for the daemon.
fn shortened() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let ram = daemon.add_ram(SIZE as u64, DataPath::SharedMemory);
    let (on_file, _) = daemon.add_loop(SIZE as u64, DataPath::SharedMemory);
    for device in [ram, on_file] {
        for op in ["read", "write"] {
            let file = memfd(BUFFER);
            let mut map = register(&daemon, &device, &file);
            map.bytes_mut().fill(1);
            daemon.rule(
                device.id,
                "stop",
                &format!("hold:max=60s where op={op} when count=1"),
            );
            let disk = Disk::open(&device.path);
            let client = std::thread::spawn(move || match op {
                "read" => disk.file.read_exact_at(&mut map.bytes_mut()[..65536], 0),
                _ => disk.file.write_all_at(&map.bytes()[..65536], 0),
            });
            daemon.held(device.id, 1);
            file.set_len(0).unwrap();
            daemon.release(device.id, Which::All);
            assert_eq!(errno(client.join().unwrap()), libc::EIO, "{op}");
            daemon.ask(call::remove_rule(device.id, "stop"));
            let buffers = daemon.ask(call::buffers(device.id)).buffers;
            daemon.ask(call::remove_buffer(device.id, buffers[0].buffer));
        }
        // The device goes on.
        let disk = Disk::open(&device.path);
        disk.write(0, &pattern(3, 65536));
        assert_eq!(disk.read(0, 65536), pattern(3, 65536));
    }
    daemon.stop();
    Outcome::Passed
}
