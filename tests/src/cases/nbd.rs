//! The second front door: devices that the kernel's NBD client makes. The loop, the rules and the holds are those of
//! every device; what is tested here is that they reach clients this way too, what NBD cannot do, and how such a device
//! ends.

mod actions;
mod ending;

use api::fault::Rule;
use api::{
    DataPath, Device, DeviceConfig, Driver, EventKind, ProblemCode, ReleaseRequest, TargetConfig,
    Which, call,
};

use crate::cases::conformance::{Keeps, Lane};
use crate::client_io::{Disk, errno, read_in_background};
use crate::daemon::{Daemon, shell};
use crate::filesystem::{FileSystem, Kind};
use crate::model::{Model, first_difference, pattern};
use crate::outcome::{Case, Outcome, need_program};
use crate::programs::bvecctl;

const SIZE: u64 = 4 << 20;

/// The tests.
pub(crate) fn cases() -> Vec<Case> {
    [CASES, actions::CASES, ending::CASES].concat()
}

const CASES: &[Case] = &[
    Case::new("nbd::ram_behaves_like_a_disk", || conforms(false, 512)).within(120),
    Case::new("nbd::a_file_behaves_like_a_disk", || conforms(true, 4096)).within(120),
    Case::new("nbd::holds_are_released_in_any_order", any_order),
    Case::new(
        "nbd::a_held_write_is_peeked_and_not_on_the_medium",
        held_write,
    ),
    Case::new("nbd::a_poke_arrives_with_the_answer", poked),
    Case::new("nbd::what_nbd_does_not_have_is_refused", refused),
    Case::new("nbd::it_is_shown_for_what_it_is", shown),
    Case::new("nbd::a_file_system_lives_on_it", file_system),
];

/// Ends the test as not applicable where the kernel has no NBD client.
macro_rules! need_nbd {
    ($daemon:expr) => {
        let drivers = $daemon.features().drivers;
        let nbd = drivers
            .into_iter()
            .find(|driver| driver.name == api::Driver::Nbd);
        if let Some(why) = nbd.unwrap().why {
            return crate::outcome::Outcome::NotApplicable(why);
        }
    };
}
use need_nbd;

fn config(target: TargetConfig) -> DeviceConfig {
    DeviceConfig {
        driver: Driver::Nbd,
        ..DeviceConfig::new(target)
    }
}

fn ram(daemon: &Daemon) -> Device {
    scanned(daemon.add(&config(TargetConfig::Ram { size_bytes: SIZE })))
}

/// The device, after the kernel has looked for partitions: the first who opens it makes it look, and a rule of
/// a test is not to meet that.
fn scanned(device: Device) -> Device {
    drop(Disk::open(&device.path));
    device
}

fn on_file(daemon: &Daemon) -> (Device, std::path::PathBuf) {
    let file = daemon.file(SIZE);
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    (scanned(daemon.add(&config(target))), file)
}

/// What the kernel says of a device in sysfs, as a number.
fn sysfs(device: &Device, file: &str) -> u64 {
    let name = device.path.trim_start_matches("/dev/");
    let text = std::fs::read_to_string(format!("/sys/block/{name}/{file}")).unwrap();
    text.trim().parse().unwrap()
}

fn conforms(on_a_file: bool, block: u32) -> Outcome {
    const LANES: usize = 4;
    const LANE_BYTES: usize = 1 << 20;
    const STEPS: usize = 250;
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let file = daemon.file(SIZE);
    let target = match on_a_file {
        false => TargetConfig::Ram { size_bytes: SIZE },
        true => TargetConfig::Loop {
            file: file.clone(),
            direct: false,
        },
    };
    let device = daemon.add(&DeviceConfig {
        logical_block_bytes: Some(block),
        ..config(target)
    });
    assert_eq!(sysfs(&device, "queue/logical_block_size"), u64::from(block));
    assert_eq!(sysfs(&device, "size") * 512, SIZE);
    let models = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                let (path, base) = (&device.path, (number * LANE_BYTES) as u64);
                let model = Model::new(LANE_BYTES, block, 71 + number as u64);
                scope.spawn(move || {
                    let lane = Lane::open(path, base, Keeps::Data, model, None);
                    lane.run(STEPS)
                        .unwrap_or_else(|what| panic!("lane {number}, {what}"))
                })
            })
            .collect();
        let models = lanes.into_iter().map(|lane| lane.join().unwrap());
        models.collect::<Vec<_>>()
    });
    let expected: Vec<u8> = models.iter().flat_map(Model::bytes).copied().collect();
    let found = Disk::open(&device.path).read(0, expected.len());
    assert_eq!(first_difference(&found, &expected), None, "the disk");
    if on_a_file {
        let below = std::fs::read(&file).unwrap();
        assert_eq!(first_difference(&below, &expected), None, "the backing");
    }
    let stats = daemon.ask(call::stats(device.id));
    let failed: u64 = stats.ops.iter().map(|op| op.errors).sum();
    assert_eq!(failed, 0, "{:?}", stats.ops);
    let came = |op| stats.ops.iter().find(|one| one.op == op).unwrap().ios;
    assert!(came(api::fault::Op::Read) > 0 && came(api::fault::Op::Discard) > 0);
    // Memory has no volatile cache, so it gets no flush.
    assert_eq!(came(api::fault::Op::Flush) > 0, on_a_file);
    daemon.stop();
    ending::nothing_is_left();
    Outcome::Passed
}

