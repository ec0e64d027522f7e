//! The jobs that are counted: files of `fio-jobs/`, so that a number here and one of `bvecctl bench`
//! are of the same thing.

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
/// do not show.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "rand-destination-4k-qd1",
        block_size_bytes: 4096,
        depth: 1,
        direction: Direction::Destination,
    },
    Job {
        name: "rand-destination-4k-qd32",
        block_size_bytes: 4096,
        depth: 32,
        direction: Direction::Destination,
    },
    Job {
        name: "rand-source-4k-qd32",
        block_size_bytes: 4096,
        depth: 32,
        direction: Direction::Source,
    },
];

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
                Direction::Destination => "rw=randread",
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
