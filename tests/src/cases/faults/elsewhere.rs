//! The actions that change bytes, on media that are no file: memory, and blocks with protection information.

use std::path::PathBuf;

use api::{
    DataPath, Device, DeviceConfig, EventKind, Integrity, ProtectionTag, TargetConfig, call,
};

use super::SIZE;
use crate::client_io::{Disk, errno};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome};

pub(super) const CASES: &[Case] = &[
    Case::new("faults::in_memory", in_memory),
    Case::new("faults::on_nothing", on_nothing),
    Case::new("faults::protected_data_is_damaged", damaged),
    Case::new("faults::protected_tags_are_damaged", tags),
    Case::new("faults::a_protected_write_is_torn", torn),
    Case::new("faults::a_protected_block_is_misdirected", misdirected),
];

const LEN: usize = 4096;

/// Reads with a rule, and without it afterwards.
fn under(daemon: &Daemon, device: &Device, rule: &str, work: impl FnOnce(&Disk)) {
    daemon.rule(device.id, "r", rule);
    let disk = Disk::open(&device.path);
    work(&disk);
    daemon.ask(call::heal(Some(device.id)));
}

/// Memory is copied without the ring, or reached through it, depending on the data path.
fn in_memory() -> Outcome {
    let daemon = Daemon::start();
    for path in super::PATHS {
        if daemon.lacks(path).is_some() {
            continue;
        }
        let device = daemon.add_ram(SIZE, path);
        let disk = Disk::open(&device.path);
        under(
            &daemon,
            &device,
            "torn:parts=2,persist=2 where op=write",
            |disk| {
                disk.write(0, &[1; LEN]);
            },
        );
        assert_eq!(disk.read(0, LEN)[..2048], [0; 2048], "{path}");
        assert_eq!(disk.read(0, LEN)[2048..], [1; 2048], "{path}");
        let rule = "corrupt:on=source,kind=set:77,at=512+8 where op=write";
        under(&daemon, &device, rule, |disk| disk.write(0, &[2; LEN]));
        let mut expected = vec![2; LEN];
        expected[512..520].fill(0x77);
        assert_eq!(disk.read(0, LEN), expected, "{path}");
        let rule = "corrupt:on=destination,kind=set:66,at=0+8 where op=read";
        under(&daemon, &device, rule, |disk| {
            assert_eq!(disk.read(0, LEN)[..8], [0x66; 8], "{path}");
        });
        under(&daemon, &device, "misdirect:to=+8 where op=write", |disk| {
            disk.write(0, &[3; LEN]);
        });
        assert_eq!(disk.read(0, LEN), expected, "{path}");
        assert_eq!(disk.read(4096, LEN), [3; LEN], "{path}");
        under(&daemon, &device, "drop where op=read", |disk| {
            assert_eq!(disk.read(4096, LEN), [0; LEN], "{path}");
        });
    }
    daemon.stop();
    Outcome::Passed
}

/// A medium that keeps nothing can still be lied about, and no request of it is lost.
fn on_nothing() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add(&config(
        TargetConfig::Null { size_bytes: SIZE },
        DataPath::Copy,
    ));
    let rule = "corrupt:on=destination,kind=set:66,at=0+8 where op=read";
    under(&daemon, &device, rule, |disk| {
        let read = disk.read(0, LEN);
        assert_eq!(
            (&read[..8], &read[8..]),
            (&[0x66; 8][..], &[0; LEN - 8][..])
        );
    });
    under(
        &daemon,
        &device,
        "torn:parts=2,persist=1 where op=write",
        |disk| {
            disk.write(0, &[1; LEN]);
        },
    );
    daemon.stop();
    Outcome::Passed
}

/// A protected device on a file of zeroes, each block of which has been written; none where the kernel has
/// none.
fn protected(daemon: &Daemon) -> Result<(Device, PathBuf), Outcome> {
    if let Some(why) = daemon.lacks_flag("INTEGRITY") {
        return Err(Outcome::NotApplicable(why));
    }
    let file = daemon.file(SIZE);
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let device = daemon.add(&DeviceConfig {
        integrity: Integrity::T10Crc,
        ..config(target, DataPath::Auto)
    });
    let disk = Disk::open(&device.path);
    for number in 0..4 {
        disk.write(number * 4096, &[0; LEN]);
    }
    Ok((device, file))
}

