//! The same seed and the same requests give the same faults on a device: with `draw=address` however many
//! queues there are and however clients take turns, otherwise in the order in which one queue got them.

use std::collections::BTreeSet;
use std::thread;

use api::{DataPath, Device, DeviceConfig, EventKind, TargetConfig, call};

use crate::client_io::{Disk, pin_to};
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "determinism::draws_of_addresses_do_not_depend_on_queues",
        addresses,
    ),
    Case::new(
        "determinism::draws_of_an_order_are_repeated_by_one_queue",
        order,
    ),
];

const BLOCKS: u64 = 64;
const ROUNDS: u32 = 4;
const BLOCK: u64 = 4096;

/// A write that failed: the first sector, and how often it had been written before.
type Failed = BTreeSet<(u64, u32)>;

fn device(daemon: &Daemon, queues: u16, rule: &str) -> Device {
    let target = TargetConfig::Ram {
        size_bytes: BLOCKS * BLOCK,
    };
    let device = daemon.add(&DeviceConfig {
        queues,
        ..config(target, DataPath::Copy)
    });
    assert_eq!(device.queues, queues, "the driver gave fewer queues");
    daemon.rule(device.id, "maybe", rule);
    device
}

/// Writes each block so often: each block by one of the clients, who run at the same time, each on a CPU of
/// its own, so that their requests come by different queues. `turn` is the order of a client's blocks.
fn write(path: &str, clients: u64, turn: fn(u64) -> u64) -> Failed {
    thread::scope(|scope| {
        let client = |number: u64| {
            move || {
                pin_to(number);
                let disk = Disk::open(path);
                let mut failed = Failed::new();
                for round in 0..ROUNDS {
                    let own = (0..BLOCKS)
                        .map(turn)
                        .filter(|block| block % clients == number);
                    for block in own {
                        if disk.try_write(block * BLOCK, &[1; 4096]).is_err() {
                            failed.insert((block * 8, round));
                        }
                    }
                }
                failed
            }
        };
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(client(number)))
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    })
}

/// On which sectors the rule fired, in the order of the events, and the queues that these came by; without
/// the first `before` events, of devices that had the same number.
fn fired(daemon: &Daemon, device: &Device, before: usize) -> (Vec<u64>, BTreeSet<u16>) {
    let events = daemon.events(EventKind::Fired).split_off(before);
    let count = daemon.ask(call::rules(device.id)).rules[0].counters.fired;
    assert_eq!(events.len() as u64, count, "events were lost");
    let sectors = events.iter().map(|event| event.sector.unwrap().0).collect();
    (
        sectors,
        events.iter().filter_map(|event| event.queue).collect(),
    )
}

/// One run on a device of its own: what failed, and where the rule fired.
fn run(daemon: &Daemon, queues: u16, turn: fn(u64) -> u64, seed: u64) -> (Failed, Vec<u64>) {
    let words = format!("fail:MEDIUM where op=write when prob=25% with draw=address,seed={seed}");
    let before = daemon.events(EventKind::Fired).len();
    let device = device(daemon, queues, &words);
    let failed = write(&device.path, queues.into(), turn);
    let (mut sectors, used) = fired(daemon, &device, before);
    assert_eq!(
        used.len(),
        usize::from(queues),
        "the clients used the queues {used:?}"
    );
    sectors.sort_unstable();
    daemon.ask(call::delete_device(device.id));
    (failed, sectors)
}

fn addresses() -> Outcome {
    let daemon = Daemon::start();
    if thread::available_parallelism().unwrap().get() < 4 {
        return Outcome::Skipped("4 CPUs are needed".into());
    }
    let first = run(&daemon, 1, |block| block, 3);
    let count = first.0.len();
    assert!(
        (40..90).contains(&count),
        "25 % of 256 is about 64, not {count}"
    );
    assert_eq!(first.1.len(), count, "as many fired as failed");
    let turns: [fn(u64) -> u64; 3] = [
        |block| block,
        |block| BLOCKS - 1 - block,
        |block| block * 37 % BLOCKS,
    ];
    for (number, turn) in turns.into_iter().enumerate() {
        for queues in [1, 4] {
            let again = run(&daemon, queues, turn, 3);
            assert_eq!(again, first, "{queues} queues, order {number}");
        }
    }
    // The comparison tells another list.
    assert_ne!(run(&daemon, 4, |block| block, 4), first, "another seed");
    daemon.stop();
    Outcome::Passed
}

fn order() -> Outcome {
    let daemon = Daemon::start();
    let run = |seed: u64| {
        let words = format!("fail:MEDIUM where op=write when prob=25%,skip=3 with seed={seed}");
        let before = daemon.events(EventKind::Fired).len();
        let device = device(&daemon, 1, &words);
        let failed = write(&device.path, 1, |block| block * 5 % BLOCKS);
        let (sectors, _) = fired(&daemon, &device, before);
        daemon.ask(call::delete_device(device.id));
        (failed, sectors)
    };
    let first = run(7);
    assert!(first.0.len() > 30, "{first:?}");
    assert_eq!(run(7), first, "the same list, in the same order");
    assert_ne!(run(8), first, "another seed gives another list");
    daemon.stop();
    Outcome::Passed
}
