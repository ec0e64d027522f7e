//! Devices with protection information.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use api::{
    DataPath, Device, DeviceConfig, Event, EventKind, Integrity, ProblemCode, ProtectionTag,
    TargetConfig, call,
};

use crate::client_io::{Aligned, Disk, errno};
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome};
use crate::sys::protected_io;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "protection::the_block_layer_verifies_what_it_wrote",
        verified,
    ),
    Case::new(
        "protection::a_flipped_bit_of_the_data_is_named",
        flipped_data,
    ),
    Case::new("protection::a_flipped_bit_of_a_tag_is_named", flipped_tag),
    Case::new("protection::a_misplaced_block_is_named", misplaced),
    Case::new("protection::what_is_discarded_is_not_checked", discarded),
    Case::new("protection::tags_outlive_the_daemon", outlives),
    Case::new("protection::a_wrong_tag_of_a_client_is_found", wrong_source),
    Case::new("protection::what_cannot_be_protected_says_why", refusals),
];

const SIZE: usize = 8 << 20;

/// Ends the test as not applicable on kernels without protection information.
macro_rules! need_integrity {
    ($daemon:expr) => {
        let features = $daemon.features();
        let flag = features.flags.iter().find(|flag| flag.name == "INTEGRITY");
        if !flag.is_some_and(|flag| flag.offered) {
            let why = "the driver has no INTEGRITY (kernel < 7.0, or CONFIG_BLK_DEV_INTEGRITY off)";
            return Outcome::NotApplicable(why.into());
        }
    };
}

fn protected(target: TargetConfig) -> DeviceConfig {
    DeviceConfig {
        integrity: Integrity::T10Crc,
        ..config(target, DataPath::Auto)
    }
}

/// A protected device on a file, and the file.
fn on_file(daemon: &Daemon) -> (Device, std::path::PathBuf) {
    let file = daemon.file(SIZE as u64);
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    (daemon.add(&protected(target)), file)
}

fn tags(file: &Path) -> File {
    let mut name = file.as_os_str().to_owned();
    name.push(".pi");
    opened(name.as_ref())
}

/// A file below a device, to be looked at and damaged.
fn opened(file: &Path) -> File {
    File::options().read(true).write(true).open(file).unwrap()
}

