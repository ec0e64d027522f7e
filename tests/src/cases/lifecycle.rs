//! Devices come and go, whatever happens to them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use api::{DataPath, DeviceConfig, TargetConfig, Which, call};
use nix::sys::signal::Signal;

use crate::client_io::{Disk, read_in_background};
use crate::daemon::{Daemon, block_devices, char_devices, config};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "lifecycle::sigterm_releases_what_stacked_devices_hold",
        stacked_hold,
    ),
    Case::new("lifecycle::a_number_is_free_again_at_once", number_is_free),
    Case::new(
        "lifecycle::clients_that_go_away_leave_no_device",
        clients_go_away,
    ),
    Case::new("lifecycle::a_hundred_devices_come_and_go", hundred).within(180),
    Case::new("lifecycle::several_devices_at_once", several),
    Case::new("lifecycle::sigterm_under_load_copy", || {
        under_load(DataPath::Copy)
    }),
    Case::new("lifecycle::sigterm_under_load_user_copy", || {
        under_load(DataPath::UserCopy)
    }),
    Case::new("lifecycle::sigterm_under_load_auto_zero_copy", || {
        under_load(DataPath::AutoZeroCopy)
    }),
    Case::new(
        "lifecycle::sigint_with_requests_held_and_delayed",
        signal_with_held,
    ),
    Case::new("lifecycle::sigkill_under_load_gives_errors_copy", || {
        killed(DataPath::Copy)
    }),
    Case::new(
        "lifecycle::sigkill_under_load_gives_errors_user_copy",
        || killed(DataPath::UserCopy),
    ),
    Case::new(
        "lifecycle::sigkill_under_load_gives_errors_auto_zero_copy",
        || killed(DataPath::AutoZeroCopy),
    ),
    Case::new(
        "lifecycle::deleting_a_device_releases_what_it_holds",
        delete_with_held,
    ),
    Case::new(
        "lifecycle::a_refused_device_leaves_nothing",
        refused_leaves_nothing,
    ),
    Case::new(
        "lifecycle::a_second_daemon_on_the_socket_is_refused",
        second_daemon,
    ),
    Case::new(
        "lifecycle::the_daemon_has_a_mount_namespace_of_its_own",
        own_namespace,
    ),
];

const SIZE: u64 = 4 << 20;

fn hundred() -> Outcome {
    let daemon = Daemon::start();
    let fds = || {
        std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
            .unwrap()
            .count()
    };
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", daemon.pid()))
            .unwrap()
            .count()
    };
    let mut before = (0, 0);
    for round in 0..100 {
        let path = [DataPath::Copy, DataPath::UserCopy][round % 2];
        let device = daemon.add_ram(1 << 20, path);
        assert_eq!(Disk::open(&device.path).read(0, 512), [0; 512]);
        daemon.ask(call::delete_device(device.id));
        if round == 10 {
            before = (fds(), threads());
        }
    }
    assert_eq!(block_devices(), Vec::<String>::new());
    assert_eq!(char_devices(), Vec::<String>::new());
    wait_for("threads and descriptors to be given back", || {
        let now = (fds(), threads());
        // The runtime's idle blocking threads come and go by themselves.
        (now.0 <= before.0 && now.1 <= before.1 + 2).then_some(())
    });
    daemon.stop();
    Outcome::Passed
}

/// Scripts delete a device and make the next one under the same number.
fn number_is_free() -> Outcome {
    let daemon = Daemon::start();
    for _ in 0..30 {
        let target = TargetConfig::Ram {
            size_bytes: 1 << 20,
        };
        let seven = DeviceConfig {
            id: Some(7),
            ..config(target, DataPath::Copy)
        };
        let device = daemon.add(&seven);
        assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
        daemon.ask(call::delete_device(7));
    }
    daemon.stop();
    Outcome::Passed
}