macro_rules! protected {
    ($daemon:expr) => {
        match protected(&$daemon) {
            Ok(protected) => protected,
            Err(outcome) => return outcome,
        }
    };
}

/// What a cable damages is found by the client's side, what the medium damages by ours.
fn damaged() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = protected!(daemon);
    let disk = Disk::open(&device.path);
    let rule = "corrupt:on=destination,kind=xor:01,at=700+1 where op=read";
    under(&daemon, &device, rule, |disk| {
        assert_eq!(errno(disk.try_read(0, LEN)), libc::EILSEQ);
    });
    assert_eq!(daemon.events(EventKind::IntegrityError), []);
    assert_eq!(disk.read(0, LEN), [0; LEN]);
    let rule = "corrupt:on=source,kind=xor:01,at=700+1 where op=write";
    under(&daemon, &device, rule, |disk| disk.write(0, &[5; LEN]));
    assert_eq!(errno(disk.try_read(0, LEN)), libc::EILSEQ);
    let found = daemon.events(EventKind::IntegrityError);
    let mismatch = found[0].mismatch.as_ref().unwrap();
    assert_eq!((mismatch.sector.0, mismatch.tag), (1, ProtectionTag::Guard));
    daemon.stop();
    Outcome::Passed
}

fn tags() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = protected!(daemon);
    let disk = Disk::open(&device.path);
    for tag in ["guard", "ref"] {
        under(
            &daemon,
            &device,
            &format!("pi:{tag} where op=read,lba=3"),
            |disk| {
                assert_eq!(errno(disk.try_read(0, LEN)), libc::EILSEQ, "{tag}");
            },
        );
        assert_eq!(disk.read(0, LEN), [0; LEN], "{tag}");
        under(
            &daemon,
            &device,
            &format!("pi:{tag} where op=write,lba=3"),
            |disk| {
                disk.write(0, &[5; LEN]);
            },
        );
        assert_eq!(errno(disk.try_read(0, LEN)), libc::EILSEQ, "{tag}");
        assert_eq!(disk.read(0, 512), [5; 512], "{tag}");
        disk.write(0, &[0; LEN]);
    }
    daemon.stop();
    Outcome::Passed
}

/// Blocks that reached the medium have their new tags, the others their old ones; a block that was torn
/// within itself is found.
fn torn() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = protected!(daemon);
    let disk = Disk::open(&device.path);
    under(
        &daemon,
        &device,
        "torn:parts=4,persist=1+3 where op=write",
        |disk| {
            disk.write(0, &[5; LEN]);
        },
    );
    let mut expected = vec![5; LEN];
    expected[1024..2048].fill(0);
    expected[3072..].fill(0);
    assert_eq!(disk.read(0, LEN), expected);
    let rule = "torn:bytes=100,persist=1,unit=byte where op=write";
    under(&daemon, &device, rule, |disk| disk.write(4096, &[6; LEN]));
    assert_eq!(errno(disk.try_read(4096, 512)), libc::EILSEQ);
    assert_eq!(disk.read(4096 + 512, LEN - 512), [0; LEN - 512]);
    assert_eq!(std::fs::read(file).unwrap()[4096..4196], [6; 100]);
    daemon.stop();
    Outcome::Passed
}

/// The tags go where the data goes: a block that is somewhere else says so.
fn misdirected() -> Outcome {
    let daemon = Daemon::start();
    let (device, _) = protected!(daemon);
    let disk = Disk::open(&device.path);
    under(
        &daemon,
        &device,
        "misdirect:to=+8 where op=read,lba=0+8",
        |disk| {
            assert_eq!(errno(disk.try_read(0, LEN)), libc::EILSEQ);
        },
    );
    under(
        &daemon,
        &device,
        "misdirect:to=+8 where op=write,lba=0+8",
        |disk| {
            disk.write(0, &[5; LEN]);
        },
    );
    assert_eq!(disk.read(0, LEN), [0; LEN]);
    assert_eq!(errno(disk.try_read(4096, LEN)), libc::EILSEQ);
    let found = daemon.events(EventKind::IntegrityError);
    let mismatch = found[0].mismatch.as_ref().unwrap();
    assert_eq!(mismatch.tag, ProtectionTag::Reference);
    daemon.stop();
    Outcome::Passed
}
