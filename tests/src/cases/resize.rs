//! A device gets another size while it is in use.

use api::{
    DataPath, DeviceConfig, ProblemCode, Recovery, ResizeRequest, StopRequest, TargetConfig, call,
};

use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config, shell};
use crate::load::Load;
use crate::outcome::{Case, Outcome, need_flag};

pub(crate) const CASES: &[Case] = &[
    Case::new("resize::grows_and_shrinks_live", resize),
    Case::new("resize::keeps_content_under_load", resize_under_load),
    Case::new("resize::refuses_what_is_impossible", resize_refused),
];

const SIZE: u64 = 4 << 20;

fn size_of(path: &str) -> u64 {
    shell(&format!("blockdev --getsize64 {path}"))
        .trim()
        .parse()
        .unwrap()
}

fn resize_to(daemon: &Daemon, id: u32, size_bytes: u64) -> api::DeviceChanged {
    daemon.ask(call::resize(id, &ResizeRequest { size_bytes }))
}

fn resize() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "UPDATE_SIZE");
    let file = daemon.file(SIZE);
    let targets = [
        TargetConfig::Loop {
            file: file.clone(),
            direct: false,
        },
        TargetConfig::Ram { size_bytes: SIZE },
        TargetConfig::Null { size_bytes: SIZE },
    ];
    for target in targets {
        for recovery in [Recovery::Fail, Recovery::Queue] {
            let device = daemon.add(&DeviceConfig {
                recovery,
                ..config(target.clone(), DataPath::Copy)
            });
            let keeps = !matches!(target, TargetConfig::Null { .. });
            let disk = Disk::open(&device.path);
            disk.write(SIZE - 4096, &[5; 4096]);
            let changed = resize_to(&daemon, device.id, 2 * SIZE);
            assert_eq!(changed.device.size_bytes, 2 * SIZE);
            assert_eq!(size_of(&device.path), 2 * SIZE);
            disk.write(2 * SIZE - 4096, &[6; 4096]);
            // Rules reach as far as the device now, and keep it from shrinking below them.
            daemon.rule(device.id, "far", "fail:MEDIUM where op=read,lba=12288+8");
            assert_eq!(errno(disk.try_read(12288 * 512, 4096)), libc::ENODATA);
            let small = ResizeRequest { size_bytes: SIZE };
            let problem = daemon.refused(call::resize(device.id, &small));
            assert!(problem.detail.contains("far"), "{problem}");
            assert_eq!(size_of(&device.path), 2 * SIZE);
            daemon.ask(call::heal(None));
            resize_to(&daemon, device.id, SIZE);
            assert_eq!(size_of(&device.path), SIZE);
            assert!(disk.try_read(SIZE, 4096).is_err());
            if keeps {
                assert_eq!(disk.read(SIZE - 4096, 4096), [5; 4096]);
                resize_to(&daemon, device.id, 2 * SIZE);
                assert_eq!(disk.read(2 * SIZE - 4096, 4096), [6; 4096]);
            }
            drop(disk);
            daemon.ask(call::delete_device(device.id));
        }
    }
    assert_eq!(std::fs::metadata(file).unwrap().len(), 2 * SIZE);
    daemon.stop();
    Outcome::Passed
}

fn resize_under_load() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "UPDATE_SIZE");
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let load = Load::on(&device.path, 4, SIZE);
    for step in 2..8 {
        load.runs_on();
        resize_to(&daemon, device.id, step * SIZE);
        assert_eq!(size_of(&device.path), step * SIZE);
    }
    load.runs_on();
    load.ends_well(&device.path);
    daemon.stop();
    Outcome::Passed
}

fn resize_refused() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    for size_bytes in [0, 511, 4097] {
        let problem = daemon.refused(call::resize(device.id, &ResizeRequest { size_bytes }));
        assert_eq!(problem.pointer.as_deref(), Some("/size_bytes"), "{problem}");
    }
    need_flag!(daemon, "UPDATE_SIZE");
    let target = TargetConfig::Loop {
        file: device.path.clone().into(),
        direct: false,
    };
    let above = daemon.add(&config(target, DataPath::Copy));
    let double = ResizeRequest {
        size_bytes: 2 * SIZE,
    };
    let problem = daemon.refused(call::resize(above.id, &double));
    assert!(problem.detail.contains("block device"), "{problem}");
    assert_eq!(size_of(&above.path), SIZE);
    daemon.ask(call::stop(above.id, &StopRequest::default()));
    let problem = daemon.refused(call::resize(above.id, &ResizeRequest { size_bytes: SIZE }));
    assert_eq!(problem.code, ProblemCode::Conflict, "{problem}");
    daemon.stop();
    Outcome::Passed
}
