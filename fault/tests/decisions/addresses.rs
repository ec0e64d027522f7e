//! `draw=address`: what fires depends on the address alone, whichever queue is first.

use std::collections::BTreeMap;

use fault::{Op, Request, Sector};
use proptest::prelude::*;

use super::support::{read, set};

/// A request that fired: operation, sector, length, which occurrence of it, and what was drawn.
type Fired = BTreeMap<(Op, u64, u32, usize), u64>;

/// What fires if the requests come in this order.
fn fired(words: &[&str], seed: u64, requests: &[Request]) -> Fired {
    let set = set(seed, words);
    let mut met: BTreeMap<(Op, u64, u32), usize> = BTreeMap::new();
    let mut fired = BTreeMap::new();
    for request in requests {
        let verdict = set.decide(request, 0);
        let address = (request.op, request.sector.0, request.sectors);
        let occurrence = met.entry(address).or_default();
        if !verdict.is_pass() {
            let draws: Vec<u64> = verdict.corrupt.iter().map(|touch| touch.draw).collect();
            let seen = verdict.submit_delay_ns ^ draws.first().copied().unwrap_or(0);
            fired.insert((address.0, address.1, address.2, *occurrence), seen);
        }
        *occurrence += 1;
    }
    fired
}

const WORDS: [&str; 6] = [
    "delay(exponential:1ms) where op=read when prob=30% with draw=address",
    "delay:1ms where op=write when seq=xwxW with draw=address",
    "corrupt(bits=3) when skip=1,every=2 with draw=address",
    "delay:7ns when nth=3 with draw=address",
    "notify when count=2 with draw=address",
    "delay:9ns where lba=0+100 when prob=1:3,count=1 with draw=address",
];

fn any_request() -> impl Strategy<Value = Request> {
    let ops = prop_oneof![Just(Op::Read), Just(Op::Write), Just(Op::Discard)];
    (ops, 0_u64..16, 1_u32..3, 0_u16..4).prop_map(|(op, place, blocks, queue)| Request {
        queue,
        ..Request::new(op, Sector(place * 8), blocks * 8)
    })
}

/// The requests of four queues, each in its own order, taken as `turns` say.
fn interleaved(requests: &[Request], turns: &[u16]) -> Vec<Request> {
    let mut queues: Vec<Vec<Request>> = vec![Vec::new(); 4];
    for request in requests.iter().rev() {
        queues[usize::from(request.queue)].push(*request);
    }
    let mut order = Vec::new();
    for turn in turns.iter().cycle().take(requests.len() * 64) {
        order.extend(queues[usize::from(*turn)].pop());
    }
    order.extend(queues.into_iter().flatten());
    order
}

proptest! {
    #[test]
    fn any_interleaving_of_four_queues_fires_the_same(
        seed: u64,
        requests in proptest::collection::vec(any_request(), 1..200),
        turns in proptest::collection::vec(0_u16..4, 1..30),
    ) {
        let one = fired(&WORDS, seed, &requests);
        let other = fired(&WORDS, seed, &interleaved(&requests, &turns));
        prop_assert_eq!(one, other);
    }
}

#[test]
fn a_sequence_is_that_of_each_block() {
    let set = set(0, &["fail when seq=xW with draw=address"]);
    let failed = |sector| !set.decide(&read(sector), 0).is_pass();
    assert!(failed(0) && failed(8));
    assert!(!failed(0) && !failed(8));
    assert!(failed(16));
}

#[test]
fn other_rules_do_not_matter() {
    let requests: Vec<Request> = (0..500).map(|n| read(n % 40 * 8)).collect();
    let alone = fired(&["delay:1ms when prob=20% with draw=address"], 3, &requests);
    let words = [
        "delay:1ms when prob=20% with draw=address",
        "fail when prob=50%",
    ];
    let set = set(3, &words);
    let beside = requests
        .iter()
        .filter(|request| set.decide(request, 0).submit_delay_ns > 0)
        .count();
    assert_eq!(alone.len(), beside);
    assert!((50..150).contains(&beside), "{beside}");
}

#[test]
fn threads_fire_the_same_as_one() {
    let requests: Vec<Request> = (0..4_000)
        .map(|n| Request {
            queue: n % 4,
            ..read(u64::from(n) % 97 * 8)
        })
        .collect();
    let words = ["delay:1ms when prob=20%,count=9 with draw=address"];
    let alone = fired(&words, 11, &requests).len() as u64;
    let set = set(11, &words);
    std::thread::scope(|scope| {
        for queue in 0..4 {
            let (set, requests) = (&set, &requests);
            scope.spawn(move || {
                for request in requests.iter().filter(|request| request.queue == queue) {
                    set.decide(request, 0);
                }
            });
        }
    });
    let counters = set.reports().next().unwrap().counters;
    assert_eq!(counters.fired, alone);
}
