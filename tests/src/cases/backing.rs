//! A backing that something else uses, or that cannot be written, is refused, and the reason told.

use api::{DataPath, DeviceConfig, Problem, ProblemCode, TargetConfig, call};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config, shell};
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new("backing::is_free_again_when_its_device_is_gone", free_again),
    Case::new("backing::mounted_is_refused", mounted),
    Case::new("backing::used_by_another_device_is_refused", used_twice),
    Case::new("backing::used_by_a_loop_device_is_refused", used_by_loop),
    Case::new("backing::not_writable_is_refused", not_writable),
    Case::new("backing::wrong_kinds_are_refused", wrong_kinds),
    Case::new("backing::read_only_devices_refuse_writes", read_only),
    Case::new(
        "backing::a_truncated_backing_gives_an_error_not_stale_data",
        truncated,
    ),
];

const SIZE: u64 = 4 << 20;

fn on(file: impl Into<std::path::PathBuf>) -> DeviceConfig {
    config(
        TargetConfig::Loop {
            file: file.into(),
            direct: false,
        },
        DataPath::Copy,
    )
}

fn says(problem: &Problem, code: ProblemCode, words: &str) {
    assert_eq!(problem.code, code, "{problem}");
    assert!(
        problem.detail.contains(words),
        "`{words}` is not in: {problem}"
    );
}

fn mounted() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(16 << 20, DataPath::Copy);
    let place = daemon.directory.path().join("mnt");
    std::fs::create_dir(&place).unwrap();
    let place = place.to_str().unwrap();
    let path = &device.path;
    shell(&format!(
        "mke2fs -F {path} 2>&1 && mount -t ext4 {path} {place}"
    ));
    let problem = daemon.refused(call::add_device(&on(path)));
    shell(&format!("umount {place}"));
    says(&problem, ProblemCode::InUse, &format!("mounted at {place}"));
    daemon.add(&on(path));
    daemon.stop();
    Outcome::Passed
}

fn used_twice() -> Outcome {
    let daemon = Daemon::start();
    let (_, file) = daemon.add_loop(SIZE, DataPath::Copy);
    says(
        &daemon.refused(call::add_device(&on(&file))),
        ProblemCode::InUse,
        "another device",
    );
    let other = Daemon::start();
    says(
        &other.refused(call::add_device(&on(&file))),
        ProblemCode::InUse,
        "another device",
    );
    // A second name of the same file is the same file.
    let link = daemon.directory.path().join("link");
    std::fs::hard_link(&file, &link).unwrap();
    says(
        &other.refused(call::add_device(&on(&link))),
        ProblemCode::InUse,
        "another device",
    );
    drop(other);
    daemon.stop();
    Outcome::Passed
}

fn used_by_loop() -> Outcome {
    let daemon = Daemon::start();
    let file = daemon.file(SIZE);
    let shown = file.display();
    let attached = shell(&format!("d=$(losetup -f) && losetup $d {shown} && echo $d"));
    let attached = attached.trim();
    let problem = daemon.refused(call::add_device(&on(&file)));
    shell(&format!("losetup -d {attached}"));
    says(&problem, ProblemCode::InUse, attached);
    daemon.stop();
    Outcome::Passed
}

fn not_writable() -> Outcome {
    let daemon = Daemon::start();
    let place = daemon.directory.path().join("ro");
    std::fs::create_dir(&place).unwrap();
    let shown = place.display();
    shell(&format!(
        "mount -t tmpfs none {shown} && truncate -s 4M {shown}/f && mount -o remount,ro {shown}"
    ));
    // The daemon does not see mounts made after it started.
    let late = Daemon::start();
    let file = place.join("f");
    let problem = late.refused(call::add_device(&on(&file)));
    says(&problem, ProblemCode::InvalidField, "--read-only");
    let config = DeviceConfig {
        read_only: true,
        ..on(&file)
    };
    assert!(late.add(&config).read_only);
    late.stop_leaving_others();
    shell(&format!("umount {shown}"));
    daemon.stop();
    Outcome::Passed
}

/// A block device is claimed exclusively; the claim must end with the device.
fn free_again() -> Outcome {
    let daemon = Daemon::start();
    let below = daemon.add_ram(SIZE, DataPath::Copy);
    for round in 0..30 {
        let paths = [DataPath::Copy, DataPath::UserCopy];
        let target = TargetConfig::Loop {
            file: below.path.clone().into(),
            direct: true,
        };
        let device = daemon.add(&config(target, paths[round % 2]));
        Disk::open(&device.path).write(0, &[1; 4096]);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

fn wrong_kinds() -> Outcome {
    let daemon = Daemon::start();
    let refused = |path: &str| daemon.refused(call::add_device(&on(path)));
    says(&refused("/tmp"), ProblemCode::InvalidField, "a directory");
    says(
        &refused("/dev/null"),
        ProblemCode::InvalidField,
        "neither file nor block device",
    );
    says(
        &refused("/does/not/exist"),
        ProblemCode::InvalidField,
        "truncate",
    );
    let empty = daemon.file(100);
    says(
        &refused(empty.to_str().unwrap()),
        ProblemCode::InvalidField,
        "100 bytes",
    );
    daemon.stop();
    Outcome::Passed
}

fn read_only() -> Outcome {
    let daemon = Daemon::start();
    let config = DeviceConfig {
        read_only: true,
        ..on(daemon.file(SIZE))
    };
    let device = daemon.add(&config);
    assert!(device.read_only);
    let opened = std::fs::OpenOptions::new().write(true).open(&device.path);
    // Either the open or the write is refused, by kernel version.
    match opened {
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EACCES)),
        Ok(file) => {
            use std::os::unix::fs::FileExt;
            assert!(
                file.write_at(&[1; 512], 0)
                    .and_then(|_| file.sync_all())
                    .is_err()
            );
        }
    }
    daemon.stop();
    Outcome::Passed
}

fn truncated() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    disk.write(SIZE - 4096, &[1; 4096]);
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(SIZE / 2)
        .unwrap();
    assert_eq!(errno(disk.try_read(SIZE - 4096, 4096)), libc::EIO);
    assert_eq!(disk.read(0, 4096), [0; 4096]);
    daemon.stop();
    Outcome::Passed
}
