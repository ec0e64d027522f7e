//! What a queue's thread asks of the kernel under load: nothing but its ring, and on `user-copy` the
//! copies themselves. Traced with strace.

use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use api::{DataPath, Device, DeviceConfig, TargetConfig, Transport, call};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client_io::{Aligned, Disk};
use crate::daemon::{Daemon, config};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_data_path, need_program, need_transport};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("trace::copy_uses_its_ring_only", || {
        ring_only(DataPath::Copy, Transport::PerIo, &[])
    }),
    Case::new("trace::user_copy_uses_its_ring_and_the_copies", || {
        ring_only(DataPath::UserCopy, Transport::PerIo, COPIES)
    }),
    Case::new("trace::zero_copy_uses_its_ring_only", || {
        ring_only(DataPath::ZeroCopy, Transport::PerIo, &[])
    }),
    Case::new("trace::auto_zero_copy_uses_its_ring_only", || {
        ring_only(DataPath::AutoZeroCopy, Transport::PerIo, &[])
    }),
    Case::new("trace::batch_uses_its_ring_only", || {
        ring_only(DataPath::AutoZeroCopy, Transport::Batch, &[])
    }),
    Case::new(
        "trace::a_file_in_memory_is_used_without_the_ring",
        in_memory,
    ),
    Case::new("trace::shared_memory_uses_its_ring_only", shared_memory),
    Case::new("trace::a_planted_write_or_futex_is_found", planted),
    Case::new("trace::queue_threads_let_clients_finish", policy),
    Case::new("trace::an_idle_queue_is_never_woken", idle),
];

/// A running strace of one thread.
struct Trace {
    strace: Child,
    file: std::path::PathBuf,
}

impl Trace {
    fn of(daemon: &Daemon, tid: u32) -> Self {
        let file = daemon.directory.path().join("trace");
        let strace = programs::command("strace")
            .args(["-qq", "-p", &tid.to_string(), "-o"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("strace to attach", || {
            let path = format!("/proc/{tid}/status");
            let status = std::fs::read_to_string(path).unwrap();
            let tracer = status
                .lines()
                .find_map(|line| line.strip_prefix("TracerPid:"));
            tracer.is_some_and(|pid| pid.trim() != "0").then_some(())
        });
        Self { strace, file }
    }

    /// The names of the system calls that were made.
    fn finish(mut self) -> Vec<String> {
        kill(
            Pid::from_raw(i32::try_from(self.strace.id()).unwrap()),
            Signal::SIGINT,
        )
        .unwrap();
        wait_for("strace to end", || self.strace.try_wait().unwrap());
        let text = std::fs::read_to_string(&self.file).unwrap();
        text.lines()
            .filter_map(|line| line.split_once('('))
            .map(|(name, _)| name.into())
            .collect()
    }
}

/// The thread of a daemon with this name.
fn thread(daemon: &Daemon, name: &str) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid()))
        .unwrap()
        .flatten();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .unwrap_or_default()
                .trim()
                == name
        })
        .find_map(|task| task.file_name().to_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no thread named {name}"))
}

/// The system calls of `user-copy`, and of what lies in memory.
const COPIES: &[&str] = &["pread64", "pwrite64"];