fn several() -> Outcome {
    let daemon = Daemon::start();
    let devices: Vec<_> = (0..8)
        .map(|number| daemon.add_ram((number + 1) << 20, DataPath::Copy))
        .collect();
    let disks: Vec<_> = devices
        .iter()
        .map(|device| Disk::open(&device.path))
        .collect();
    for (number, disk) in disks.iter().enumerate() {
        disk.write(0, &[u8::try_from(number).unwrap(); 4096]);
    }
    for (number, disk) in disks.iter().enumerate() {
        assert_eq!(disk.read(0, 4096), [u8::try_from(number).unwrap(); 4096]);
    }
    let listed = daemon.ask(call::devices()).devices;
    assert_eq!(listed, devices);
    daemon.stop();
    Outcome::Passed
}

/// Readers and writers on a device until told to stop, or until an error.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(u64, io::Result<()>)>>,
}

impl Load {
    fn on(path: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..4_u64)
            .map(|worker| {
                let (disk, stop) = (Disk::open(path), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let offset = (worker * 64 + done % 64) * 4096;
                        let result = match worker % 2 {
                            0 => disk.try_read(offset, 4096).map(drop),
                            _ => disk.try_write(offset, &[7; 4096]),
                        };
                        if let Err(error) = result {
                            return (done, Err(error));
                        }
                        done += 1;
                    }
                    (done, Ok(()))
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// Waits for every worker's end; each must have done something and met an error.
    fn ended_by_errors(self) {
        wait_for("every client to get its error", || {
            self.threads
                .iter()
                .all(JoinHandle::is_finished)
                .then_some(())
        });
        for thread in self.threads {
            let (done, result) = thread.join().unwrap();
            assert!(done > 0, "a worker did nothing");
            let error = result.expect_err("no error although the device is gone");
            // EIO from the block layer, ENXIO or ENODEV once the disk is gone; a disk that is gone also
            // has size 0, where a read ends at once and a write finds no space (block/fops.c).
            let gone = [libc::EIO, libc::ENXIO, libc::ENODEV, libc::ENOSPC];
            match error.raw_os_error() {
                Some(errno) => assert!(gone.contains(&errno), "{error}"),
                None => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}"),
            }
        }
        drop(self.stop);
    }
}

fn busy(daemon: &Daemon, device: u32) {
    wait_for("the load to run", || {
        (daemon.ask(call::stats(device)).ops[0].ios > 50).then_some(())
    });
}

fn under_load(path: DataPath) -> Outcome {
    let mut daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, _) = daemon.add_loop(SIZE, path);
    let load = Load::on(&device.path);
    busy(&daemon, device.id);
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    load.ended_by_errors();
    assert_eq!(block_devices(), Vec::<String>::new());
    assert_eq!(char_devices(), Vec::<String>::new());
    Outcome::Passed
}

fn signal_with_held() -> Outcome {
    let mut daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
    daemon.rule(device.id, "d", "delay:60s where op=read,lba=8+8");
    daemon.rule(device.id, "f", "delay:60s where op=read,lba=16+8");
    daemon.rule(device.id, "g", "fail where op=read,lba=16+8");
    let readers: Vec<_> = (0..3)
        .map(|number| read_in_background(&device.path, number * 4096, 4096))
        .collect();
    daemon.held(device.id, 1);
    wait_for("two delayed requests", || {
        (daemon.ask(call::stats(device.id)).delayed == 2).then_some(())
    });
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    let results: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .collect();
    assert!(
        results[0].is_ok() && results[1].is_ok(),
        "what was parked goes on: {results:?}"
    );
    assert!(
        results[2].is_err(),
        "a failure that was only delayed still comes"
    );
    assert_eq!(char_devices(), Vec::<String>::new());
    Outcome::Passed
}

