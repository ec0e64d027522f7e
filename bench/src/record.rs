//! A result file: everything that was measured, and on what, so that it can be compared and reported later.
//!
//! The form is versioned ([`SCHEMA`]), and `docs/schemas/bench-result.schema.json` describes it. A session
//! saves it after every run ([`store`]), so that what is there is always whole.

mod cell;
pub(crate) mod environment;
pub mod merge;
mod run;
pub mod store;

use serde::{Deserialize, Serialize};

pub use cell::{Cell, CellResult, Peer};
pub use environment::Environment;
pub use run::{Cost, Mark, Part, Percentiles, RunResult, Series, Split};

/// Version of the form.
pub const SCHEMA: u32 = 1;
/// What tells such a file from other JSON.
pub const KIND: &str = "bench";

/// A result file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// What it was measured on and with.
    pub environment: Environment,
    /// How it was measured.
    pub plan: Plan,
    /// Whether every planned run is there.
    pub complete: bool,
    /// What was to be measured and could not, with the reason.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What was measured, a cell of the matrix each.
    pub cells: Vec<CellResult>,
}

/// How a session measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name of the matrix or of the job.
    pub name: String,
    /// Seed of the order, of fio's offsets and of the rules.
    pub seed: u64,
    /// How often each cell is run.
    pub rounds: u32,
    /// Length of a run in ns, where time bounds it.
    pub runtime_ns: u64,
    /// What is done before each run and not counted, in ns.
    pub warm_up_ns: u64,
    /// Which part of the matrix this is, such as `1/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
}

