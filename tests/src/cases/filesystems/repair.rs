//! Mirrors that repair a bad sector from their other half: the sector heals because it is written.
//!
//! Reads of some sectors of one half fail with a medium error until they are written (`badmap`). The
//! mirror must give the right bytes all the same, write them to the bad half, and find them there.

use api::fault::Counters;
use api::{DataPath, Device, call};

use crate::client_io::Disk;
use crate::daemon::{Daemon, shell};
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_program};

pub(super) const CASES: &[Case] =
    &[Case::new("filesystems::md_raid1_repairs_a_medium_error", md).within(120)];

const MD: &str = "/dev/md/bvecd";

/// A mirror of md, gone when the test ends.
struct Mirror;

impl Mirror {
    /// The first half is read; the second is `write-mostly`, read only when the first fails.
    fn create(first: &Device, second: &Device) -> Self {
        shell(&format!(
            "mdadm --create {MD} --run --assume-clean --level=1 --metadata=1.2 --raid-devices=2 \
             --bitmap=none {} --write-mostly {} 2>&1",
            first.path, second.path
        ));
        Self
    }

    fn stop(self) {
        shell(&format!("mdadm --stop {MD} 2>&1"));
        std::mem::forget(self);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let line = format!("mdadm --stop {MD}");
        let _ = std::process::Command::new("sh")
            .arg("-c")
            .arg(line)
            .status();
    }
}

fn md() -> Outcome {
    need_program!("mdadm");
    let daemon = Daemon::start();
    let halves = [0, 1].map(|_| daemon.add_ram(64 << 20, DataPath::Copy));
    let mirror = Mirror::create(&halves[0], &halves[1]);
    let bytes = pattern(7, 64 << 10);
    let place = 1 << 20;
    let disk = Disk::open(MD);
    disk.write(place, &bytes);
    // Where the mirror's data begins on each half (Documentation/admin-guide/md.rst).
    let name = std::fs::canonicalize(MD).unwrap();
    let name = name.file_name().unwrap().to_string_lossy().into_owned();
    let offset = std::fs::read_to_string(format!("/sys/block/{name}/md/rd0/offset")).unwrap();
    let bad = offset.trim().parse::<u64>().unwrap() + place / 512 + 16;
    daemon.rule(
        halves[0].id,
        "bad",
        &format!("badmap(heal=write) where lba={bad}+2"),
    );
    assert_eq!(
        disk.read(place, bytes.len()),
        bytes,
        "the other half has it"
    );
    assert_met(&counters(&daemon, &halves[0]));
    let half = Disk::open(&halves[0].path);
    let on_it = half.read(bad / 8 * 8 * 512, 4096);
    let within = usize::try_from(bad / 8 * 8 * 512 - (bad - 16) * 512).unwrap();
    assert_eq!(on_it, bytes[within..within + 4096], "it was written anew");
    assert_eq!(disk.read(place, bytes.len()), bytes);
    drop((disk, half));
    mirror.stop();
    daemon.stop();
    Outcome::Passed
}

fn counters(daemon: &Daemon, device: &Device) -> Counters {
    daemon.ask(call::rules(device.id)).rules[0].counters
}

/// Some read met a bad sector: without that nothing was repaired.
fn assert_met(counters: &Counters) {
    assert!(counters.fired > 0, "no bad sector was met: {counters:?}");
}
