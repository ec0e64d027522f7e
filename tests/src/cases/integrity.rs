//! What a disk must do beyond the conformance table.

use api::{DataPath, TargetConfig};

use crate::client_io::Disk;
use crate::daemon::{Daemon, config, shell};
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "integrity::null_forgets_failed_writes_too",
        null_forgets_failures,
    ),
    Case::new(
        "integrity::null_reads_zeroes_and_never_foreign_data",
        null_reads_zeroes,
    ),
    Case::new("integrity::discard_reads_zero", discard_reads_zero),
    Case::new("integrity::fio_verifies_on_every_data_path", fio_verifies).within(90),
];

const SIZE: usize = 8 << 20;

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