fn killed(path: DataPath) -> Outcome {
    let mut daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, _) = daemon.add_loop(SIZE, path);
    daemon.rule(device.id, "h", "hold where op=read,lba=4096+8");
    let held = read_in_background(&device.path, 4096 * 512, 4096);
    daemon.held(device.id, 1);
    let load = Load::on(&device.path);
    busy(&daemon, device.id);
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    load.ended_by_errors();
    assert!(held.join().unwrap().is_err(), "the held read must fail");
    wait_for("the block device to go", || {
        block_devices().is_empty().then_some(())
    });
    // The number stays taken until somebody deletes it; the next daemon can.
    assert_eq!(char_devices(), [format!("ublkc{}", device.id)]);
    let next = Daemon::start();
    next.ask(call::delete_device(device.id));
    assert_eq!(char_devices(), Vec::<String>::new());
    next.stop();
    Outcome::Passed
}

/// Clients ask for devices and hang up at once; then the daemon is told to stop while it makes some.
fn clients_go_away() -> Outcome {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    let mut daemon = Daemon::start();
    let body = r#"{"target":{"ram":{"size_bytes":1048576}},"data_path":"copy"}"#;
    for _ in 0..12 {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let length = body.len();
        let head =
            format!("POST /v1/devices HTTP/1.1\r\nhost: b\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
    }
    wait_for("the first devices", || {
        (daemon.ask(call::devices()).devices.len() >= 2).then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert_eq!(block_devices(), Vec::<String>::new(), "{}", daemon.log());
    assert_eq!(char_devices(), Vec::<String>::new(), "{}", daemon.log());
    Outcome::Passed
}

/// The lower device holds a request of the upper one, which goes first.
fn stacked_hold() -> Outcome {
    let mut daemon = Daemon::start();
    let lower = daemon.add_ram(SIZE, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: lower.path.clone().into(),
        direct: true,
    };
    let upper = daemon.add(&config(target, DataPath::Copy));
    daemon.rule(lower.id, "h", "hold where op=read");
    let reader = read_in_background(&upper.path, 0, 4096);
    daemon.held(lower.id, 1);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(reader.join().unwrap().is_ok());
    assert_eq!(char_devices(), Vec::<String>::new());
    Outcome::Passed
}

fn delete_with_held() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    assert_eq!(daemon.ask(call::delete_device(device.id)).released, 1);
    assert_eq!(reader.join().unwrap().unwrap(), [0; 4096]);
    daemon.refused(call::release(
        device.id,
        &api::ReleaseRequest::of(Which::All),
    ));
    daemon.stop();
    Outcome::Passed
}

fn refused_leaves_nothing() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let taken = DeviceConfig {
        id: Some(device.id),
        ..config(TargetConfig::Ram { size_bytes: SIZE }, DataPath::Copy)
    };
    let problem = daemon.refused(call::add_device(&taken));
    assert_eq!(problem.code, api::ProblemCode::Conflict, "{problem}");
    let file = daemon.file(4096);
    let rule = api::fault::Rule::parse("far", "fail where op=read,lba=8+8").unwrap();
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let beyond = DeviceConfig {
        rules: vec![rule],
        ..config(target, DataPath::Copy)
    };
    let problem = daemon.refused(call::add_device(&beyond));
    assert_eq!(
        problem.pointer.as_deref(),
        Some("/rules/0/where/lba"),
        "{problem}"
    );
    assert_eq!(char_devices().len(), 1);
    // The backing's lock is free again.
    daemon.add(&config(
        TargetConfig::Loop {
            file,
            direct: false,
        },
        DataPath::Copy,
    ));
    daemon.stop();
    Outcome::Passed
}

fn second_daemon() -> Outcome {
    let daemon = Daemon::start();
    let output = crate::programs::command("bvecd")
        .arg("--socket")
        .arg(daemon.socket())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("another bvecd serves there"), "{text}");
    // The first one still serves.
    daemon.ask(call::devices());
    daemon.stop();
    Outcome::Passed
}

fn own_namespace() -> Outcome {
    let daemon = Daemon::start();
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    assert_ne!(of("self"), of(&daemon.pid().to_string()));
    daemon.stop();
    Outcome::Passed
}
