//! Every target on every data path behaves like a disk.

use api::{DataPath, TargetConfig};

use crate::client_io::Disk;
use crate::daemon::{Daemon, config, shell};
use crate::model::{Model, Step, first_difference, pattern};
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "integrity::null_forgets_failed_writes_too",
        null_forgets_failures,
    ),
    Case::new("integrity::loop_copy", || on_loop(DataPath::Copy)),
    Case::new("integrity::loop_user_copy", || on_loop(DataPath::UserCopy)),
    Case::new("integrity::loop_auto_zero_copy", || {
        on_loop(DataPath::AutoZeroCopy)
    }),
    Case::new("integrity::ram_copy", || on_ram(DataPath::Copy)),
    Case::new("integrity::ram_user_copy", || on_ram(DataPath::UserCopy)),
    Case::new("integrity::ram_auto_zero_copy", || {
        on_ram(DataPath::AutoZeroCopy)
    }),
    Case::new("integrity::loop_on_a_block_device_direct_copy", || {
        on_direct(DataPath::Copy)
    }),
    Case::new("integrity::loop_on_a_block_device_direct_user_copy", || {
        on_direct(DataPath::UserCopy)
    }),
    Case::new(
        "integrity::loop_on_a_block_device_direct_auto_zero_copy",
        || on_direct(DataPath::AutoZeroCopy),
    ),
    Case::new(
        "integrity::null_reads_zeroes_and_never_foreign_data",
        null_reads_zeroes,
    ),
    Case::new(
        "integrity::the_model_finds_a_planted_difference",
        planted_difference,
    ),
    Case::new("integrity::discard_reads_zero", discard_reads_zero),
    Case::new("integrity::fio_verifies_on_every_data_path", fio_verifies).within(90),
];

const SIZE: usize = 8 << 20;
const STEPS: usize = 400;

fn on_loop(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, file) = daemon.add_loop(SIZE as u64, path);
    let model = follow_model(&device.path, 11);
    let backing = std::fs::read(&file).unwrap();
    assert_eq!(
        first_difference(model.bytes(), &backing),
        None,
        "the backing file differs"
    );
    daemon.stop();
    Outcome::Passed
}

fn on_ram(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let device = daemon.add_ram(SIZE as u64, path);
    follow_model(&device.path, 12);
    daemon.stop();
    Outcome::Passed
}

/// The backing is a second device of ours, opened with O_DIRECT: the alignment that it needs must have
/// reached the first one.
fn on_direct(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let below = daemon.add_ram(SIZE as u64, DataPath::Copy);
    let target = TargetConfig::Loop {
        file: below.path.clone().into(),
        direct: true,
    };
    let device = daemon.add(&config(target, path));
    let model = follow_model(&device.path, 13);
    let backing = Disk::open(&below.path).read(0, SIZE);
    assert_eq!(
        first_difference(model.bytes(), &backing),
        None,
        "the backing device differs"
    );
    daemon.stop();
    Outcome::Passed
}

/// Runs the same random steps on a device and on the model, and compares every read.
fn follow_model(path: &str, seed: u64) -> Model {
    let disk = Disk::open(path);
    let mut model = Model::new(SIZE, seed);
    for number in 0..STEPS {
        let step = model.next_step();
        match step {
            Step::Read { offset, len } => {
                let read = disk.read(offset, len);
                let differs = first_difference(&read, model.part(offset, len));
                assert_eq!(differs, None, "step {number}: {step:?}, seed {seed}");
            }
            Step::Write { offset, len, fill } => disk.write(offset, &pattern(fill, len)),
            Step::Flush => disk.file.sync_data().unwrap(),
            Step::Discard { offset, len } => {
                shell(&format!("blkdiscard -o {offset} -l {len} {path}"));
            }
            Step::Zero { offset, len } => {
                // ZERO_RANGE becomes write zeroes with NOUNMAP, PUNCH_HOLE the kind that may unmap.
                let punch = number % 2 == 0;
                let mode = if punch {
                    libc::FALLOC_FL_PUNCH_HOLE
                } else {
                    libc::FALLOC_FL_ZERO_RANGE
                };
                let mode =
                    nix::fcntl::FallocateFlags::from_bits_retain(mode | libc::FALLOC_FL_KEEP_SIZE);
                let (offset, len) = (offset.try_into().unwrap(), len.try_into().unwrap());
                nix::fcntl::fallocate(&disk.file, mode, offset, len)
                    .unwrap_or_else(|error| panic!("step {number}: {step:?}: {error}"));
            }
        }
        model.apply(step);
    }
    let all = disk.read(0, SIZE);
    assert_eq!(
        first_difference(&all, model.bytes()),
        None,
        "at the end, seed {seed}"
    );
    model
}