/// The backing is a block device of ours: one that the ring can use without a worker thread.
fn ring_only(path: DataPath, transport: Transport, besides: &[&str]) -> Outcome {
    need_program!("strace");
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    need_transport!(daemon, transport);
    let below = daemon.add_ram(4 << 20, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: below.path.into(),
        direct: true,
    };
    let device = daemon.add(&DeviceConfig {
        transport,
        ..config(target, path)
    });
    let memory = &mut Aligned::new(4096);
    let others = calls_under_load(&daemon, &device, besides, memory.bytes_mut());
    assert_eq!(others, Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

/// Requests in a shared buffer need no copies, which would show as pread64 and pwrite64.
fn shared_memory() -> Outcome {
    need_program!("strace");
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let below = daemon.add_ram(4 << 20, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: below.path.into(),
        direct: true,
    };
    let device = daemon.add(&config(target, DataPath::SharedMemory));
    let mut map = super::shared_memory::shared(&daemon, &device);
    let others = calls_under_load(&daemon, &device, &[], &mut map.bytes_mut()[..4096]);
    assert_eq!(others, Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

/// io_uring reaches tmpfs through worker threads only, which costs more than it saves.
fn in_memory() -> Outcome {
    need_program!("strace");
    let daemon = Daemon::start();
    let (device, _) = daemon.add_loop(4 << 20, DataPath::Copy);
    let memory = &mut Aligned::new(4096);
    let calls = calls_under_load(&daemon, &device, &[], memory.bytes_mut());
    for name in COPIES {
        assert!(calls.iter().any(|call| call == name), "no {name}");
    }
    let others: Vec<_> = calls
        .iter()
        .filter(|call| !COPIES.contains(&call.as_str()))
        .collect();
    assert_eq!(others, Vec::<&String>::new());
    daemon.stop();
    Outcome::Passed
}

/// What a queue's thread calls beside its ring and what is expected.
fn calls_under_load(
    daemon: &Daemon,
    device: &Device,
    besides: &[&str],
    memory: &mut [u8],
) -> Vec<String> {
    let disk = Disk::open(&device.path);
    disk.write(0, &[1; 65536]);
    let trace = Trace::of(daemon, thread(daemon, &format!("ublk{}q0", device.id)));
    for number in 0..300_u64 {
        let offset = (number % 16) * 4096;
        if number % 2 == 0 {
            disk.file.write_all_at(memory, offset).unwrap();
        } else {
            disk.file.read_exact_at(memory, offset).unwrap();
        }
        if number % 50 == 0 {
            disk.file.sync_data().unwrap();
        }
    }
    let mut calls = trace.finish();
    assert!(
        calls.len() >= 300,
        "the trace saw only {} calls",
        calls.len()
    );
    calls.retain(|name| name != "io_uring_enter" && !besides.contains(&name.as_str()));
    calls
}

/// The check bites: the server's thread, which does write to its socket, is found out.
fn planted() -> Outcome {
    need_program!("strace");
    let daemon = Daemon::start();
    let trace = Trace::of(&daemon, daemon.pid());
    for _ in 0..20 {
        daemon.ask(call::devices());
    }
    std::thread::sleep(Duration::from_millis(50));
    let calls = trace.finish();
    let forbidden = ["write", "writev", "sendto", "futex"];
    assert!(
        calls.iter().any(|name| forbidden.contains(&name.as_str())),
        "{calls:?}"
    );
    daemon.stop();
    Outcome::Passed
}

/// A queue's thread must not interrupt the client that wakes it: its policy is `SCHED_BATCH`, which is 3
/// (`policy`, field 41 of `/proc/PID/stat`, proc(5)); the server's own thread keeps the ordinary one.
fn policy() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, DataPath::Copy);
    let of = |tid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).unwrap();
        // The name, field 2, may hold spaces; what follows its bracket begins with field 3.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(41 - 3).unwrap().to_owned()
    };
    assert_eq!(of(thread(&daemon, &format!("ublk{}q0", device.id))), "3");
    assert_eq!(of(daemon.pid()), "0");
    daemon.stop();
    Outcome::Passed
}

/// An idle device costs nothing: its thread sleeps in one system call. A request wakes it, so the count
/// bites.
fn idle() -> Outcome {
    let daemon = Daemon::start();
    let mut devices = Vec::new();
    for transport in Transport::ALL {
        if daemon.lacks_transport(transport).is_none() {
            let target = TargetConfig::Ram {
                size_bytes: 4 << 20,
            };
            devices.push(daemon.add(&DeviceConfig {
                transport,
                ..config(target, DataPath::Copy)
            }));
        }
    }
    for device in &devices {
        let tid = thread(&daemon, &format!("ublk{}q0", device.id));
        let switches = || -> u64 {
            let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap();
            let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
            let number = |name| line(name).unwrap().trim().parse::<u64>().unwrap();
            number("voluntary_ctxt_switches:") + number("nonvoluntary_ctxt_switches:")
        };
        let disk = Disk::open(&device.path);
        disk.read(0, 4096);
        // What udev and the like do to a new device is over when the thread has slept for a while.
        wait_for("the queue to be idle", || {
            let before = switches();
            std::thread::sleep(Duration::from_millis(300));
            (switches() == before).then_some(())
        });
        let before = switches();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(
            switches(),
            before,
            "{}: woken for nothing",
            device.transport
        );
        disk.read(0, 4096);
        assert!(
            switches() > before,
            "{}: the count sees nothing",
            device.transport
        );
    }
    daemon.stop();
    Outcome::Passed
}
