//! Decides so many times by so many rules whose sectors no request touches, and by rules that do, so that
//! the instructions of one decision can be counted:
//!
//! ```text
//! cargo build --release -p fault --example decide
//! for decisions in 0 100000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/decide 1000 0 $decisions
//! done
//! ```
//!
//! The difference of the two counts, divided by 100,000, is what one costs.

use std::hint::black_box;

use fault::{DeviceFacts, Op, Request, Rule, RuleSet, Sector};

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<u64>().ok());
    let mut next = || arguments.next().unwrap_or(0);
    let (elsewhere, firing, decisions) = (next(), next(), next());
    let lba = |n: u64| format!("delay:1ms where op=read,lba={}+8", 1_000_000 + n * 64);
    let here = |_: u64| "delay:1ms when prob=50%".to_owned();
    let words = (0..elsewhere).map(lba).chain((0..firing).map(here));
    let rules = words
        .enumerate()
        .filter_map(|(n, words)| Rule::parse(&format!("r{n}"), &words).ok());
    let facts = DeviceFacts::of_size(1 << 30);
    let Ok(set) = RuleSet::compile(1, 7, rules.collect(), None, &facts) else {
        return;
    };
    for n in 0..decisions {
        // Between the ranges, below them and above them.
        let sector = Sector(black_box(n * 7919 % 2_000_000 / 64 * 64 + 16));
        let request = Request::new(Op::Read, sector, 8);
        black_box(set.decide(&request, n));
    }
}
