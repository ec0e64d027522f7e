//! What fsync(2) reports when writeback fails, and what is left afterwards: the questions of "Can
//! Applications Recover from fsync Failures?" (USENIX ATC 2020), asked of the kernel under test.
//!
//! A file of As is on the medium. Its bytes are overwritten with Bs through the page cache, and writing
//! them fails with a medium error. Then: what do the first fsync, a second one and one by another open
//! file report; what does a reader see while the pages are cached; does fsync report anything after the
//! fault is over; what is on the medium; can the file system still be used?

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use api::DataPath;
use api::call;
use api::fault::Status;

use crate::daemon::{Daemon, shell};
use crate::filesystem::{FileSystem, Kind, forget, sectors_of};
use crate::outcome::{Case, Outcome, need_program};

/// Above the least that mkfs.xfs accepts, 300 MiB.
const SIZE: u64 = 320 << 20;
const FILE_BYTES: usize = 64 << 10;

/// Which writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Those to the sectors that the file has.
    ItsSectors,
    /// Those of data, wherever it is put: a file system that copies on write has no place for them yet. Metadata
    /// comes with REQ_META, superblocks too (`btree_writepages`, `write_dev_supers`, fs/btrfs).
    Data,
    /// All of the device.
    Every,
}

/// A row of the table in docs/fsync.md.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    kind: Kind,
    fault: Fault,
    status: Status,
    /// What is expected, in the order of [`ask`]; alternatives where the kernel's threads race.
    expected: &'static [&'static str],
    /// The same of Linux 6.12, where it differs; measured on 6.12.117, 7.2.12 and 7.3.4, none between.
    on_6_12: Option<&'static [&'static str]>,
}

const DATA_ERR_ABORT: Kind = Kind {
    mount: "-t ext4 -o data_err=abort",
    ..Kind::EXT4
};
const DATA_JOURNAL: Kind = Kind {
    mount: "-t ext4 -o data=journal",
    ..Kind::EXT4
};
const NODATACOW: Kind = Kind {
    mount: "-t btrfs -o nodatacow",
    ..Kind::BTRFS
};

