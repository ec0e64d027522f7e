//! What is on file about devices, and what is refused because of it.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use api::{DataPath, DeviceConfig, ProblemCode, Recovery, StopRequest, TargetConfig, call};

use serde_json::Value;

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, block_devices, char_devices, config, kept_memory, shell};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_flag};
use crate::scratch::Mounted;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "state::files_are_private_and_follow_the_device",
        state_files,
    ),
    Case::new(
        "state::a_bad_file_is_refused_and_nothing_is_used_of_it",
        bad_state,
    ),
    Case::new("state::a_backing_that_shrank_is_refused", backing_shrank),
    Case::new("state::the_number_of_a_left_device_is_taken", number_taken),
    Case::new("state::read_only_by_a_rule_stays_so", read_only),
    Case::new("state::what_rules_have_done_is_on_file_once", history),
    Case::new("state::what_found_no_room_is_written_later", no_room),
];

const SIZE: u64 = 4 << 20;

fn ram(recovery: Recovery, path: DataPath) -> DeviceConfig {
    DeviceConfig {
        recovery,
        ..config(TargetConfig::Ram { size_bytes: SIZE }, path)
    }
}

fn state_files() -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("deep/state");
    let daemon = Daemon::start_with(&["--state", state.to_str().unwrap()]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o750);
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let file = state.join(format!("device-{}.json", device.id));
    assert_eq!(mode(&file), 0o600);
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
    let record = read();
    assert_eq!(record["version"], 1);
    assert_eq!(record["daemon"]["pid"], daemon.pid());
    assert_eq!(record["config"]["data_path"], "copy");
    daemon.rule(device.id, "bad", "fail where op=read");
    assert_eq!(read()["config"]["rules"][0]["name"], "bad");
    daemon.ask(call::clear_rules(device.id));
    assert_eq!(read()["config"]["rules"].as_array().map_or(0, Vec::len), 0);
    daemon.ask(call::delete_device(device.id));
    assert!(!file.exists());
    // One that is refused leaves none either.
    let far = api::fault::Rule::parse("far", "fail where op=read,lba=1G+8").unwrap();
    daemon.refused(call::add_device(&DeviceConfig {
        rules: vec![far],
        ..ram(Recovery::Queue, DataPath::Copy)
    }));
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
    assert_eq!(kept_memory(), Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

fn bad_state() -> Outcome {
    let mut daemon = Daemon::start();
    let bad = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    let good = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    Disk::open(&bad.path).write(0, &[2; 4096]);
    daemon.kill();
    let file = daemon.state_file(bad.id);
    let whole = std::fs::read_to_string(&file).unwrap();
    let mut next = daemon;
    for (number, (text, needle)) in [
        (
            whole.replace("\"version\": 1", "\"version\": 7"),
            "version 7",
        ),
        (whole[..whole.len() / 2].to_owned(), "EOF"),
        ("{}".to_owned(), "no version"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&file, &text).unwrap();
        next = next.successor(&[]);
        let adopted = next.ask(call::adopt());
        assert_eq!(adopted.adopted.len(), 1, "round {number}");
        assert_eq!(
            (adopted.adopted[0].id, adopted.left[0].id),
            (good.id, bad.id)
        );
        let detail = &adopted.left[0].problem.detail;
        assert!(
            detail.contains(needle) && detail.contains("device-"),
            "{detail}"
        );
        // Nor is it removed: what is behind it is not known.
        assert_eq!(next.ask(call::reap()).left[0].id, bad.id);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        next.kill();
    }
    std::fs::write(&file, whole).unwrap();
    let last = next.successor(&["--adopt"]);
    assert_eq!(last.ask(call::devices()).devices.len(), 2, "{}", last.log());
    assert_eq!(Disk::open(&bad.path).read(0, 4096), [2; 4096]);
    last.stop();
    Outcome::Passed
}

fn backing_shrank() -> Outcome {
    let mut daemon = Daemon::start();
    // Before, a takeover that is refused has used up the recovery: START_USER_RECOVERY is EINVAL then.
    need_flag!(daemon, "QUIESCE");
    let file = daemon.file(SIZE);
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let device = daemon.add(&DeviceConfig {
        recovery: Recovery::Queue,
        ..config(target, DataPath::Copy)
    });
    daemon.kill();
    let cut = std::fs::File::options().write(true).open(&file).unwrap();
    cut.set_len(SIZE / 2).unwrap();
    let next = daemon.successor(&[]);
    let problem = next.refused(call::recover(device.id));
    assert!(problem.detail.contains("as large as it was"), "{problem}");
    assert_eq!(block_devices(), [format!("ublkb{}", device.id)]);
    cut.set_len(SIZE).unwrap();
    next.ask(call::recover(device.id));
    assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
    next.stop();
    Outcome::Passed
}

fn number_taken() -> Outcome {
    let mut daemon = Daemon::start();
    let device = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    daemon.kill();
    let next = daemon.successor(&[]);
    let again = DeviceConfig {
        id: Some(device.id),
        ..ram(Recovery::Queue, DataPath::Copy)
    };
    let problem = next.refused(call::add_device(&again));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    // The refusal has taken nothing of the one that is there.
    assert_eq!(next.ask(call::adopt()).adopted[0].id, device.id);
    // DELETE of a left device clears it away as well.
    let mut next = next;
    next.kill();
    let last = next.successor(&[]);
    last.ask(call::delete_device(device.id));
    assert_eq!(char_devices(), Vec::<String>::new());
    assert_eq!(kept_memory(), Vec::<String>::new());
    last.ask(call::add_device(&again));
    last.stop();
    Outcome::Passed
}

/// What a rule has made read-only is that for the next daemon too, and after a stop where the kernel has a way back.
fn read_only() -> Outcome {
    let mut daemon = Daemon::start();
    let device = daemon.add(&ram(Recovery::Queue, DataPath::Copy));
    let disk = Disk::open(&device.path);
    daemon.rule(device.id, "off", "readonly where op=read when count=1");
    daemon.rule(
        device.id,
        "on",
        "readonly(on=no) where op=read,lba=64+8 when count=1",
    );
    disk.read(0, 512);
    let is_read_only = |wanted: &str| {
        wait_for("the block device to say so", || {
            let text = shell(&format!("blockdev --getro {}", device.path));
            (text.trim() == wanted).then_some(())
        });
    };
    is_read_only("1");
    assert!(daemon.ask(call::device(device.id)).read_only);
    let denied = |disk: &Disk| {
        let errno = errno(disk.try_write(0, &[1; 512]));
        assert!([libc::EPERM, libc::EREMOTEIO].contains(&errno), "{errno}");
    };
    denied(&disk);
    daemon.kill();
    let next = daemon.successor(&["--adopt"]);
    assert!(
        next.ask(call::device(device.id)).read_only,
        "{}",
        next.log()
    );
    denied(&disk);
    drop(disk);
    if next.lacks_flag("IO_DESC_SIZE").is_none() {
        next.ask(call::stop(device.id, &StopRequest::default()));
        next.ask(call::resume(device.id));
        next.wait_for_node(&device);
        is_read_only("1");
    }
    let disk = Disk::open(&device.path);
    denied(&disk);
    disk.read(64 * 512, 512);
    is_read_only("0");
    Disk::open(&device.path).write(0, &[1; 512]);
    assert!(!next.ask(call::device(device.id)).read_only);
    drop(disk);
    next.stop();
    Outcome::Passed
}

/// What has changed is written within seconds, and what is on file already is not written again.
fn history() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=read,lba=8+8");
    let file = daemon.state_file(device.id);
    // Each write makes another file, by rename.
    let number = || std::fs::metadata(&file).unwrap().ino();
    let after_the_change = number();
    // The daemon looks once a second; a third look would not be another.
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(number(), after_the_change, "written twice");
    assert!(Disk::open(&device.path).try_read(8 * 512, 4096).is_err());
    let fired = wait_for("what the rule did to be on file", || {
        let text = std::fs::read(&file).unwrap();
        let record: Value = serde_json::from_slice(&text).unwrap();
        let fired = record["history"]["rules"][0]["counters"]["fired"].as_u64();
        fired.filter(|fired| *fired > 0)
    });
    assert_eq!(fired, 1);
    daemon.stop();
    Outcome::Passed
}

/// A change that could not be put on file is, when it can.
fn no_room() -> Outcome {
    let place = Mounted::tmpfs(256 << 10);
    let state = place.path().join("state");
    let daemon = Daemon::start_with(&["--state", state.to_str().unwrap()]);
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let file = state.join(format!("device-{}.json", device.id));
    let on_file = || std::fs::read_to_string(&file).unwrap().contains("late-one");
    let filler = place.path().join("filler");
    // Until nothing fits any more, which it says.
    assert!(std::fs::write(&filler, vec![1; 1 << 20]).is_err());
    daemon.rule(device.id, "late-one", "fail where op=read,lba=8+8");
    assert!(!on_file());
    std::fs::remove_file(&filler).unwrap();
    wait_for("the rule to be on file", || on_file().then_some(()));
    daemon.stop();
    Outcome::Passed
}
