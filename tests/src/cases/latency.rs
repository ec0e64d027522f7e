//! A profile of latencies, as a client sees it: each request takes at least what was drawn for it.

use std::time::{Duration, Instant};

use api::fault::{DeviceFacts, Op, Request, Rule, RuleSet, Sector};
use api::{DataPath, call};

use crate::client_io::Disk;
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[Case::new(
    "latency::each_read_takes_what_was_drawn_for_it",
    drawn,
)];

const SIZE: u64 = 1 << 20;
const READS: u64 = 200;
const WORDS: &str = "delay(dist=lognormal:2ms/20ms) where op=read with seed=11";

/// What a read takes beyond its delay, at the median: under emulation, on a busy machine. On idle hardware
/// it is what a read takes without a rule.
const OVERHEAD: Duration = Duration::from_millis(20);

/// Where the read with this number is.
fn sector(number: u64) -> u64 {
    number * 8 % (SIZE / 512)
}

/// What the engine draws for the same requests: it is a function, so that it can be asked apart from the
/// device.
fn draws() -> Vec<Duration> {
    let rules = vec![Rule::parse("profile", WORDS).unwrap()];
    let facts = DeviceFacts::of_size(SIZE / 512);
    let set = RuleSet::compile(1, 0, rules, None, &facts).unwrap();
    let draw = |number| {
        let request = Request::new(Op::Read, Sector(sector(number)), 8);
        Duration::from_nanos(set.decide(&request, 0).submit_delay_ns)
    };
    (0..READS).map(draw).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How many took less than what was drawn.
fn too_quick<'t>(took: &[Duration], drawn: impl Iterator<Item = &'t Duration>) -> usize {
    took.iter()
        .zip(drawn)
        .filter(|(took, drawn)| took < drawn)
        .count()
}

fn drawn() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    let time = |number| {
        let begin = Instant::now();
        disk.read(sector(number) * 512, 4096);
        begin.elapsed()
    };
    let plain: Vec<_> = (0..READS).map(time).collect();
    daemon.rule(device.id, "profile", WORDS);
    let took: Vec<_> = (0..READS).map(time).collect();
    let counters = daemon.ask(call::rules(device.id)).rules[0].counters;
    assert_eq!((counters.matched, counters.fired), (READS, READS));
    let drawn = draws();
    assert!(
        (1..4).contains(&median(drawn.clone()).as_millis()),
        "{drawn:?}"
    );
    assert_eq!(too_quick(&took, drawn.iter()), 0, "{took:?} for {drawn:?}");
    // Each read has its own: held against its neighbour's, many are too quick.
    let shifted = drawn.iter().cycle().skip(1);
    assert!(too_quick(&took, shifted) > 20, "{took:?} for {drawn:?}");
    let beyond = took.iter().zip(&drawn).map(|(took, drawn)| *took - *drawn);
    let overhead = median(beyond.collect());
    println!(
        "{READS} reads: median overhead {overhead:?} beyond the drawn delay; without a rule a read takes {:?}",
        median(plain)
    );
    assert!(overhead < OVERHEAD, "{overhead:?}");
    daemon.stop();
    Outcome::Passed
}