const ROWS: [Row; 12] = [
    Row {
        name: "filesystems::fsync_ext4_ordered",
        kind: Kind::EXT4,
        fault: Fault::ItsSectors,
        status: Status::Ioerr,
        expected: &["EIO 0 EIO B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_ext4_data_err_abort",
        kind: DATA_ERR_ABORT,
        fault: Fault::ItsSectors,
        status: Status::Ioerr,
        expected: &[
            "EIO 0 EIO B EROFS A unusable",
            "EIO EIO EIO B EROFS A unusable",
        ],
        on_6_12: Some(&["EIO 0 EIO B 0 A usable"]),
    },
    Row {
        name: "filesystems::fsync_ext4_data_journal",
        kind: DATA_JOURNAL,
        fault: Fault::ItsSectors,
        status: Status::Ioerr,
        expected: &["EIO 0 EIO B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_xfs",
        kind: Kind::XFS,
        fault: Fault::ItsSectors,
        status: Status::Ioerr,
        expected: &["EIO 0 EIO B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_btrfs_cow",
        kind: Kind::BTRFS,
        fault: Fault::Data,
        status: Status::Ioerr,
        expected: &["EIO 0 EIO B 0 A usable", "EIO EIO EIO B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_btrfs_nodatacow",
        kind: NODATACOW,
        fault: Fault::ItsSectors,
        status: Status::Ioerr,
        expected: &["EIO 0 EIO B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_ext4_medium",
        kind: Kind::EXT4,
        fault: Fault::ItsSectors,
        status: Status::Medium,
        expected: &["ENODATA 0 ENODATA B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_xfs_medium",
        kind: Kind::XFS,
        fault: Fault::ItsSectors,
        status: Status::Medium,
        expected: &["ENODATA 0 ENODATA B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_btrfs_nodatacow_medium",
        kind: NODATACOW,
        fault: Fault::ItsSectors,
        status: Status::Medium,
        expected: &["EIO 0 ENODATA B 0 A usable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_ext4_every_write",
        kind: Kind::EXT4,
        fault: Fault::Every,
        status: Status::Ioerr,
        expected: &["EIO EIO EIO B EROFS A unusable"],
        on_6_12: Some(&["EIO EIO EIO B EIO EIO unusable"]),
    },
    Row {
        name: "filesystems::fsync_xfs_every_write",
        kind: Kind::XFS,
        fault: Fault::Every,
        status: Status::Ioerr,
        expected: &["EIO EIO EIO EIO EIO EIO unusable"],
        on_6_12: None,
    },
    Row {
        name: "filesystems::fsync_btrfs_every_write",
        kind: Kind::BTRFS,
        fault: Fault::Every,
        status: Status::Ioerr,
        expected: &[
            "EIO EIO EROFS B EROFS EIO unusable",
            "EIO EIO EIO B EROFS EIO unusable",
            "EIO EIO EROFS B 0 EIO unusable",
            "EIO EIO EIO B 0 EIO unusable",
        ],
        on_6_12: None,
    },
];

pub(super) fn cases() -> impl Iterator<Item = Case> {
    ROWS.into_iter()
        .map(|row| Case::made(row.name.to_owned(), move || run(row)).within(120))
}

fn run(row: Row) -> Outcome {
    for program in row.kind.programs {
        need_program!(program);
    }
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let mounted = FileSystem::make(row.kind, &device.path);
    let path = mounted.file("victim", &[b'A'; FILE_BYTES]);
    let words = match row.fault {
        Fault::ItsSectors => format!(
            "fail:{} where op=write,lba={}",
            row.status,
            sectors_of(&path)
        ),
        Fault::Data => format!("fail:{} where op=write,flags=!meta", row.status),
        Fault::Every => format!("fail:{} where op=write", row.status),
    };
    let answers = ask(
        &path,
        &mounted,
        || {
            daemon.rule(device.id, "bad", &words);
        },
        || {
            daemon.ask(call::heal(Some(device.id)));
        },
    );
    mounted.unmount();
    daemon.stop();
    let release = shell("uname -r");
    let expected = match row.on_6_12 {
        Some(expected) if release.starts_with("6.") => expected,
        _ => row.expected,
    };
    assert!(
        expected.contains(&answers.as_str()),
        "{}: found `{answers}`, expected {expected:?}; on Linux {}",
        row.name,
        release.trim(),
    );
    Outcome::Passed
}

/// Asks everything in turn: the first fsync, the second, that of another open file, the bytes in the
/// cache, fsync after the fault, the bytes on the medium, whether the file system is usable.
fn ask(path: &Path, mounted: &FileSystem, begin: impl FnOnce(), end: impl FnOnce()) -> String {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    };
    let (writer, other) = (open(), open());
    begin();
    writer.write_all_at(&[b'B'; FILE_BYTES], 0).unwrap();
    let first = told(writer.sync_all());
    let second = told(writer.sync_all());
    let elsewhere = told(other.sync_all());
    let cached = seen(&writer);
    end();
    let healed = told(writer.sync_all());
    forget(&writer);
    let medium = seen(&writer);
    let usable = match mounted.is_usable() {
        true => "usable",
        false => "unusable",
    };
    [
        &first, &second, &elsewhere, &cached, &healed, &medium, usable,
    ]
    .join(" ")
}

fn told(result: io::Result<()>) -> String {
    match result {
        Ok(()) => "0".to_owned(),
        Err(error) => name_of(&error),
    }
}

/// The file's bytes as a letter, if they are all the same.
fn seen(file: &File) -> String {
    let mut bytes = vec![0; FILE_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) => name_of(&error),
        Ok(()) if bytes.iter().all(|byte| *byte == bytes[0]) => char::from(bytes[0]).to_string(),
        Ok(()) => "mixed".to_owned(),
    }
}

fn name_of(error: &io::Error) -> String {
    let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
    format!("{errno:?}")
}
