//! fio's json+ report, as far as it is used.
//!
//! Keys as fio 3.33 writes them (`stat.c`, `show_thread_status_json`); unknown keys are ignored,
//! because every release adds some.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::statistics::Histogram;
use crate::{BenchError, Direction, Result};

/// "Illegal byte sequence", which fio uses for a verify error (`asm-generic/errno.h`).
const EILSEQ: u32 = 84;

/// A whole report.
#[derive(Debug, Clone, Deserialize)]
pub struct FioOutput {
    /// Such as `fio-3.33`.
    #[serde(rename = "fio version")]
    pub version: String,
    /// One entry a job.
    jobs: Vec<FioJob>,
}

/// One job of a report.
#[derive(Debug, Clone, Deserialize)]
pub struct FioJob {
    /// The section of the job file.
    pub jobname: String,
    /// The errno that ended the job, or 0.
    pub error: u32,
    /// Errors that the job survived; only written where `continue_on_error` is set.
    #[serde(default)]
    total_err: u64,
    /// The errno of the first of them.
    #[serde(default)]
    first_error: u32,
    /// Requests that read, those of a verify phase among them.
    read: FioDirection,
    /// Requests that wrote.
    write: FioDirection,
    /// Milliseconds, of which the two CPU values are percentages.
    job_runtime: u64,
    usr_cpu: f64,
    sys_cpu: f64,
    /// How often its threads were switched away from.
    #[serde(default)]
    ctx: u64,
}

/// Requests of one direction.
#[derive(Debug, Clone, Deserialize)]
struct FioDirection {
    bw_bytes: f64,
    iops: f64,
    total_ios: u64,
    clat_ns: FioLatency,
}

#[derive(Debug, Clone, Deserialize)]
struct FioLatency {
    /// Absent without samples.
    #[serde(default)]
    bins: BTreeMap<u64, u64>,
}

impl FioOutput {
    /// Reads a report; text before its first brace (warnings of fio) is skipped.
    ///
    /// # Errors
    /// [`BenchError::BadReport`] when it is no such report.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |detail| BenchError::BadReport { detail };
        let start = text
            .find('{')
            .ok_or_else(|| bad("it holds no JSON, should be fio's json+".to_owned()))?;
        let mut output = serde_json::Deserializer::from_str(&text[start..]);
        Self::deserialize(&mut output).map_err(|error| bad(error.to_string()))
    }

    /// The only job of the report.
    ///
    /// # Errors
    /// [`BenchError::BadReport`] when there are none or several.
    pub fn job(&self) -> Result<&FioJob> {
        match self.jobs.as_slice() {
            [job] => Ok(job),
            jobs => Err(BenchError::BadReport {
                detail: format!("it has {} jobs, should be one", jobs.len()),
            }),
        }
    }
}

impl FioJob {
    /// Requests read, those of a verify phase among them.
    #[must_use]
    pub fn ios_read(&self) -> u64 {
        self.read.total_ios
    }

    /// Requests written.
    #[must_use]
    pub fn ios_written(&self) -> u64 {
        self.write.total_ios
    }

    /// All requests.
    #[must_use]
    pub fn ios(&self) -> u64 {
        self.ios_read() + self.ios_written()
    }

    /// Requests per second of the job's own direction; a verify phase does not count.
    #[must_use]
    pub fn iops(&self, direction: Direction) -> f64 {
        self.sections(direction).map(|section| section.iops).sum()
    }

    /// Bytes per second of the job's own direction.
    #[must_use]
    pub fn bandwidth_bytes_per_s(&self, direction: Direction) -> f64 {
        self.sections(direction)
            .map(|section| section.bw_bytes)
            .sum()
    }

    /// Completion latencies of the job's own direction.
    #[must_use]
    pub fn latencies(&self, direction: Direction) -> Histogram {
        let mut histogram = Histogram::default();
        for section in self.sections(direction) {
            histogram.add(&section.clat_ns.bins);
        }
        histogram
    }

    /// Blocks whose contents were wrong.
    ///
    /// fio counts errors of all kinds together and names the first; a job that goes on after
    /// verify errors only (`continue_on_error=verify`) counts nothing else.
    #[must_use]
    pub fn verify_errors(&self) -> u64 {
        if self.first_error == EILSEQ || self.error == EILSEQ {
            self.total_err.max(1)
        } else {
            0
        }
    }

