//! The vector fuzzer: vectors of direct I/O, drawn from a seed, under invariants.
//!
//! **Question.** Does the kernel give back every pin that it took for a vector, whatever becomes of it?
//!
//! **Invariants**, after every vector:
//! 1. pins acquired equal pins released, for the whole machine and on the frames of the vector;
//! 2. memory comes back: the pool of huge pages is as full as before;
//! 3. what a destination got is what the medium has, what a source supplied is on the medium as far as it
//!    was accepted, and nothing else changed, neither in memory nor on the medium;
//! 4. a page that must not be used is not used, and a vector without anything wrong is taken whole.
//!
//! A vector that breaks one is made shorter and plainer for as long as it still does ([`minimise`]), and
//! printed as a C program ([`program`]).
//!
//! | file | what it knows |
//! |---|---|
//! | [`vector`] | what a vector is |
//! | [`draw`] | how one is drawn |
//! | `execute` | doing one and judging it |
//! | [`minimise`] | the shortest that still fails |
//! | [`program`] | a C program that does the same |

pub mod draw;
mod execute;
pub mod minimise;
pub mod program;
pub mod vector;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::census::PlaceKind;
use crate::census::place::Place;
use draw::Draw;
use execute::Bench;
pub use execute::Problem;
use vector::Vector;

/// How much is done, and of what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What everything is drawn from.
    pub seed: u64,
    /// The first vector's number.
    pub first: u64,
    /// Vectors of each place.
    pub vectors: u64,
    /// Longest time of each place.
    pub limit: Duration,
    /// Logical block of the device, in bytes.
    pub logical_block_bytes: u64,
    /// Whether requests of the device may fail, by rules that somebody else has made: then a good vector
    /// may be refused.
    pub faulty: bool,
    /// Whether only destinations are drawn.
    pub destinations_only: bool,
    /// A defect of the fuzzer's own making, to show that it is found.
    pub plant: Option<Plant>,
}

/// A planted defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plant {
    /// A page is registered with a ring that is forgotten, with every vector of two segments or more.
    Leak,
    /// A byte of memory is changed after every destination of more than a page.
    Data,
}

/// What came of one place.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The place.
    pub place: PlaceKind,
    /// The seed.
    pub seed: u64,
    /// Why nothing was done.
    pub skipped: Option<String>,
    /// Vectors done.
    pub vectors: u64,
    /// Of them: taken whole.
    pub whole: u64,
    /// Taken in part.
    pub partial: u64,
    /// Refused.
    pub refused: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// Vectors a minute.
    pub per_minute: f64,
    /// What was found; the first ends the place.
    pub finding: Option<Finding>,
}

/// A vector that broke an invariant.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Its number, for `--from`.
    pub number: u64,
    /// What it broke.
    pub problem: Problem,
    /// It.
    pub vector: Vector,
    /// The shortest that was found to break the same.
    pub shortest: Vector,
    /// How often vectors were tried to find that.
    pub tries: u32,
    /// As a C program.
    pub program: String,
}

/// Fuzzes on the block device at `device`, which is stored over. `ready` is called when the medium is known
/// and the vectors begin, `go_on` is asked between them.
///
/// # Errors
/// Pins cannot be counted or pages not looked at here, or the medium cannot be read back.
pub fn run(
    device: &str,
    settings: &Settings,
    place: PlaceKind,
    ready: impl FnOnce(),
    go_on: impl Fn() -> bool,
) -> Result<Report> {
    let mut report = Report {
        place,
        seed: settings.seed,
        skipped: None,
        vectors: 0,
        whole: 0,
        partial: 0,
        refused: 0,
        duration_ns: 0,
        per_minute: 0.0,
        finding: None,
    };
    let stacked = match Place::make(place, device) {
        Ok(stacked) => stacked,
        Err(why) => {
            report.skipped = Some(why);
            return Ok(report);
        }
    };
    let mut bench = Bench::new(stacked.path(), settings)?;
    let draw = Draw {
        seed: settings.seed,
        hugetlb: bench.has_huge_pages(),
        destinations_only: settings.destinations_only,
    };
    ready();
    let start = Instant::now();
    for number in settings.first..settings.first.saturating_add(settings.vectors) {
        if start.elapsed() > settings.limit || !go_on() {
            break;
        }
        let vector = draw.vector(number);
        let outcome = bench.judge(&vector)?;
        report.vectors += 1;
        match outcome.moved {
            Ok(moved) if moved == vector.bytes() => report.whole += 1,
            Ok(_) => report.partial += 1,
            Err(_) => report.refused += 1,
        }
        if let Some(problem) = outcome.problem {
            report.finding = Some(finding(&mut bench, number, problem, vector, &stacked)?);
            break;
        }
    }
    let time = start.elapsed();
    report.duration_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let vectors = report.vectors as f64;
    report.per_minute = vectors * 60.0 / time.as_secs_f64().max(1e-9);
    Ok(report)
}

fn finding(
    bench: &mut Bench,
    number: u64,
    problem: Problem,
    vector: Vector,
    place: &Place,
) -> Result<Finding> {
    let mut broken = None;
    bench.be_quick();
    let shortest = minimise::shortest(&vector, |candidate| match bench.judge(candidate) {
        Ok(outcome) => outcome.problem.is_some_and(|found| found.is_like(&problem)),
        Err(error) => {
            broken = Some(error);
            false
        }
    });
    match broken {
        Some(error) => Err(error),
        None => Ok(Finding {
            number,
            program: program::in_c(&shortest.vector, place.path()),
            problem,
            vector,
            shortest: shortest.vector,
            tries: shortest.tries,
        }),
    }
}
