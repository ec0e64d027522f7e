//! The jobs that are counted: files of `fio-jobs/`, so that a number here and one of `bvecctl bench`
//! are of the same thing.

use clap::ValueEnum;
use serde::Serialize;

/// Which way the payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// The request's pages receive data.
    Destination,
    /// They supply it.
    Source,
}

/// What is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Instructions of the whole guest for one request.
    #[default]
    #[value(name = "instructions")]
    InstructionsPerIo,
    /// Requests a second, by the clock.
    Iops,
}

/// A job file and what it does.
#[derive(Debug)]
pub(crate) struct Job {
    /// The file's name without `.fio`.
    pub(crate) name: &'static str,
    pub(crate) block_size_bytes: u32,
    /// Requests in flight.
    pub(crate) depth: u16,
    pub(crate) direction: Direction,
}

/// Random requests of 4 KiB: the cost of a request rather than that of its bytes, which instructions
/// do not show. Large ones, where bytes are what costs, are measured by the clock.
const JOBS: &[Job] = &[
    job("rand-destination-4k-qd1", 4096, 1, Direction::Destination),
    job("rand-source-4k-qd1", 4096, 1, Direction::Source),
    job("rand-destination-4k-qd32", 4096, 32, Direction::Destination),
    job("rand-source-4k-qd32", 4096, 32, Direction::Source),
    job(
        "seq-destination-256k-qd32",
        256 << 10,
        32,
        Direction::Destination,
    ),
];

const fn job(name: &'static str, block_size_bytes: u32, depth: u16, direction: Direction) -> Job {
    Job {
        name,
        block_size_bytes,
        depth,
        direction,
    }
}

/// The jobs of a measure.
pub(crate) fn of(measure: Measure) -> impl Iterator<Item = &'static Job> {
    let small = |job: &Job| job.block_size_bytes == 4096;
    JOBS.iter()
        .filter(move |job| measure == Measure::Iops || small(job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_job_files_do_what_the_rows_say() {
        let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fio-jobs");
        for job in JOBS {
            let text = std::fs::read_to_string(jobs.join(format!("{}.fio", job.name))).unwrap();
            let rw = match job.direction {
                Direction::Destination if job.name.starts_with("rand") => "rw=randread",
                Direction::Destination => "rw=read",
                Direction::Source => "rw=randwrite",
            };
            let bs = format!("bs={}k", job.block_size_bytes / 1024);
            let depth = format!("iodepth={}", job.depth);
            for line in [rw, &bs, &depth, "ioengine=io_uring", "direct=1"] {
                assert!(text.lines().any(|it| it == line), "{}: {line}", job.name);
            }
        }
    }
}
