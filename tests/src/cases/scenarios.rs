//! Scenarios: those of docs/scenarios run as they stand, and what a run does when something is wrong.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use api::{DataPath, call};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs::{self, bvecctl};

use super::schemas::faults;

pub(crate) const CASES: &[Case] = &[
    Case::new("scenarios::flush_fails", || {
        documented("flush-fails", FLUSH_FAILS)
    }),
    Case::new("scenarios::one_tag_hangs", || {
        documented("one-tag-hangs", ONE_TAG_HANGS)
    }),
    Case::new("scenarios::error_once", || {
        documented("error-once", ERROR_ONCE)
    }),
    Case::new("scenarios::ext4_eio_once", || {
        documented("ext4-eio-once", EXT4_EIO_ONCE)
    })
    .within(120),
    Case::new("scenarios::lost_write", || {
        documented("lost-write", LOST_WRITE)
    })
    .within(120),
    Case::new("scenarios::raid1_repair", || {
        need_program!("mdadm");
        documented("raid1-repair", RAID1_REPAIR)
    })
    .within(120),
    Case::new("scenarios::slow_disk", || {
        need_program!("fio");
        documented("slow-disk", SLOW_DISK)
    })
    .within(120),
    Case::new("scenarios::btrfs_raid1_repair", || {
        need_program!("mkfs.btrfs");
        need_program!("btrfs");
        documented("btrfs-raid1-repair", BTRFS_RAID1_REPAIR)
    })
    .within(240),
    Case::new("scenarios::a_failed_expectation_ends_with_3", expectation),
    Case::new("scenarios::a_bad_one_is_located_and_nothing_is_done", bad),
    Case::new(
        "scenarios::interrupted_it_leaves_nothing_behind",
        interrupted,
    ),
    Case::new("scenarios::on_a_device_that_is_there", on_a_device),
];

const FLUSH_FAILS: &str = include_str!("../../../docs/scenarios/flush-fails.toml");
const ONE_TAG_HANGS: &str = include_str!("../../../docs/scenarios/one-tag-hangs.toml");
const ERROR_ONCE: &str = include_str!("../../../docs/scenarios/error-once.toml");
const EXT4_EIO_ONCE: &str = include_str!("../../../docs/scenarios/ext4-eio-once.toml");
const BTRFS_RAID1_REPAIR: &str = include_str!("../../../docs/scenarios/btrfs-raid1-repair.toml");
const LOST_WRITE: &str = include_str!("../../../docs/scenarios/lost-write.toml");
const RAID1_REPAIR: &str = include_str!("../../../docs/scenarios/raid1-repair.toml");
const SLOW_DISK: &str = include_str!("../../../docs/scenarios/slow-disk.toml");
const SCHEMA: &str = include_str!("../../../docs/schemas/scenario.schema.json");