fn any_order() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let device = ram(&daemon);
    let disk = Disk::open(&device.path);
    for number in 0..4_u64 {
        disk.write(number * 4096, &pattern(number, 4096));
    }
    daemon.rule(device.id, "h", "hold where op=read when count=4");
    let mut readers: Vec<_> = (0..4_u64)
        .map(|number| Some(read_in_background(&device.path, number * 4096, 4096)))
        .collect();
    let holds = daemon.held(device.id, 4);
    for number in [2_usize, 0, 3, 1] {
        let sector = number as u64 * 8;
        let hold = holds.iter().find(|hold| hold.sector.0 == sector).unwrap();
        let hold_id = hold.hold_id;
        assert_eq!(daemon.release(device.id, Which::HoldId(hold_id)), [hold_id]);
        let reader = readers[number].take().unwrap();
        assert_eq!(
            reader.join().unwrap().unwrap(),
            pattern(number as u64, 4096)
        );
        let others = readers.iter().flatten();
        assert!(others.clone().all(|reader| !reader.is_finished()));
    }
    // The driver keeps a device for whoever has it open.
    drop(disk);
    daemon.stop();
    ending::nothing_is_left();
    Outcome::Passed
}

fn held_write() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let (device, file) = on_file(&daemon);
    daemon.rule(device.id, "h", "hold where op=write when count=1");
    let (disk, data) = (Disk::open(&device.path), pattern(5, 4096));
    let written = data.clone();
    let writer = std::thread::spawn(move || disk.try_write(8192, &written));
    let hold = daemon.held(device.id, 1)[0].clone();
    assert_eq!((hold.sector.0, hold.sectors), (16, 8));
    let seen = daemon.ask(call::peek(device.id, hold.hold_id, 0, u32::MAX));
    assert!(seen.data.0 == data, "not what is written");
    assert!(!seen.sees_later_changes, "the data came with the request");
    let medium = || std::fs::read(&file).unwrap()[8192..12288].to_vec();
    assert_eq!(medium(), [0; 4096], "it was written while held");
    daemon.release(device.id, Which::All);
    writer.join().unwrap().unwrap();
    assert!(medium() == data);
    daemon.stop();
    Outcome::Passed
}

