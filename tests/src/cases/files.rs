//! Rules on the sectors of a file: ext4 on the device, on a partition of it, and files that have no sectors.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use api::{DataPath, call};
use serde_json::Value;

use crate::client_io::{Aligned, Disk, errno};
use crate::daemon::{Daemon, shell};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};
use crate::programs::bvecctl;
use crate::scratch::Mounted;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "files::a_rule_is_on_the_files_sectors_and_no_others",
        on_device,
    ),
    Case::new("files::a_partition_is_known", on_partition),
    Case::new("files::a_file_that_moves_is_followed", followed),
    Case::new("files::what_has_no_sectors_is_refused", refused),
];

const SIZE: u64 = 32 << 20;

/// A file of these bytes, written out.
fn write(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
}

/// Reads a file past the page cache.
fn read_direct(path: &Path, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
    let mut memory = Aligned::new(len);
    file.read_exact_at(memory.bytes_mut(), offset)?;
    Ok(memory.bytes().to_vec())
}

/// The extents of a file, as `fault extents` tells them: sector and sectors each.
fn extents(daemon: &Daemon, path: &Path) -> Vec<(u64, u64)> {
    let words = ["--json", "fault", "extents", path.to_str().unwrap()];
    let said = bvecctl(&daemon.socket(), &words).good();
    let found: Value = serde_json::from_str(&said).unwrap();
    let extents = found["extents"].as_array().unwrap().iter();
    extents
        .map(|e| {
            (
                e["sector"].as_u64().unwrap(),
                e["sectors"].as_u64().unwrap(),
            )
        })
        .collect()
}

fn on_device() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let place = Mounted::ext4_on(&device.path);
    let (wal, other) = (place.path().join("wal"), place.path().join("other"));
    let bytes: Vec<u8> = (1..=128).flat_map(|sector| [sector; 512]).collect();
    write(&wal, &bytes);
    write(&other, &[7; 8192]);
    // What the file holds is what the device holds there.
    let disk = Disk::open(&device.path);
    let mut found = Vec::new();
    for (sector, sectors) in extents(&daemon, &wal) {
        found.extend(disk.read(sector * 512, usize::try_from(sectors * 512).unwrap()));
    }
    assert!(found == bytes, "the extents are not the file's");
    let name = wal.to_str().unwrap();
    let words = [
        "fault",
        "add",
        "wal",
        "fail:MEDIUM where op=read",
        "--file",
        name,
    ];
    let ran = bvecctl(&daemon.socket(), &words);
    assert!(ran.err.contains("lies on 128 sectors"), "{ran:?}");
    ran.good();
    assert_eq!(errno(read_direct(&wal, 0, 4096)), libc::ENODATA);
    assert_eq!(errno(read_direct(&wal, 61_440, 4096)), libc::ENODATA);
    assert_eq!(read_direct(&other, 0, 4096).unwrap(), [7; 4096]);
    daemon.ask(call::clear_rules(device.id));
    // A part of the file, and nothing of its neighbours.
    let words = [
        "fault",
        "add",
        "part",
        "fail where op=read",
        "--file",
        name,
        "--file-range",
        "8K+4K",
    ];
    bvecctl(&daemon.socket(), &words).good();
    assert_eq!(read_direct(&wal, 4096, 4096).unwrap(), bytes[4096..8192]);
    assert_eq!(errno(read_direct(&wal, 8192, 4096)), libc::EIO);
    assert_eq!(
        read_direct(&wal, 12_288, 4096).unwrap(),
        bytes[12_288..16_384]
    );
    daemon.ask(call::clear_rules(device.id));
    place.unmount();
    drop(disk);
    daemon.stop();
    Outcome::Passed
}

