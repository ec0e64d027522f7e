//! The result of one job.

use serde::{Deserialize, Serialize};

use crate::{BenchError, Direction, Result};

/// Completion latencies in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyNs {
    /// Half of the requests took no longer.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1000.
    pub p99_9: u64,
}

/// One job on one device: an entry of `jobs` in `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The job.
    pub name: String,
    /// The device, such as `/dev/ublkb0`.
    pub device: String,
    /// The device's data path.
    pub data_path: String,
    /// Which way the data went.
    pub direction: Direction,
    /// Size of a request.
    pub block_size_bytes: u64,
    /// Requests in flight at most.
    pub depth: u32,
    /// Requests completed, those of a verify phase among them.
    pub ios: u64,
    /// Requests per second; a verify phase does not count.
    pub iops: f64,
    /// Bytes per second; a verify phase does not count.
    pub bandwidth_bytes_per_s: f64,
    /// Completion latencies; a verify phase does not count.
    pub latency_ns: LatencyNs,
    /// Pins that the client's request took, see [`crate::pins`].
    pub pins_acquired_per_io: f64,
    /// Pins taken during the job and not given back a second after it.
    pub pins_outstanding: i64,
    /// Pins that the daemon's own I/O added.
    pub daemon_pins_per_io: f64,
    /// Pins taken once, by registering fixed buffers.
    pub pins_once: u64,
    /// CPU time of fio and the daemon.
    pub cpu_ns_per_io: f64,
    /// Blocks that came back wrong.
    pub verify_errors: u64,
    /// Requests that failed otherwise.
    pub errors: u64,
    /// The fio that ran it.
    pub fio_version: String,
}

impl JobResult {
    /// Whether the device did what it should: some I/O, no errors, no wrong data, no pin left behind.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.errors == 0 && self.verify_errors == 0 && self.pins_outstanding == 0 && self.iops > 0.0
    }
}

/// The three percentiles of a histogram.
pub(crate) fn latency(histogram: &crate::statistics::Histogram) -> Result<LatencyNs> {
    let percentile = |per_mille| {
        histogram
            .percentile(per_mille)
            .ok_or_else(|| BenchError::BadReport {
                detail: "it has no latency bins, should be json+".to_owned(),
            })
    };
    Ok(LatencyNs {
        p50: percentile(500)?,
        p99: percentile(990)?,
        p99_9: percentile(999)?,
    })
}