/// The comparison bites: one flipped bit on the medium, behind the device's back, is found.
fn planted_difference() -> Outcome {
    use std::os::unix::fs::FileExt;
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE as u64, DataPath::Copy);
    let model = follow_model(&device.path, 14);
    let backing = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    let place = 3_333_333;
    backing
        .write_all_at(&[model.bytes()[place] ^ 1], place as u64)
        .unwrap();
    let read = Disk::open(&device.path).read(0, SIZE);
    assert_eq!(first_difference(&read, model.bytes()), Some(place));
    daemon.stop();
    Outcome::Passed
}

fn null_reads_zeroes() -> Outcome {
    let daemon = Daemon::start();
    for path in [DataPath::Copy, DataPath::UserCopy] {
        need_data_path!(daemon, path);
        let target = TargetConfig::Null {
            size_bytes: SIZE as u64,
        };
        let device = daemon.add(&config(target, path));
        let disk = Disk::open(&device.path);
        for round in 0..200_u64 {
            // Lengths alternate, so that a tag's memory is often filled further than the next read.
            let len = if round % 3 == 0 { 65536 } else { 4096 };
            disk.write(round * 8192, &pattern(round, len));
            let read = disk.read(round * 4096, if round % 2 == 0 { 4096 } else { 131_072 });
            assert!(
                read.iter().all(|byte| *byte == 0),
                "round {round}: foreign data"
            );
        }
        drop(disk);
        daemon.ask(api::call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// On `copy` the driver fills a tag's memory before the rules see the request: a write that they fail
/// must not be read by the next client.
fn null_forgets_failures() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Null {
        size_bytes: SIZE as u64,
    };
    let one_tag = api::DeviceConfig {
        depth: 1,
        ..config(target, DataPath::Copy)
    };
    let device = daemon.add(&one_tag);
    daemon.rule(device.id, "no", "fail where op=write");
    let disk = Disk::open(&device.path);
    assert!(disk.try_write(0, &pattern(1, 4096)).is_err());
    assert!(
        disk.read(0, 4096).iter().all(|byte| *byte == 0),
        "foreign data"
    );
    daemon.stop();
    Outcome::Passed
}

fn discard_reads_zero() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE as u64, DataPath::Copy);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 1 << 20));
    shell(&format!("blkdiscard -o 65536 -l 131072 {}", device.path));
    assert!(disk.read(65536, 131_072).iter().all(|byte| *byte == 0));
    assert_eq!(
        disk.read(0, 65536),
        pattern(1, 1 << 20)[..65536],
        "the discard reached too far"
    );
    let stats = daemon.ask(api::call::stats(device.id));
    let discards = stats
        .ops
        .iter()
        .find(|op| op.op == api::fault::Op::Discard)
        .unwrap();
    assert!(
        discards.ios >= 1,
        "no discard reached the daemon: {discards:?}"
    );
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&file).unwrap());
    assert!(
        blocks <= (1 << 20) / 512 - 131_072 / 512,
        "the backing still has the blocks: {blocks}"
    );
    daemon.stop();
    Outcome::Passed
}

fn fio_verifies() -> Outcome {
    crate::outcome::need_program!("fio");
    let daemon = Daemon::start();
    let mut tried = 0;
    for path in [DataPath::Copy, DataPath::UserCopy, DataPath::AutoZeroCopy] {
        if daemon.lacks(path).is_some() {
            continue;
        }
        let (device, _) = daemon.add_loop(32 << 20, path);
        shell(&format!(
            "fio --name=v --filename={} --direct=1 --ioengine=io_uring --iodepth=16 --rw=randwrite \
             --bsrange=512-128k --blockalign=512 --size=8M --verify=crc32c --do_verify=1 --verify_fatal=1 \
             --output=/dev/null",
            device.path
        ));
        daemon.ask(api::call::delete_device(device.id));
        tried += 1;
    }
    assert!(tried >= 1);
    daemon.stop();
    Outcome::Passed
}
