//! One conformance suite: whatever a device is made of, it behaves like a disk. Each combination of
//! target, data path, transport, queues and logical block is a cell, each cell a test of its own.
//! docs/design/conformance.md tells what is run when.

mod cell;
mod cover;
mod lane;

use std::path::PathBuf;
use std::thread;

use api::{ClientError, DataPath, Device, DeviceConfig, ProblemCode, TargetConfig, call};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::cases::shared_memory;
use crate::client_io::Disk;
use crate::daemon::{Daemon, config};
use crate::model::{Model, first_difference};
use crate::outcome::{Case, Outcome, need_data_path, need_transport};
use crate::sys;
use cell::{Backing, Cell};
pub(crate) use lane::zero;
pub(crate) use lane::{Keeps, Lane};

const LANES: usize = 4;
const LANE_BYTES: usize = 1 << 20;
const SIZE: usize = LANES * LANE_BYTES;

/// Steps of a cell, over all its lanes.
const STEPS: usize = 2_000;
const STEPS_FULL: usize = 100_000;

/// The cells that are to be run, and that the suite itself finds what is wrong.
pub(crate) fn cases() -> Vec<Case> {
    let asked = std::env::var("BVECD_FULL").ok();
    let cells = match asked {
        Some(_) => cover::all(),
        None => cover::pairwise(),
    };
    let limit = if is_full() { 3600 } else { 120 };
    let mut cases: Vec<_> = cells
        .into_iter()
        .map(|cell| {
            let name = format!("conformance::{cell}");
            Case::made(name, move || run(cell)).within(limit)
        })
        .collect();
    cases.push(Case::new(
        "conformance::a_flipped_bit_is_found",
        flipped_bit,
    ));
    cases.push(Case::new("conformance::a_lost_write_is_found", lost_write));
    cases
}

/// Whether everything is to take its time. `BVECD_FULL=cells` is every cell with the steps of the CI.
pub(crate) fn is_full() -> bool {
    std::env::var("BVECD_FULL").is_ok_and(|value| value != "cells")
}

fn steps() -> usize {
    let asked = std::env::var("BVECD_STEPS").ok();
    let asked = asked.map(|text| text.parse().expect("BVECD_STEPS is a number"));
    asked.unwrap_or(if is_full() { STEPS_FULL } else { STEPS })
}