fn attribute(device: &Device, name: &str) -> String {
    let path = format!("/sys/block/ublkb{}/integrity/{name}", device.id);
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn set_attribute(device: &Device, name: &str, value: &str) {
    let path = format!("/sys/block/ublkb{}/integrity/{name}", device.id);
    std::fs::write(path, value).unwrap();
}

fn mismatches(daemon: &Daemon) -> Vec<Event> {
    let events = daemon.client.events(None, false).unwrap();
    events
        .map(Result::unwrap)
        .filter(|event| event.kind == EventKind::IntegrityError)
        .collect()
}

/// On every target: what was written comes back with its tags, which the kernel checks; the kernel's own
/// check is shown to bite by `flipped_tag`.
fn verified() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let size_bytes = SIZE as u64;
    let file = daemon.file(size_bytes);
    for target in [
        TargetConfig::Ram { size_bytes },
        TargetConfig::Loop {
            file,
            direct: false,
        },
    ] {
        for logical in [512, 4096] {
            let device = daemon.add(&DeviceConfig {
                logical_block_bytes: Some(logical),
                ..protected(target.clone())
            });
            assert_eq!(device.data_path, DataPath::UserCopy);
            assert_eq!(attribute(&device, "format"), "T10-DIF-TYPE1-CRC");
            assert_eq!(attribute(&device, "read_verify"), "1");
            assert_eq!(attribute(&device, "write_generate"), "1");
            let disk = Disk::open(&device.path);
            for (number, len) in [4096, 65536, 524_288, 12288, 1 << 20]
                .into_iter()
                .enumerate()
            {
                let at = number as u64 * (1 << 20);
                disk.write(at, &pattern(at, len));
                assert_eq!(disk.read(at, len), pattern(at, len));
            }
            // A part of what one request wrote, and a place that was never written.
            assert_eq!(
                disk.read(4 << 20 | 8192, 4096),
                pattern(4 << 20, 1 << 20)[8192..12288]
            );
            assert_eq!(disk.read(7 << 20, 65536), [0; 65536]);
            drop(disk);
            assert_eq!(daemon.ask(call::stats(device.id)).integrity_errors, 0);
            daemon.ask(call::delete_device(device.id));
            // The tags of blocks of another size are not those of this one.
            if let TargetConfig::Loop { file, .. } = &target {
                tags(file).set_len(0).unwrap();
            }
        }
    }
    let null = daemon.add(&protected(TargetConfig::Null { size_bytes }));
    let disk = Disk::open(&null.path);
    disk.write(0, &pattern(1, 65536));
    assert_eq!(disk.read(0, 65536), [0; 65536]);
    assert_eq!(mismatches(&daemon).len(), 0);
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// A bit of the stored data, flipped behind the device's back.
fn flipped_data() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 65536));
    flip(&opened(&file), 12345);
    assert_eq!(errno(disk.try_read(0, 65536)), libc::EILSEQ);
    let found = mismatches(&daemon);
    let wrong = found[0].mismatch.unwrap();
    assert_eq!(
        (wrong.sector.0, wrong.tag),
        (12345 / 512, ProtectionTag::Guard)
    );
    assert_ne!(wrong.expected, wrong.found);
    assert_eq!(found[0].result, Some(-libc::EILSEQ));
    assert_eq!(found[0].device, Some(device.id));
    // Its neighbours are well, and writing the block again heals it.
    assert_eq!(disk.read(0, 12288), pattern(1, 65536)[..12288]);
    disk.write(12288, &pattern(1, 65536)[12288..16384]);
    assert_eq!(disk.read(0, 65536), pattern(1, 65536));
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// A bit of a stored tag.
fn flipped_tag() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 65536));
    // Block 5: the low byte of its guard, then of its reference.
    for (at, tag) in [(1, ProtectionTag::Guard), (7, ProtectionTag::Reference)] {
        flip(&tags(&file), 5 * 8 + at);
        assert_eq!(errno(disk.try_read(0, 65536)), libc::EILSEQ);
        let wrong = mismatches(&daemon).pop().unwrap().mismatch.unwrap();
        assert_eq!((wrong.sector.0, wrong.tag), (5, tag));
        assert_eq!(wrong.expected ^ 1, wrong.found);
        flip(&tags(&file), 5 * 8 + at);
    }
    assert_eq!(disk.read(0, 65536), pattern(1, 65536));
    // Also where the block layer does not ask for tags.
    set_attribute(&device, "read_verify", "0");
    flip(&tags(&file), 5 * 8);
    assert_eq!(errno(disk.try_read(0, 65536)), libc::EILSEQ);
    // A block layer that makes none: bvecd does, so that the block is protected from then on.
    set_attribute(&device, "write_generate", "0");
    disk.write(0, &pattern(2, 65536));
    set_attribute(&device, "read_verify", "1");
    assert_eq!(disk.read(0, 65536), pattern(2, 65536));
    flip(&opened(&file), 0);
    assert_eq!(errno(disk.try_read(0, 4096)), libc::EILSEQ);
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// A block and its tags in the place of another: only the reference tag tells.
fn misplaced() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 65536));
    let backing = opened(&file);
    for (file, len) in [(&backing, 512), (&tags(&file), 8)] {
        let mut block = vec![0; len];
        file.read_exact_at(&mut block, 3 * len as u64).unwrap();
        file.write_all_at(&block, 4 * len as u64).unwrap();
    }
    assert_eq!(errno(disk.try_read(0, 65536)), libc::EILSEQ);
    let wrong = mismatches(&daemon)[0].mismatch.unwrap();
    assert_eq!((wrong.sector.0, wrong.tag), (4, ProtectionTag::Reference));
    assert_eq!((wrong.expected, wrong.found), (4, 3));
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// A client brings its own tags: right ones are kept whole, wrong ones are found before anything is stored.
fn wrong_source() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, _) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    let mut memory = Aligned::new(1024);
    // The guard of zeroes is zero; the application tag is the client's own.
    let right = [0, 0, 0xbe, 0xef, 0, 0, 0, 16, 0, 0, 0xca, 0xfe, 0, 0, 0, 17];
    let (at, blocks) = (16 * 512, memory.bytes_mut());
    assert_eq!(
        protected_io(&disk.file, true, at, blocks, &mut right.clone()),
        1024
    );
    let mut kept = [0; 16];
    blocks.fill(1);
    assert_eq!(protected_io(&disk.file, false, at, blocks, &mut kept), 1024);
    assert_eq!((kept, &*blocks), (right, [0; 1024].as_slice()));
    assert_eq!(mismatches(&daemon).len(), 0);
    blocks.fill(0);
    let mut wrong = right;
    wrong[8] = 0x12;
    let answer = protected_io(&disk.file, true, at, blocks, &mut wrong);
    assert_eq!(answer, -libc::EILSEQ);
    let found = mismatches(&daemon);
    let mismatch = found[0].mismatch.unwrap();
    assert_eq!(
        (mismatch.sector.0, mismatch.tag),
        (17, ProtectionTag::Guard)
    );
    assert_eq!((mismatch.expected, mismatch.found), (0, 0x1200));
    assert_eq!(found[0].op, Some(api::fault::Op::Write));
    // Nothing of it was stored.
    blocks.fill(1);
    assert_eq!(protected_io(&disk.file, false, at, blocks, &mut kept), 1024);
    assert_eq!((kept, &*blocks), (right, [0; 1024].as_slice()));
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn discarded() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 65536));
    crate::sys::discard(&disk.file, 8192, 16384).unwrap();
    assert_eq!(disk.read(8192, 16384), [0; 16384]);
    let backing = opened(&file);
    flip(&backing, 8192);
    assert_eq!(
        disk.read(8192, 4096)[0],
        1,
        "a discarded block is not checked"
    );
    // What lies around it is.
    flip(&backing, 8191);
    assert_eq!(errno(disk.try_read(4096, 4096)), libc::EILSEQ);
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

