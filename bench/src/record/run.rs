//! One run of one cell.

use api::SharedMemoryStats;
use serde::{Deserialize, Serialize};

use crate::JobResult;
use crate::statistics::Histogram;
use crate::statistics::series::Steadiness;

/// One run of fio with everything that was counted around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The round, from 1.
    pub round: u32,
    /// When it began, in seconds since 1970.
    pub began_s: u64,
    /// The numbers that every job has.
    #[serde(flatten)]
    pub job: JobResult,
    /// Completion latencies; a verify phase does not count.
    pub percentiles_ns: Percentiles,
    /// Completion latencies in fio's bins: the middle of a bin in ns and its count.
    pub histogram: Histogram,
    /// What it cost, apart for client and daemon.
    pub cost: Cost,
    /// How steady the requests per second were; `None` for a run too short for a series.
    pub steadiness: Option<Steadiness>,
    /// The run over time.
    pub series: Series,
    /// What was done to the device during the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// Clean and faulted requests apart, where rules changed during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Requests that were served from memory that fio shares with the device, and those that were copied, warm-up
    /// included; where the data path is `shared-memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<SharedMemoryStats>,
    /// fio's own report, a file beside the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl RunResult {
    /// Whether it did I/O, with no errors but those of rules, without wrong data, and left no pins.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.unexplained().is_good()
    }

    /// The numbers that every job has, without the errors that rules made.
    #[must_use]
    pub fn unexplained(&self) -> JobResult {
        JobResult {
            errors: self.unexplained_errors(),
            ..self.job.clone()
        }
    }

    /// Requests that failed and that no rule failed.
    #[must_use]
    pub fn unexplained_errors(&self) -> u64 {
        let failed = self.split.as_ref().map_or(0, |split| split.failed);
        self.job.errors.saturating_sub(failed)
    }
}

/// Percentiles of completion latencies in ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the requests took no longer.
    pub p50: u64,
    /// 9 of 10.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1000.
    pub p99_9: u64,
    /// 9999 of 10000.
    pub p99_99: u64,
}

impl Percentiles {
    /// Those of a histogram; 0 without samples.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Self {
        let part = |part| histogram.percentile_of(part, 10_000).unwrap_or(0);
        Self {
            p50: part(5_000),
            p90: part(9_000),
            p99: part(9_900),
            p99_9: part(9_990),
            p99_99: part(9_999),
        }
    }
}

/// What a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time of fio, in ns.
    pub client_cpu_ns_per_io: f64,
    /// CPU time of the daemon or of a peer's server, in ns; `None` where no daemon serves the device.
    pub daemon_cpu_ns_per_io: Option<f64>,
    /// Times that a thread of fio was switched away from.
    pub client_switches_per_io: f64,
    /// Times that a thread of the daemon was.
    pub daemon_switches_per_io: Option<f64>,
    /// Instructions of the whole guest, where its clock counts them ([`crate::instructions`]); not of a job that
    /// verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_instructions_per_io: Option<f64>,
}

/// A run in equal intervals. The lists are equally long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of an interval in ns.
    pub interval_ns: u64,
    /// Requests per second.
    pub iops: Vec<f64>,
    /// Bytes per second.
    pub bandwidth_bytes_per_s: Vec<f64>,
    /// Completion latencies, in bins eight times as wide as fio's.
    pub latency: Vec<Histogram>,
}

/// Something that was done to the device during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When it was in force, in ns from the beginning of the series.
    pub at_ns: u64,
    /// What it was.
    pub what: String,
}

/// Requests on which a rule fired, and the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Requests that no rule fired on.
    pub clean: Part,
    /// Requests that one fired on.
    pub faulted: Part,
    /// Requests that fio waited for together after the job's time, in none of both: each has the latency of the
    /// slowest.
    #[serde(default)]
    pub drained: u64,
    /// Requests that a rule failed, by the daemon's account, in none of both: fio has no latency of them.
    #[serde(default)]
    pub failed: u64,
    /// Requests on which a rule fired by the daemon's account, and that fio's log does not have: those
    /// before or after the job, or those that the block layer merged.
    pub unmatched: u64,
    /// Events that the daemon no longer had: so many of the clean ones may be faulted.
    pub events_lost: u64,
}

/// One side of a [`Split`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// How many.
    pub ios: u64,
    /// Completion latencies.
    pub percentiles_ns: Percentiles,
    /// The same in fio's bins.
    pub histogram: Histogram,
}

impl Part {
    /// Of these latencies.
    #[must_use]
    pub fn of(histogram: Histogram) -> Self {
        Self {
            ios: histogram.total(),
            percentiles_ns: Percentiles::of(&histogram),
            histogram,
        }
    }
}