fn poked() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let device = ram(&daemon);
    daemon.rule(device.id, "h", "hold where op=read when count=2");
    let reader = read_in_background(&device.path, 0, 4096);
    let hold = daemon.held(device.id, 1)[0].hold_id.to_string();
    let words = ["hold", "poke", &hold, "--fill", "0x41", "--bytes", "1K"];
    bvecctl(&daemon.socket(), &words).good();
    daemon.release(device.id, Which::All);
    let read = reader.join().unwrap().unwrap();
    assert!(read[..1024].iter().all(|byte| *byte == 0x41) && read[1024..] == [0; 3072]);
    // The client is told EIO whatever the status; the event has the status.
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let fail = Some("MEDIUM".parse().unwrap());
    let request = ReleaseRequest::of(Which::All).failing(fail);
    daemon.ask(call::release(device.id, &request));
    assert_eq!(errno(reader.join().unwrap()), libc::EIO);
    let ends = daemon.events(EventKind::Completed);
    assert_eq!(ends.last().unwrap().result, Some(-libc::ENODATA));
    daemon.stop();
    Outcome::Passed
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let target = TargetConfig::Ram { size_bytes: SIZE };
    let wrong = |change: fn(&mut DeviceConfig)| {
        let mut config = config(target.clone());
        change(&mut config);
        let problem = daemon.refused(call::add_device(&config));
        assert_eq!(problem.code, ProblemCode::InvalidField);
        problem.pointer.unwrap()
    };
    assert_eq!(wrong(|c| c.data_path = DataPath::UserCopy), "/data_path");
    assert_eq!(wrong(|c| c.recovery = api::Recovery::Queue), "/recovery");
    assert_eq!(wrong(|c| c.queues = 2), "/queues");
    let words = "dev add ram --size 4M --driver nbd --depth 4";
    let words: Vec<&str> = words.split(' ').collect();
    let told = bvecctl(&daemon.socket(), &words).ended_with(2);
    assert!(told.contains("--depth"), "{told}");
    let device = ram(&daemon);
    let short = Rule::parse("s", "short:sectors=1 where op=read").unwrap();
    let problem = daemon.refused(call::add_rule(device.id, &short));
    assert!(problem.detail.contains("carry it out"), "{problem}");
    // A held request is not answered in part either.
    daemon.rule(device.id, "h", "hold where op=read when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let request = ReleaseRequest {
        bytes: Some(512),
        ..ReleaseRequest::of(Which::All)
    };
    let problem = daemon.refused(call::release(device.id, &request));
    assert_eq!(problem.pointer.as_deref(), Some("/bytes"));
    daemon.release(device.id, Which::All);
    reader.join().unwrap().unwrap();
    // A number belongs to one device, whatever its driver.
    let again = DeviceConfig {
        id: Some(device.id),
        ..DeviceConfig::new(target.clone())
    };
    let problem = daemon.refused(call::add_device(&again));
    assert_eq!(problem.code, ProblemCode::Conflict);
    daemon.stop();
    ending::nothing_is_left();
    Outcome::Passed
}

fn shown() -> Outcome {
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let words = "dev add ram --size 4M --driver nbd --max-io 64K";
    let words: Vec<&str> = words.split(' ').collect();
    let line = bvecctl(&daemon.socket(), &words).good();
    assert!(line.contains("/dev/nbd"), "{line}");
    let list = bvecctl(&daemon.socket(), &["dev", "list"]).good();
    assert!(list.contains("/dev/nbd"), "{list}");
    let show = bvecctl(&daemon.socket(), &["dev", "show"]).good();
    assert!(show.contains("NBD client"), "{show}");
    let devices = daemon.ask(call::devices()).devices;
    let [device] = &devices[..] else {
        panic!("{devices:?}");
    };
    assert_eq!(
        (device.driver, device.data_path, device.queues, device.depth),
        (Driver::Nbd, DataPath::Copy, 1, 128)
    );
    assert_eq!(device.max_io_bytes, 64 << 10);
    assert_eq!(sysfs(device, "queue/max_sectors_kb"), 64);
    assert_eq!(
        u64::from(device.limits.max_segments),
        sysfs(device, "queue/max_segments")
    );
    // Longer than one request: it comes in parts.
    let disk = Disk::open(&device.path);
    let data = pattern(3, 256 << 10);
    disk.write(0, &data);
    assert!(disk.read(0, data.len()) == data);
    let features = bvecctl(&daemon.socket(), &["features"]).good();
    assert!(features.contains("--driver nbd"), "{features}");
    daemon.stop();
    Outcome::Passed
}

fn file_system() -> Outcome {
    need_program!("mkfs.ext4");
    let daemon = Daemon::start();
    need_nbd!(daemon);
    let size_bytes = 32 << 20;
    let device = daemon.add(&config(TargetConfig::Ram { size_bytes }));
    let data = pattern(9, 1 << 20);
    let mounted = FileSystem::make(Kind::EXT4, &device.path);
    std::fs::write(mounted.path().join("file"), &data).unwrap();
    drop(mounted);
    shell(&format!("fsck.ext4 -n -f {} 2>&1", device.path));
    let mounted = FileSystem::mount(Kind::EXT4, &device.path);
    assert!(std::fs::read(mounted.path().join("file")).unwrap() == data);
    drop(mounted);
    daemon.stop();
    ending::nothing_is_left();
    Outcome::Passed
}