/// The tags of a file are found again by the next daemon.
fn outlives() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let (device, file) = on_file(&daemon);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(1, 65536));
    disk.file.sync_data().unwrap();
    drop(disk);
    daemon.ask(call::delete_device(device.id));
    let next = Daemon::start();
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let device = next.add(&protected(target));
    let disk = Disk::open(&device.path);
    assert_eq!(disk.read(0, 65536), pattern(1, 65536));
    flip(&opened(&file), 4096);
    assert_eq!(errno(disk.try_read(4096, 4096)), libc::EILSEQ);
    drop(disk);
    next.stop();
    daemon.stop();
    Outcome::Passed
}

fn refusals() -> Outcome {
    let daemon = Daemon::start();
    need_integrity!(daemon);
    let size_bytes = SIZE as u64;
    let copying = DeviceConfig {
        data_path: DataPath::Copy,
        ..protected(TargetConfig::Ram { size_bytes })
    };
    let problem = daemon.refused(call::add_device(&copying));
    assert_eq!(problem.code, ProblemCode::InvalidField);
    assert_eq!(problem.pointer.as_deref(), Some("/data_path"));
    let below = daemon.add_ram(size_bytes, DataPath::Copy);
    let on_disk = protected(TargetConfig::Loop {
        file: below.path.into(),
        direct: false,
    });
    let problem = daemon.refused(call::add_device(&on_disk));
    assert_eq!(problem.pointer.as_deref(), Some("/integrity"));
    daemon.stop();
    Outcome::Passed
}