/// The seed of a cell: always the same unless another is asked for.
fn seed_of(cell: Cell) -> u64 {
    if let Ok(text) = std::env::var("BVECD_SEED") {
        return text.parse().expect("BVECD_SEED is a number");
    }
    // FNV-1a of its name.
    cell.to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

fn run(cell: Cell) -> Outcome {
    let cpus = thread::available_parallelism().unwrap().get();
    if cpus < usize::from(cell.queues) {
        return Outcome::Skipped(format!("{} CPUs are needed, there are {cpus}", cell.queues));
    }
    let daemon = Daemon::start();
    need_data_path!(daemon, cell.path);
    need_transport!(daemon, cell.transport);
    let subject = match Subject::add(&daemon, cell) {
        Ok(subject) => subject,
        Err(why) => return Outcome::NotApplicable(why),
    };
    let seed = seed_of(cell);
    let result = subject
        .exercise(&daemon, seed, steps())
        .and_then(|disk| subject.verify(&daemon, &disk))
        .and_then(|()| subject.count(&daemon))
        .and_then(|()| subject.blocks());
    if let Err(what) = result {
        panic!(
            "cell {cell}, seed {seed}, {} steps: {what}\nagain, only this cell: cargo xtask test \
             conformance::{cell} (BVECD_SEED and BVECD_STEPS in the guest override)",
            steps()
        );
    }
    daemon.stop();
    Outcome::Passed
}

/// The device of a cell, and what is below it.
struct Subject {
    cell: Cell,
    device: Device,
    /// The file or device that holds its bytes, where there is one to look at.
    below: Option<PathBuf>,
}

impl Subject {
    /// # Errors
    /// Why the kernel does not have this combination.
    fn add(daemon: &Daemon, cell: Cell) -> Result<Self, String> {
        let size_bytes = SIZE as u64;
        let (target, below) = match cell.backing {
            Backing::Ram => (TargetConfig::Ram { size_bytes }, None),
            Backing::Null => (TargetConfig::Null { size_bytes }, None),
            Backing::File => {
                let file = daemon.file(size_bytes);
                let direct = false;
                (
                    TargetConfig::Loop {
                        file: file.clone(),
                        direct,
                    },
                    Some(file),
                )
            }
            Backing::Device => {
                // On a file, so that it has a cache to flush.
                let target = TargetConfig::Loop {
                    file: daemon.file(size_bytes),
                    direct: false,
                };
                let below = daemon.add(&DeviceConfig {
                    logical_block_bytes: Some(cell.block),
                    ..config(target, DataPath::Copy)
                });
                let file = PathBuf::from(below.path);
                let direct = true;
                (
                    TargetConfig::Loop {
                        file: file.clone(),
                        direct,
                    },
                    Some(file),
                )
            }
        };
        let config = DeviceConfig {
            transport: cell.transport,
            queues: cell.queues,
            logical_block_bytes: Some(cell.block),
            ..config(target, cell.path)
        };
        match daemon.client.send(call::add_device(&config)) {
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Unsupported => {
                Err(problem.detail)
            }
            Err(error) => panic!("cell {cell}: {error}"),
            Ok(device) => {
                daemon.wait_for_node(&device);
                assert_eq!(device.queues, cell.queues, "the driver gave fewer queues");
                assert_eq!(device.data_path, cell.path);
                Ok(Self {
                    cell,
                    device,
                    below,
                })
            }
        }
    }

    /// Runs every lane, and gives what the disk must contain.
    fn exercise(&self, daemon: &Daemon, seed: u64, steps: usize) -> Result<Vec<u8>, String> {
        let keeps = match self.cell.backing {
            Backing::Null => Keeps::Nothing,
            _ => Keeps::Data,
        };
        let shared = || {
            let is_shared = self.cell.path == DataPath::SharedMemory;
            is_shared.then(|| shared_memory::shared(daemon, &self.device))
        };
        let lane = |number: usize, shared| {
            pin_to(number);
            let base = (number * LANE_BYTES) as u64;
            let model = Model::new(LANE_BYTES, self.cell.block, seed ^ (number as u64) << 32);
            Lane::open(&self.device.path, base, keeps, model, shared)
                .run(steps / LANES)
                .map_err(|what| format!("lane {number}, {what}"))
        };
        let models = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES)
                .map(|number| {
                    let shared = shared();
                    scope.spawn(move || lane(number, shared))
                })
                .collect();
            let models = lanes.into_iter().map(|lane| lane.join().unwrap());
            models.collect::<Result<Vec<_>, _>>()
        })?;
        Ok(models.iter().flat_map(Model::bytes).copied().collect())
    }

    /// Compares the whole disk, both ways, and what is below it.
    fn verify(&self, daemon: &Daemon, expected: &[u8]) -> Result<(), String> {
        if self.cell.backing == Backing::Null {
            return Ok(());
        }
        let same = |what: &str, found: &[u8]| match first_difference(found, expected) {
            None => Ok(()),
            Some(at) => Err(format!("at the end, {what} differs from byte {at} on")),
        };
        let path = &self.device.path;
        same("the disk", &Disk::open(path).read(0, SIZE))?;
        let cached = Disk::open_with(path, 0).read(0, SIZE);
        same("the page cache", &cached)?;
        let below = match &self.below {
            Some(path) if self.cell.backing == Backing::Device => Disk::open(path).read(0, SIZE),
            Some(path) => std::fs::read(path).unwrap(),
            None => std::fs::read(memory_of(daemon)).unwrap(),
        };
        same("the backing", &below)
    }

    /// Checks that every operation came to the daemon, on every queue, and that none failed.
    fn count(&self, daemon: &Daemon) -> Result<(), String> {
        use api::fault::Op;
        let stats = daemon.ask(call::stats(self.device.id));
        let is_loop = matches!(self.cell.backing, Backing::File | Backing::Device);
        for op in &stats.ops {
            // Memory has no volatile cache, so it gets no flush.
            let wanted = op.op != Op::Flush || is_loop;
            if op.errors > 0 || (wanted && op.ios == 0) {
                return Err(format!(
                    "op {}: {} came, {} failed",
                    op.op, op.ios, op.errors
                ));
            }
        }
        match stats.queues.iter().find(|queue| queue.ios == 0) {
            Some(queue) => Err(format!("queue {} got no request", queue.queue)),
            None => Ok(()),
        }
    }

    /// Checks on a plain file that zeroes with NOUNMAP keep its blocks, or get them, and that zeroes without
    /// it and discards give them back.
    fn blocks(&self) -> Result<(), String> {
        use std::os::unix::fs::MetadataExt;
        let (Backing::File, Some(file)) = (self.cell.backing, &self.below) else {
            return Ok(());
        };
        let disk = Disk::open(&self.device.path);
        let size = SIZE as u64;
        let allocated = || std::fs::metadata(file).unwrap().blocks() * 512;
        for give_back in [false, true] {
            zero(&disk.file, 0, size, true).unwrap();
            let kept = allocated();
            if kept < size {
                return Err(format!("NOUNMAP left {kept} of {size} bytes allocated"));
            }
            if give_back {
                sys::discard(&disk.file, 0, size).unwrap();
            } else {
                zero(&disk.file, 0, size, false).unwrap();
            }
            let left = allocated();
            if left >= size / 2 {
                return Err(format!("{left} of {size} bytes were not given back"));
            }
        }
        Ok(())
    }
}

