//! `bvecctl fault import`: what other tools call faults, on a device of ours.

use api::{DataPath, call};

use crate::client_io::{Disk, errno};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::bvecctl;

pub(crate) const CASES: &[Case] = &[
    Case::new("fault_import::a_dust_list_makes_these_blocks_fail", dust),
    Case::new("fault_import::a_refused_line_applies_nothing", refused),
    Case::new("fault_import::words_in_words_out", round),
];

const SIZE: u64 = 1 << 20;

/// Blocks of 4096 bytes; 61 is no longer bad.
const DUST: &str = "0 2048 dust /dev/sdb 0 4096\naddbadblock 60\naddbadblock 61\naddbadblock 9\n\
    removebadblock 61\n";

/// A file in the daemon's directory.
fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path = daemon.directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn dust() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "mine", "notify where op=write,lba=0+8");
    let path = file(&daemon, "dust.txt", DUST);
    let words = [
        "fault", "import", "dm-dust", &path, "--add", "--name", "dust",
    ];
    let dry = bvecctl(&daemon.socket(), &[&words[..], &["--dry-run"]].concat()).good();
    assert!(dry.contains("would bring 1 rule"), "{dry}");
    assert_eq!(daemon.ask(call::rules(device.id)).rules.len(), 1);
    let said = bvecctl(&daemon.socket(), &words).good();
    assert!(
        said.contains("brought 1 rule") && said.contains("2 rules now"),
        "{said}"
    );
    let disk = Disk::open(&device.path);
    let bad: Vec<u64> = (0..SIZE / 4096)
        .filter(|block| match disk.try_read(block * 4096, 4096) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(errno::<()>(Err(error)), libc::EIO);
                true
            }
        })
        .collect();
    assert_eq!(bad, [9, 60], "exactly these blocks fail");
    // As dm-dust: a write heals.
    disk.write(9 * 4096, &[7; 4096]);
    assert_eq!(disk.read(9 * 4096, 4096), [7; 4096]);
    assert!(disk.try_read(60 * 4096, 4096).is_err());
    // A second time the name is taken, and nothing changes.
    let before = daemon.ask(call::rules(device.id));
    let again = bvecctl(&daemon.socket(), &words).ended_with(2);
    assert!(again.contains("`dust`"), "{again}");
    assert_eq!(daemon.ask(call::rules(device.id)), before);
    daemon.stop();
    Outcome::Passed
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let path = file(&daemon, "dust.txt", &format!("{DUST}frobnicate 7\n"));
    let before = daemon.ask(call::rules(device.id));
    let words = ["fault", "import", "dm-dust", &path, "--apply"];
    let said = bvecctl(&daemon.socket(), &words).ended_with(2);
    assert!(said.contains("dust.txt:6: `frobnicate 7`: "), "{said}");
    assert!(said.contains("--skip-refused"), "{said}");
    assert_eq!(daemon.ask(call::rules(device.id)), before);
    let words = [&words[..], &["--skip-refused"]].concat();
    bvecctl(&daemon.socket(), &words).good();
    assert_eq!(daemon.ask(call::rules(device.id)).rules.len(), 1);
    bvecctl(&daemon.socket(), &["fault", "import", "dm-rust", &path]).ended_with(2);
    daemon.stop();
    Outcome::Passed
}

fn round() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let path = file(&daemon, "dust.txt", DUST);
    // No daemon is asked for the words.
    let nowhere = "/none.sock".as_ref();
    let words = bvecctl(nowhere, &["fault", "import", "dm-dust", &path]).good();
    let rules = file(&daemon, "rules", &words);
    bvecctl(&daemon.socket(), &["fault", "apply", &rules]).good();
    let there = daemon.ask(call::rules(device.id)).rules;
    assert_eq!(there.len(), 1);
    assert_eq!(words.trim_end(), format!("dm-dust: {}", there[0].words));
    let wrong = file(&daemon, "wrong", "# mine\na: fail where op=read\nb: fial\n");
    let said = bvecctl(&daemon.socket(), &["fault", "apply", &wrong]).ended_with(2);
    assert!(said.contains("wrong:3:4: ") && said.contains('^'), "{said}");
    daemon.stop();
    Outcome::Passed
}
