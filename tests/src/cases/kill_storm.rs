//! The daemon is killed, or replaced, at random moments under load, again and again, and no write that was
//! acknowledged is lost.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use api::{DataPath, DeviceConfig, QuiesceRequest, Recovery, TargetConfig, Transport, call};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::cases::conformance::is_full;
use crate::daemon::{Daemon, char_devices, config, kept_memory};
use crate::load::Load;
use crate::outcome::{Case, Outcome, need_flag, need_program};
use crate::pins::outstanding_pins;
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "storm::no_acknowledged_write_is_lost_when_the_daemon_is_killed",
        kills,
    )
    .within(1800),
    Case::new("storm::no_acknowledged_write_is_lost_in_upgrades", upgrades).within(900),
    Case::new("storm::a_planted_lost_write_is_found", planted),
];

/// Where the moments come from.
const SEED: u64 = 20_261_125;

const PATHS: [DataPath; 4] = [
    DataPath::Copy,
    DataPath::UserCopy,
    DataPath::ZeroCopy,
    DataPath::AutoZeroCopy,
];

/// The part of the device that our own clients use; fio has the same again behind it.
const PART: u64 = 2 << 20;

/// Random moments, the same in each run.
struct Moments(ChaCha8Rng);

impl Moments {
    fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(SEED))
    }

    fn wait(&mut self) {
        let micros = self.0.next_u64() % 120_000;
        std::thread::sleep(Duration::from_micros(micros));
    }

    fn coin(&mut self) -> bool {
        self.0.next_u64().is_multiple_of(2)
    }
}

/// How one daemon ends and the next one takes over.
type Change = fn(Daemon) -> Daemon;

fn kills() -> Outcome {
    let count = if is_full() { 200 } else { 20 };
    storm(count, Recovery::Reissue, &Transport::ALL, |mut daemon| {
        daemon.kill();
        daemon.successor(&["--adopt"])
    })
}

fn upgrades() -> Outcome {
    let daemon = Daemon::start();
    need_flag!(daemon, "QUIESCE");
    daemon.stop();
    let count = if is_full() { 50 } else { 5 };
    // Not `reissue`: a request that the old daemon had taken and not answered would fail.
    // A device with the transport batch cannot be quiesced.
    storm(count, Recovery::Queue, &[Transport::PerIo], |mut daemon| {
        daemon.ask(call::hand_over(&QuiesceRequest::default()));
        let status = daemon.wait();
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
        daemon.successor(&["--adopt"])
    })
}

/// `count` changes of daemon, shared among the data paths, the transports, and between files and memory.
fn storm(count: usize, recovery: Recovery, transports: &[Transport], change: Change) -> Outcome {
    need_program!("fio");
    let probe = Daemon::start();
    let ways: Vec<_> = PATHS
        .into_iter()
        .flat_map(|path| transports.iter().map(move |transport| (path, *transport)))
        .filter(|(path, _)| probe.lacks(*path).is_none())
        .filter(|(_, transport)| probe.lacks_transport(*transport).is_none())
        .collect();
    probe.stop();
    let mut moments = Moments::new();
    for (number, way) in ways.iter().enumerate() {
        let rounds = count / ways.len() + usize::from(number < count % ways.len());
        if rounds > 0 {
            one_way(*way, rounds, recovery, change, &mut moments);
        }
    }
    Outcome::Passed
}

fn one_way(
    (path, transport): (DataPath, Transport),
    rounds: usize,
    recovery: Recovery,
    change: Change,
    moments: &mut Moments,
) {
    let pins_before = outstanding_pins();
    let mut daemon = Daemon::start();
    let target = match moments.coin() {
        true => TargetConfig::Ram {
            size_bytes: 2 * PART,
        },
        false => TargetConfig::Loop {
            file: daemon.file(2 * PART),
            direct: false,
        },
    };
    println!(
        "                {path} {transport} on {}, {rounds} changes, seed {SEED}",
        target.name()
    );
    let device = daemon.add(&DeviceConfig {
        queues: 2,
        depth: 32,
        recovery,
        transport,
        ..config(target, path)
    });
    let load = Load::on(&device.path, 4, PART);
    let mut fio = fio(&device.path, daemon.directory.path());
    for _ in 0..rounds {
        load.runs_on();
        moments.wait();
        daemon = change(daemon);
        let devices = daemon.ask(call::devices()).devices;
        assert_eq!(devices.len(), 1, "not adopted: {}", daemon.log());
    }
    load.runs_on();
    let status = fio.wait().unwrap();
    let output = std::fs::read_to_string(daemon.directory.path().join("fio")).unwrap_or_default();
    assert!(status.success(), "fio: {output}");
    load.ends_well(&device.path);
    daemon.stop();
    assert_eq!(char_devices(), Vec::<String>::new(), "orphan devices");
    assert_eq!(kept_memory(), Vec::<String>::new(), "orphan memory");
    crate::deadline::wait_for("every pin to be given back", || {
        (outstanding_pins() == pins_before).then_some(())
    });
}

/// fio on the other half of the device: writes at random, several at a time, and reads back what it wrote.
fn fio(path: &str, directory: &Path) -> Child {
    let output = std::fs::File::create(directory.join("fio")).unwrap();
    programs::command("fio")
        .args(["--name=storm", "--rw=randwrite", "--bs=4k", "--iodepth=16"])
        .args(["--ioengine=io_uring", "--direct=1", "--randseed=7"])
        .args(["--verify=crc32c", "--verify_fatal=1", "--verify_backlog=64"])
        .arg(format!("--offset={PART}"))
        .arg(format!("--size={PART}"))
        .arg("--loops=2")
        .arg(format!("--filename={path}"))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .spawn()
        .unwrap()
}

/// The same check, on a device whose backing went back to what it was a moment before the daemon was
/// killed.
fn planted() -> Outcome {
    let mut daemon = Daemon::start();
    let file = daemon.file(PART);
    let target = TargetConfig::Loop {
        file: file.clone(),
        direct: false,
    };
    let device = daemon.add(&DeviceConfig {
        recovery: Recovery::Reissue,
        ..config(target, DataPath::Copy)
    });
    let load = Load::on(&device.path, 4, PART);
    load.runs_on();
    let earlier = std::fs::read(&file).unwrap();
    load.runs_on();
    load.runs_on();
    load.tell_to_end();
    daemon.kill();
    std::fs::write(&file, earlier).unwrap();
    let next = daemon.successor(&["--adopt"]);
    let differences = load.end(&device.path);
    assert!(!differences.is_empty(), "lost writes were not noticed");
    assert!(differences[0].contains("write"), "{differences:?}");
    next.stop();
    Outcome::Passed
}