fn pin_to(lane: usize) {
    let cpus = thread::available_parallelism().unwrap().get();
    let mut set = CpuSet::new();
    set.set(lane % cpus).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// The memory of the daemon's one ram device, as a file.
fn memory_of(daemon: &Daemon) -> PathBuf {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    descriptors
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            std::fs::read_link(path)
                .is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:bvecd-ram"))
        })
        .expect("the daemon has the memory open")
}

const PLANTED: Cell = Cell {
    backing: Backing::File,
    path: DataPath::Copy,
    transport: api::Transport::PerIo,
    queues: 1,
    block: 512,
};

/// The comparison bites: one flipped bit on the medium, behind the device's back, is found.
fn flipped_bit() -> Outcome {
    use std::os::unix::fs::FileExt;
    let daemon = Daemon::start();
    let subject = Subject::add(&daemon, PLANTED).unwrap();
    let mut expected = subject.exercise(&daemon, 14, 400).unwrap();
    subject.verify(&daemon, &expected).unwrap();
    let place = 3_333_333;
    let file = subject.below.as_ref().unwrap();
    let backing = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    let flipped = [expected[place] ^ 1];
    backing.write_all_at(&flipped, place as u64).unwrap();
    let found = subject.verify(&daemon, &expected).unwrap_err();
    assert!(
        found.contains("the disk differs from byte 3333333"),
        "{found}"
    );
    // And only there.
    expected[place] ^= 1;
    subject.verify(&daemon, &expected).unwrap();
    daemon.stop();
    Outcome::Passed
}

/// So do the steps: a disk that forgets is found while they run.
fn lost_write() -> Outcome {
    let daemon = Daemon::start();
    let null = Cell {
        backing: Backing::Null,
        ..PLANTED
    };
    let subject = Subject::add(&daemon, null).unwrap();
    let claims_to_keep = Subject {
        cell: PLANTED,
        ..subject
    };
    let found = claims_to_keep.exercise(&daemon, 15, 400).unwrap_err();
    assert!(found.contains("of the read is"), "{found}");
    daemon.stop();
    Outcome::Passed
}