    /// Errors of another kind: requests that failed, or a job that could not go on.
    #[must_use]
    pub fn errors(&self) -> u64 {
        if self.verify_errors() > 0 {
            // What ended the job can be of another kind than the first error.
            u64::from(self.error != 0 && self.error != EILSEQ)
        } else {
            self.total_err.max(u64::from(self.error != 0))
        }
    }

    /// CPU time of fio's own job, without its start, in ns.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "fio reports percentages of milliseconds: the exact value is not there to lose"
    )]
    pub fn cpu_ns(&self) -> u64 {
        ((self.usr_cpu + self.sys_cpu) / 100.0 * self.job_runtime as f64 * 1e6) as u64
    }

    /// How often a thread of fio's own job was switched away from.
    #[must_use]
    pub const fn switches(&self) -> u64 {
        self.ctx
    }

    fn sections(&self, direction: Direction) -> impl Iterator<Item = &FioDirection> {
        let read = (direction != Direction::Source).then_some(&self.read);
        let write = (direction != Direction::Destination).then_some(&self.write);
        read.into_iter().chain(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = include_str!("../tests/data/rand-destination-4k-qd32.json");
    const VERIFY_BAD: &str = include_str!("../tests/data/verify-4k-qd32-bad.json");
    const MIXED: &str = include_str!("../tests/data/mixed-4k-qd32.json");

    #[test]
    fn percentiles_agree_with_fios_own() {
        let output = FioOutput::parse(READ).unwrap();
        let latencies = output.job().unwrap().latencies(Direction::Destination);
        let raw: serde_json::Value = serde_json::from_str(READ).unwrap();
        let own = &raw["jobs"][0]["read"]["clat_ns"]["percentile"];
        for (per_mille, key) in [(500, "50.000000"), (990, "99.000000"), (999, "99.900000")] {
            assert_eq!(latencies.percentile(per_mille), own[key].as_u64(), "{key}");
        }
    }

    #[test]
    fn a_destination_job_is_read() {
        let output = FioOutput::parse(READ).unwrap();
        assert_eq!(output.version, "fio-3.33");
        let job = output.job().unwrap();
        assert_eq!(job.jobname, "rand-destination-4k-qd32");
        assert!(job.ios_read() > 0);
        assert_eq!(
            (job.ios_written(), job.errors(), job.verify_errors()),
            (0, 0, 0)
        );
        let iops = job.iops(Direction::Destination);
        let bytes = job.bandwidth_bytes_per_s(Direction::Destination);
        assert!((bytes / iops / 4096.0 - 1.0).abs() < 0.01, "{bytes} {iops}");
        assert!(job.cpu_ns() > 0);
    }

    #[test]
    fn both_directions_of_a_mixed_job_count() {
        let output = FioOutput::parse(MIXED).unwrap();
        let job = output.job().unwrap();
        assert!(job.ios_read() > 0 && job.ios_written() > 0);
        let sum = job.iops(Direction::Destination) + job.iops(Direction::Source);
        assert!((job.iops(Direction::Mixed) - sum).abs() < 1e-6);
    }

    #[test]
    fn verify_errors_are_told_from_others() {
        let output = FioOutput::parse(VERIFY_BAD).unwrap();
        let job = output.job().unwrap();
        assert_eq!((job.verify_errors(), job.errors()), (2, 0));
        let mut failed = job.clone();
        (failed.error, failed.first_error, failed.total_err) = (5, 0, 0);
        assert_eq!((failed.verify_errors(), failed.errors()), (0, 1));
        (failed.error, failed.first_error, failed.total_err) = (5, EILSEQ, 3);
        assert_eq!((failed.verify_errors(), failed.errors()), (3, 1));
    }

    #[test]
    fn warnings_before_the_report_are_skipped_and_rubbish_is_refused() {
        assert!(FioOutput::parse(&format!("fio: a warning\n{READ}")).is_ok());
        for rubbish in ["", "fio: no", "{\"jobs\": []}", &READ[..READ.len() / 2]] {
            assert!(matches!(
                FioOutput::parse(rubbish),
                Err(BenchError::BadReport { .. })
            ));
        }
        let none = FioOutput::parse("{\"fio version\": \"fio-3.33\", \"jobs\": []}").unwrap();
        assert!(none.job().is_err());
    }
}