fn on_partition() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    // One partition of type Linux from sector 2048 on, in a table as DOS had it.
    let mut table = [0_u8; 512];
    table[450] = 0x83;
    table[454..458].copy_from_slice(&2048_u32.to_le_bytes());
    table[458..462].copy_from_slice(&32_768_u32.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    disk.write(0, &table);
    drop(disk);
    shell(&format!("blockdev --rereadpt {}", device.path));
    let partition = format!("{}p1", device.path);
    wait_for("the partition's node", || {
        Path::new(&partition).exists().then_some(())
    });
    let place = Mounted::ext4_on(&partition);
    let file = place.path().join("file");
    write(&file, &[9; 4096]);
    let words = ["fault", "extents", file.to_str().unwrap()];
    let said = bvecctl(&daemon.socket(), &words).good();
    assert!(said.contains("partition 1"), "{said}");
    let (sector, sectors) = extents(&daemon, &file)[0];
    assert!(sector >= 2048 && sectors == 8, "{sector}+{sectors}");
    let words = [
        "fault",
        "add",
        "p",
        "fail where op=read",
        "--file",
        file.to_str().unwrap(),
    ];
    bvecctl(&daemon.socket(), &words).good();
    assert_eq!(errno(read_direct(&file, 0, 4096)), libc::EIO);
    daemon.ask(call::clear_rules(device.id));
    let disk = Disk::open(&device.path);
    assert_eq!(disk.read(sector * 512, 4096), [9; 4096]);
    drop(disk);
    place.unmount();
    daemon.stop();
    Outcome::Passed
}

fn followed() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let place = Mounted::ext4_on(&device.path);
    let file = place.path().join("file");
    write(&file, &[1; 16_384]);
    let name = file.to_str().unwrap();
    let words = ["fault", "add", "f", "fail where op=read", "--file", name];
    bvecctl(&daemon.socket(), &words).good();
    let before = daemon.ask(call::rule(device.id, "f")).rule;
    let follow = ["fault", "follow", "f", "--file", name, "--once"];
    assert_eq!(
        bvecctl(&daemon.socket(), &follow).good(),
        "",
        "it has not moved"
    );
    // As editors and databases do it: another file in its place, while the old one is still open.
    let mut kept = File::open(&file).unwrap();
    write(&place.path().join("new"), &[2; 16_384]);
    fs::rename(place.path().join("new"), &file).unwrap();
    assert_eq!(read_direct(&file, 0, 4096).unwrap(), [2; 4096]);
    let said = bvecctl(&daemon.socket(), &follow).good();
    assert!(said.contains("f has moved from"), "{said}");
    let after = daemon.ask(call::rule(device.id, "f")).rule;
    assert_ne!(before.selector.lba, after.selector.lba);
    assert_eq!(errno(read_direct(&file, 0, 4096)), libc::EIO);
    // The old sectors are free again; they are in the cache only.
    kept.read_exact(&mut [0; 16]).unwrap();
    // And in the background, until it is told to end.
    let mut follower = crate::programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args([
            "fault",
            "follow",
            "f",
            "--file",
            name,
            "--interval",
            "100ms",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    daemon.ask(call::clear_rules(device.id));
    let status = wait_for("follow to end without its rule", || {
        follower.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(2));
    drop(kept);
    place.unmount();
    daemon.stop();
    Outcome::Passed
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let place = Mounted::ext4_on(&device.path);
    let hole = place.file("hole", 1 << 20);
    let elsewhere = Mounted::tmpfs(1 << 20);
    let other = elsewhere.file("file", 4096);
    let file = place.path().join("file");
    write(&file, &[1; 4096]);
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    for (path, words, more, must_say) in [
        (name(&hole), "fail", vec![], "only a hole"),
        (
            name(&other),
            "fail",
            vec![],
            "expected a file system on /dev/ublkbN",
        ),
        (
            name(&file),
            "fail where lba=8",
            vec![],
            "expected one of both",
        ),
        (name(&file), "fail", vec!["--dev", "7"], "--dev says 7"),
        (
            name(&file),
            "fail",
            vec!["--file-range", "1M+4K"],
            "only a hole",
        ),
        ("/none/such".to_owned(), "fail", vec![], "No such file"),
    ] {
        let mut all = vec!["fault", "add", "x", words, "--file", &path];
        all.extend(more);
        let said = bvecctl(&daemon.socket(), &all).ended_with(2);
        assert!(said.contains(must_say), "{path}: {said}");
    }
    assert_eq!(daemon.ask(call::rules(device.id)).rules, []);
    place.unmount();
    daemon.stop();
    Outcome::Passed
}