/// Something that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// A peer, or a cell's name.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Record {
    /// A record without results.
    #[must_use]
    pub fn new(environment: Environment, plan: Plan) -> Self {
        Self {
            schema: SCHEMA,
            kind: KIND.to_owned(),
            environment,
            plan,
            complete: false,
            missing: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Whether every run did I/O, with no errors but those of rules, and left no pins.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let runs = || self.cells.iter().flat_map(|cell| &cell.runs);
        runs().all(RunResult::is_good)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::statistics::Histogram;
    use crate::statistics::series::Steadiness;
    use crate::{Direction, Job, JobResult, LatencyNs, Machine};

    /// A run of so many requests a second.
    pub(crate) fn run(round: u32, iops: f64) -> RunResult {
        let histogram: Histogram = vec![(50_000, 900), (90_000, 90), (1_000_000, 10)].into();
        let series = Series {
            interval_ns: 100_000_000,
            iops: vec![iops; 10],
            bandwidth_bytes_per_s: vec![iops * 4096.0; 10],
            latency: vec![histogram.coarse(); 10],
        };
        RunResult {
            round,
            began_s: 1_700_000_000,
            job: JobResult {
                name: "rand-destination-4k-qd1".to_owned(),
                device: "/dev/ublkb0".to_owned(),
                data_path: "copy".to_owned(),
                direction: Direction::Destination,
                block_size_bytes: 4096,
                depth: 1,
                ios: 1000,
                iops,
                bandwidth_bytes_per_s: iops * 4096.0,
                latency_ns: LatencyNs {
                    p50: 50_000,
                    p99: 90_000,
                    p99_9: 1_000_000,
                },
                pins_acquired_per_io: 1.0,
                pins_outstanding: 0,
                daemon_pins_per_io: 0.0,
                pins_once: 0,
                cpu_ns_per_io: 30_000.0,
                verify_errors: 0,
                errors: 0,
                fio_version: "fio-3.33".to_owned(),
            },
            percentiles_ns: Percentiles::of(&histogram),
            histogram,
            cost: Cost {
                client_cpu_ns_per_io: 20_000.0,
                daemon_cpu_ns_per_io: Some(10_000.0),
                client_switches_per_io: 1.0,
                daemon_switches_per_io: Some(0.9),
                guest_instructions_per_io: None,
            },
            steadiness: Some(Steadiness::of(&series.iops, series.interval_ns)),
            series,
            marks: Vec::new(),
            split: None,
            shared_memory: None,
            raw: Some("raw/1.json".to_owned()),
        }
    }

    /// A cell with a run for each of these requests a second.
    pub(crate) fn cell(peer: Peer, data_path: &str, iops: &[f64]) -> CellResult {
        let job = Job::load("rand-destination-4k-qd1").unwrap();
        CellResult {
            cell: Cell {
                data_path: (peer == Peer::Bvecd).then(|| data_path.to_owned()),
                transport: (peer == Peer::Bvecd).then(|| "per-io".to_owned()),
                ..Cell::new(peer, "ram", 1, &job)
            },
            scheduler: Some("none".to_owned()),
            pins_rule_per_io: Some(1),
            runs: (1..)
                .zip(iops)
                .map(|(round, iops)| run(round, *iops))
                .collect(),
        }
    }

    /// A whole record.
    pub(crate) fn record() -> Record {
        let environment = Environment {
            revision: "abc".to_owned(),
            kernel: "7.3.0".to_owned(),
            machine: Machine {
                cpus: 2,
                accel: "tcg".to_owned(),
            },
            counts_instructions: false,
            cpu_model: "QEMU".to_owned(),
            governor: None,
            memory_bytes: 1 << 30,
            fio_version: "fio-3.33".to_owned(),
            began_s: 1_700_000_000,
        };
        let plan = Plan {
            name: "quick".to_owned(),
            seed: 1,
            rounds: 3,
            runtime_ns: 1_000_000_000,
            warm_up_ns: 0,
            shard: None,
        };
        Record {
            complete: true,
            cells: vec![
                cell(Peer::Bvecd, "copy", &[10_000.0, 10_100.0, 9_900.0]),
                cell(Peer::NullBlk, "-", &[20_000.0, 20_100.0, 19_900.0]),
            ],
            missing: vec![Missing {
                what: "nbd".to_owned(),
                reason: "nbdkit is not installed".to_owned(),
            }],
            ..Record::new(environment, plan)
        }
    }

    #[test]
    fn cells_are_named_by_what_differs() {
        let record = record();
        assert_eq!(
            record.cells[0].cell.to_string(),
            "bvecd ram copy: rand-destination-4k-qd1"
        );
        assert_eq!(record.cells[1].cell.device(), "null_blk ram");
        assert!(record.is_good());
    }

    #[test]
    fn errors_that_rules_made_are_no_fault_of_the_device() {
        let mut record = record();
        let part = Part::of(record.cells[0].histogram());
        let run = &mut record.cells[0].runs[0];
        run.job.errors = 3;
        run.split = Some(Split {
            clean: part.clone(),
            faulted: part,
            drained: 0,
            failed: 3,
            unmatched: 0,
            events_lost: 0,
        });
        assert!(record.is_good());
        record.cells[0].runs[0].job.errors = 4;
        assert_eq!(record.cells[0].runs[0].unexplained_errors(), 1);
        assert!(!record.is_good());
    }

    const RESULT: &str = include_str!("../../docs/schemas/bench-result.schema.json");
    const COMPARISON: &str = include_str!("../../docs/schemas/bench-compare.schema.json");
    const STANDING: &str = include_str!("../../docs/schemas/bench-peers.schema.json");

    fn faults(schema: &str, value: &serde_json::Value) -> Vec<String> {
        let schema = serde_json::from_str(schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors = validator.iter_errors(value);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn records_are_what_the_schema_says() {
        let mut record = record();
        let part = || Part::of(record.cells[0].histogram());
        let (clean, faulted) = (part(), part());
        record.cells[0].runs[0].split = Some(Split {
            clean,
            faulted,
            drained: 0,
            failed: 0,
            unmatched: 1,
            events_lost: 0,
        });
        record.cells[0].runs[0].marks = vec![Mark {
            at_ns: 1,
            what: "x".to_owned(),
        }];
        let good = serde_json::to_value(&record).unwrap();
        assert_eq!(faults(RESULT, &good), Vec::<String>::new());
        // The schema bites: each of these is found.
        for (pointer, value) in [
            ("/schema", serde_json::json!(2)),
            ("/cells/0/runs/0/iops", serde_json::json!("many")),
            ("/cells/0/runs/0/histogram/0", serde_json::json!([1])),
            ("/cells/0/direction", serde_json::json!("read")),
            ("/environment/machine/cpus", serde_json::json!(0)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert_eq!(faults(RESULT, &bad).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn comparisons_are_what_the_schema_says() {
        use crate::compare::{Metric, Options, compare, side::Side};
        let options = Options {
            metrics: Metric::ALL.to_vec(),
            least: 0.0,
            seed: 1,
        };
        let side = Side::of(&record());
        let comparison = compare(&side, &side, &options);
        let value = serde_json::to_value(&comparison).unwrap();
        assert_eq!(faults(COMPARISON, &value), Vec::<String>::new());
        let standing = crate::compare::peers::Standing::of(&record(), &options);
        let mut value = serde_json::to_value(&standing).unwrap();
        assert_eq!(faults(STANDING, &value), Vec::<String>::new());
        value["rows"][0]["metric"] = "speed".into();
        assert_eq!(faults(STANDING, &value).len(), 1);
    }
}
