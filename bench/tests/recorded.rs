//! What `compare` says of runs that were recorded, of one device and therefore equal.

use bench::compare::side::{Side, Values};
use bench::compare::{Metric, Options, Origin, compare};
use bench::statistics::verdict::Verdict;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Deserialize;

/// `recorded-runs.json`, made by `bvecctl bench run` in a virtual machine.
#[derive(Deserialize)]
struct Recorded {
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    job: String,
    iops: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
}

const PAIRS: usize = 100;
const REPEATS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Recorded {
        serde_json::from_str(include_str!("data/recorded-runs.json")).unwrap()
    }

    fn options() -> Options {
        Options {
            metrics: vec![Metric::Iops, Metric::P99, Metric::Cpu],
            least: 0.0,
            seed: 1,
        }
    }

    /// A side of the runs with these numbers.
    fn side(recorded: &Recorded, runs: &[usize], factor: f64) -> Side {
        let values = recorded.cells.iter().flat_map(|cell| {
            let kinds = [
                (Metric::Iops, &cell.iops),
                (Metric::P99, &cell.p99),
                (Metric::Cpu, &cell.cpu),
            ];
            kinds.map(|(metric, values)| Values {
                cell: cell.job.clone(),
                job_text: String::new(),
                metric,
                exact: false,
                values: runs.iter().map(|run| values[*run] * factor).collect(),
            })
        });
        Side {
            origin: Origin {
                revision: None,
                kernel: String::new(),
            },
            facts: Vec::new(),
            complete: true,
            values: values.collect(),
        }
    }

    /// Different runs in random order.
    fn drawn(count: usize, of: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        for place in 0..count {
            let left = u32::try_from(of - place).unwrap();
            let step = usize::try_from(random.next_u32() % left).unwrap();
            all.swap(place, place + step);
        }
        all.truncate(count);
        all
    }

    /// Six values a pair, so that a rule which is wrong once in twenty for each would fail this.
    #[test]
    fn equal_runs_cannot_be_told_apart() {
        let recorded = recorded();
        let mut random = ChaCha8Rng::seed_from_u64(20_261_126);
        let verdicts: Vec<Verdict> = (0..PAIRS)
            .map(|_| {
                let runs = drawn(2 * REPEATS, recorded.cells[0].iops.len(), &mut random);
                let (one, other) = runs.split_at(REPEATS);
                let (one, other) = (side(&recorded, one, 1.0), side(&recorded, other, 1.0));
                compare(&one, &other, &options()).verdict
            })
            .collect();
        let untold = verdicts.iter().filter(|it| **it == Verdict::CannotTell);
        let untold = untold.count();
        assert!(untold >= 90, "{untold} of {PAIRS}");
    }

    /// Other runs at four times the speed; single runs of this machine differ by a third: a detector that never fires is none.
    #[test]
    fn what_is_four_times_as_large_is_told() {
        let recorded = recorded();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let found = (0..PAIRS).filter(|_| {
            let runs = drawn(2 * REPEATS, recorded.cells[0].iops.len(), &mut random);
            let (one, other) = runs.split_at(REPEATS);
            let (one, other) = (side(&recorded, one, 1.0), side(&recorded, other, 4.0));
            let options = Options {
                metrics: vec![Metric::Iops],
                ..options()
            };
            compare(&one, &other, &options).verdict == Verdict::Faster
        });
        let found = found.count();
        assert!(found >= 90, "{found} of {PAIRS}");
    }
}
