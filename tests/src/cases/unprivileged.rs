//! Devices of an ordinary user. The guest has no udev: a thread does what the rules of `daemon/udev/` say,
//! with the program that they call.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use api::{DataPath, DeviceConfig, ProblemCode, Recovery, TargetConfig, call};
use nix::sys::signal::Signal;

use crate::client_io::{Disk, read_in_background};
use crate::daemon::{Daemon, block_devices, char_devices, config};
use crate::deadline::wait_for;
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("unprivileged::a_user_makes_uses_and_removes_a_device", life),
    Case::new(
        "unprivileged::what_the_driver_forbids_is_refused",
        forbidden,
    ),
    Case::new(
        "unprivileged::without_the_rules_the_node_is_missed",
        no_rules,
    ),
    Case::new(
        "unprivileged::root_removes_what_a_dead_daemon_left",
        leftover,
    ),
    Case::new("unprivileged::a_request_too_long_kills_the_daemon", killed),
    Case::new("unprivileged::the_drivers_limit_is_named", limit),
];

const USER: u32 = 1234;
const SIZE: u64 = 1 << 20;
const CONTROL: &str = "/dev/ublk-control";
const MOST: &str = "/sys/module/ublk_drv/parameters/ublks_max";

/// What udev does by our rules, until it is dropped.
struct Rules {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rules {
    fn new() -> Self {
        open_control(0o666);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for node in char_devices().into_iter().chain(block_devices()) {
                    give(&node);
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        open_control(0o600);
    }
}

fn open_control(mode: u32) {
    std::fs::set_permissions(CONTROL, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives a node to whom the program of the rules names, once.
fn give(node: &str) {
    let path = Path::new("/dev").join(node);
    if std::fs::metadata(&path).is_ok_and(|found| found.uid() != 0) {
        return;
    }
    if let Some((user, group)) = owner_of(node) {
        // The node may have gone meanwhile.
        let _ = std::os::unix::fs::chown(path, Some(user), Some(group));
    }
}

fn owner_of(node: &str) -> Option<(u32, u32)> {
    let output = programs::command("bvecd")
        .args(["--owner-of", node])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (user, group) = text.trim().split_once(' ')?;
    assert!(output.status.success());
    Some((user.parse().unwrap(), group.parse().unwrap()))
}

fn ours() -> DeviceConfig {
    DeviceConfig {
        unprivileged: true,
        ..config(TargetConfig::Ram { size_bytes: SIZE }, DataPath::Auto)
    }
}

fn lacks(daemon: &Daemon) -> Option<Outcome> {
    let flags = daemon.features().flags;
    let has = flags
        .iter()
        .any(|flag| flag.name == "UNPRIVILEGED_DEV" && flag.offered);
    (!has).then(|| Outcome::NotApplicable("unprivileged devices (kernel < 6.3)".to_owned()))
}

fn life() -> Outcome {
    let rules = Rules::new();
    let daemon = Daemon::start_as(USER, &[]);
    if let Some(outcome) = lacks(&daemon) {
        return outcome;
    }
    let file = daemon.file(SIZE);
    std::os::unix::fs::chown(&file, Some(USER), Some(USER)).unwrap();
    let on_file = DeviceConfig {
        unprivileged: true,
        queues: 2,
        ..config(
            TargetConfig::Loop {
                file,
                direct: false,
            },
            DataPath::Copy,
        )
    };
    for wanted in [ours(), on_file] {
        let device = daemon.add(&wanted);
        assert!(
            device.flags.contains(&"UNPRIVILEGED_DEV".to_owned()),
            "{device:?}"
        );
        assert_eq!(device.data_path, DataPath::Copy);
        let node = std::fs::metadata(&device.path).unwrap();
        assert_eq!((node.uid(), node.gid()), (USER, USER));
        let disk = Disk::open(&device.path);
        let data = pattern(5, 64 << 10);
        disk.write(4096, &data);
        disk.file.sync_all().unwrap();
        assert_eq!(disk.read(4096, data.len()), data);
        drop(disk);
        // As the user, without a right of root's.
        let read = Command::new("dd")
            .args([&format!("if={}", device.path), "of=/dev/null", "count=1"])
            .uid(USER)
            .gid(USER)
            .output()
            .unwrap();
        assert!(read.status.success(), "{read:?}");
        daemon.ask(call::delete_device(device.id));
        assert_eq!(char_devices(), Vec::<String>::new());
    }
    assert!(
        daemon.log().contains("no mount namespace of our own"),
        "{}",
        daemon.log()
    );
    daemon.add(&ours());
    daemon.stop();
    drop(rules);
    Outcome::Passed
}

fn forbidden() -> Outcome {
    let rules = Rules::new();
    let daemon = Daemon::start_as(USER, &[]);
    if let Some(outcome) = lacks(&daemon) {
        return outcome;
    }
    let refuse = |daemon: &Daemon, config: &DeviceConfig, pointer: &str, words: &str| {
        let problem = daemon.refused(call::add_device(config));
        assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{problem}");
        assert!(problem.detail.contains(words), "{problem}");
    };
    for path in [
        DataPath::UserCopy,
        DataPath::ZeroCopy,
        DataPath::AutoZeroCopy,
    ] {
        let config = DeviceConfig {
            data_path: path,
            ..ours()
        };
        refuse(&daemon, &config, "/data_path", "no data path but copy");
    }
    for recovery in [Recovery::Queue, Recovery::Reissue, Recovery::FailIo] {
        let config = DeviceConfig { recovery, ..ours() };
        refuse(&daemon, &config, "/recovery", "no recovery but `fail`");
    }
    let privileged = DeviceConfig {
        unprivileged: false,
        ..ours()
    };
    refuse(&daemon, &privileged, "/unprivileged", "--unprivileged");
    let root = Daemon::start();
    refuse(&root, &ours(), "/unprivileged", "CAP_SYS_ADMIN");
    // A device of root's is no ordinary user's.
    let device = root.add_ram(SIZE, DataPath::Copy);
    assert_eq!(owner_of(&format!("ublkc{}", device.id)), None);
    root.stop();
    daemon.stop();
    drop(rules);
    Outcome::Passed
}

/// Nobody gives the node to the user. The message says so; what is left only root can remove.
fn no_rules() -> Outcome {
    open_control(0o666);
    let daemon = Daemon::start_as(USER, &[]);
    let result = daemon.client.send(call::add_device(&ours()));
    open_control(0o600);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("udev"), "{message}");
    let root = Daemon::start();
    for node in char_devices() {
        let id = node.trim_start_matches("ublkc").parse().unwrap();
        root.ask(call::delete_device(id));
    }
    assert_eq!(char_devices(), Vec::<String>::new());
    root.stop();
    drop(daemon);
    Outcome::Passed
}

fn leftover() -> Outcome {
    let rules = Rules::new();
    let mut daemon = Daemon::start_as(USER, &[]);
    if let Some(outcome) = lacks(&daemon) {
        return outcome;
    }
    let device = daemon.add(&ours());
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    wait_for("the block device to go", || {
        block_devices().is_empty().then_some(())
    });
    let root = Daemon::start();
    root.ask(call::delete_device(device.id));
    assert_eq!(char_devices(), Vec::<String>::new());
    root.stop();
    drop(rules);
    Outcome::Passed
}

/// The driver's answer to a time-out of an unprivileged device is SIGKILL (`ublk_timeout`). It is 30 s unless
/// told.
fn killed() -> Outcome {
    let rules = Rules::new();
    let mut daemon = Daemon::start_as(USER, &[]);
    if let Some(outcome) = lacks(&daemon) {
        return outcome;
    }
    let device = daemon.add(&ours());
    let limit = format!("/sys/block/ublkb{}/queue/io_timeout", device.id);
    assert_eq!(std::fs::read_to_string(&limit).unwrap().trim(), "30000");
    std::fs::write(&limit, "1000").unwrap();
    daemon.rule(device.id, "h", "hold where op=read");
    let held = read_in_background(&device.path, 0, 4096);
    let status = daemon.wait();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status:?}");
    assert!(held.join().unwrap().is_err());
    let root = Daemon::start();
    wait_for("the device to be removable", || {
        root.client.send(call::delete_device(device.id)).ok()
    });
    root.stop();
    drop(rules);
    Outcome::Passed
}

/// Before Linux 6.15 the limit is one of all devices, so that root meets it too.
fn limit() -> Outcome {
    let before = std::fs::read_to_string(MOST).unwrap();
    let rules = Rules::new();
    let daemon = Daemon::start_as(USER, &[]);
    if let Some(outcome) = lacks(&daemon) {
        return outcome;
    }
    std::fs::write(MOST, "2").unwrap();
    let added: Vec<_> = (0..2).map(|_| daemon.add(&ours())).collect();
    let problem = daemon.refused(call::add_device(&ours()));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    assert!(
        problem.detail.contains("allows, 2 (ublks_max)"),
        "{problem}"
    );
    daemon.ask(call::delete_device(added[0].id));
    daemon.add(&ours());
    std::fs::write(MOST, before.trim()).unwrap();
    daemon.stop();
    drop(rules);
    Outcome::Passed
}