/// A file in the daemon's directory.
fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path = daemon.directory.path().join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Runs one of docs/scenarios, which must pass.
fn documented(name: &str, text: &str) -> Outcome {
    let daemon = Daemon::start();
    let path = file(&daemon, name, text);
    let ran = bvecctl(&daemon.socket(), &["--json", "scenario", "run", &path]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(faults(SCHEMA, &report), Vec::<String>::new(), "{report}");
    assert_eq!(report["verdict"], "passed");
    assert_eq!(
        daemon.ask(call::devices()).devices,
        [],
        "its device is left"
    );
    daemon.stop();
    Outcome::Passed
}

fn expectation() -> Outcome {
    let daemon = Daemon::start();
    let text = "version = 1\nname = \"wrong\"\n[device]\ntarget = { ram = { size_bytes = 1048576 } }\n\
        [[step]]\nadd = { silent = \"fail where op=write\" }\n\
        [[step]]\nexpect = { rule = { name = \"silent\", fired = 1 } }\n\
        [[step]]\nrun = \"touch $SCENARIO_DIR/too-far\"\n\
        [[finally]]\ncommand = \"touch $SCENARIO_DIR/the-end\"\n";
    let path = file(&daemon, "wrong", text);
    let ran = bvecctl(&daemon.socket(), &["scenario", "run", &path]);
    assert!(
        ran.out.contains("FAILED  expect rule silent fired=1"),
        "{ran:?}"
    );
    assert!(ran.out.contains("fired is 0, expected 1"), "{ran:?}");
    let said = ran.ended_with(3);
    assert!(said.contains("step 2"), "{said}");
    let there = |name| daemon.directory.path().join(name).exists();
    assert!(!there("too-far") && there("the-end"));
    assert_eq!(daemon.ask(call::devices()).devices, []);
    daemon.stop();
    Outcome::Passed
}

fn bad() -> Outcome {
    let daemon = Daemon::start();
    let good = "version = 1\nname = \"x\"\n[device]\ntarget = { ram = { size_bytes = 1048576 } }\n";
    for (rest, place) in [
        ("[[step]]\nburn = {}\n", "6:1"),
        ("[[step]]\nadd = { a = \"fail wher op=read\" }\n", "6:13"),
        ("[[step]]\njoin = \"nobody\"\n", "6:8"),
    ] {
        let path = file(&daemon, "bad", &format!("{good}{rest}"));
        for verb in ["run", "check"] {
            let said = bvecctl(&daemon.socket(), &["scenario", verb, &path]).ended_with(2);
            assert!(
                said.contains(&format!("bad.toml:{place}: ")),
                "{rest}: {said}"
            );
        }
    }
    assert_eq!(daemon.events(api::EventKind::DeviceAdded).len(), 0);
    daemon.stop();
    Outcome::Passed
}

fn interrupted() -> Outcome {
    let daemon = Daemon::start();
    let text = "version = 1\nname = \"long\"\n[device]\ntarget = { ram = { size_bytes = 1048576 } }\n\
        [[step]]\nadd = { stop = \"hold where op=read,lba=8+8\" }\n\
        [[step]]\nrun = { command = \"dd if=$DEV of=/dev/null bs=4k skip=1 count=1 iflag=direct\", \
        background = \"reader\" }\n\
        [[step]]\nwait = { rule = \"stop\", held = 1 }\n\
        [[step]]\nrun = { command = \"echo $$ > $SCENARIO_DIR/pid; sleep 1000\", timeout = \"50s\" }\n\
        [[finally]]\ncommand = \"touch $SCENARIO_DIR/the-end\"\n";
    let path = file(&daemon, "long", text);
    let child = programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["scenario", "run", &path])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sleeper = daemon.directory.path().join("pid");
    let sleeper: i32 = wait_for("the last step", || {
        std::fs::read_to_string(&sleeper).ok()?.trim().parse().ok()
    });
    let begin = Instant::now();
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert!(
        !Path::new(&format!("/proc/{sleeper}")).exists(),
        "a command is left"
    );
    assert!(daemon.directory.path().join("the-end").exists());
    assert_eq!(daemon.ask(call::devices()).devices, []);
    daemon.stop();
    Outcome::Passed
}

fn on_a_device() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    let text = "version = 1\nname = \"here\"\n\
        [[step]]\nadd = { a = \"fail where op=write\" }\n\
        [[step]]\nrun = \"test $DEV_ID = $($BVECCTL --json fault list | grep -o 'device\\\":[0-9]*' | \
        cut -d: -f2)\"\n";
    let path = file(&daemon, "here", text);
    bvecctl(&daemon.socket(), &["scenario", "run", &path]).good();
    assert_eq!(
        daemon.ask(call::rules(device.id)).rules,
        [],
        "its rule is left"
    );
    daemon.rule(device.id, "mine", "fail where op=write");
    let said = bvecctl(&daemon.socket(), &["scenario", "run", &path]).ended_with(2);
    assert!(said.contains("it has rules"), "{said}");
    assert_eq!(
        daemon.ask(call::rules(device.id)).rules.len(),
        1,
        "a rule of ours is gone"
    );
    // From standard input, too.
    daemon.ask(call::clear_rules(device.id));
    let mut child = programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["scenario", "run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    daemon.stop();
    Outcome::Passed
}
