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
    /// There is none.
    None,
}

/// When a job is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Always.
    Always,
    /// With `--operations`.
    Operations,
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
    used: Use,
}

/// The row of requests to write zeroes.
pub(crate) const WRITE_ZEROES: &str = "write-zeroes-4k-qd1";

/// Random requests of 4 KiB: the cost of a request rather than that of its bytes, which instructions
/// hardly show. A request of
/// `flush-source-4k-qd1` is a source request and a flush.
const JOBS: &[Job] = {
    use Direction::{Destination, None, Source};
    use Use::{Always, Operations};
    const LARGE: u32 = 256 << 10;
    &[
        job("rand-destination-4k-qd1", 4096, 1, Destination, Always),
        job("rand-source-4k-qd1", 4096, 1, Source, Always),
        job("rand-destination-4k-qd32", 4096, 32, Destination, Always),
        job("rand-source-4k-qd32", 4096, 32, Source, Always),
        job(
            "seq-destination-256k-qd32",
            LARGE,
            32,
            Destination,
            Operations,
        ),
        job("seq-source-256k-qd32", LARGE, 32, Source, Operations),
        job("fua-source-4k-qd1", 4096, 1, Source, Operations),
        job("flush-source-4k-qd1", 4096, 1, Source, Operations),
        job("discard-4k-qd1", 4096, 1, None, Operations),
        // Of the program in xtask/examples: fio has no such operation.
        job(WRITE_ZEROES, 4096, 1, None, Operations),
    ]
};

const fn job(
    name: &'static str,
    block_size_bytes: u32,
    depth: u16,
    direction: Direction,
    used: Use,
) -> Job {
    Job {
        name,
        block_size_bytes,
        depth,
        direction,
        used,
    }
}

/// Where the jobs are that are no pattern of `fio-jobs/`, below the root of the repository.
pub(crate) const DIRECTORY: &str = "xtask/src/cost/jobs";

/// The jobs, with those that are only run for all operations if they are asked for.
pub(crate) fn of(operations: bool) -> impl Iterator<Item = &'static Job> {
    JOBS.iter().filter(move |job| match job.used {
        Use::Always => true,
        Use::Operations => operations,
    })
}

/// The job of a name.
pub(crate) fn named(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_job_files_do_what_the_rows_say() {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (jobs, here) = (xtask.join("../fio-jobs"), xtask.join("../").join(DIRECTORY));
        for job in JOBS.iter().filter(|job| job.name != WRITE_ZEROES) {
            let file = format!("{}.fio", job.name);
            let text = std::fs::read_to_string(jobs.join(&file))
                .or_else(|_| std::fs::read_to_string(here.join(&file)))
                .unwrap();
            let in_order = job.name.starts_with("seq");
            let rw = match job.direction {
                Direction::Destination if in_order => "rw=read",
                Direction::Destination => "rw=randread",
                Direction::Source if in_order => "rw=write",
                Direction::Source => "rw=randwrite",
                Direction::None => "rw=randtrim",
            };
            let engine = match job.name {
                "flush-source-4k-qd1" => "ioengine=psync",
                _ => "ioengine=io_uring",
            };
            let bs = format!("bs={}k", job.block_size_bytes / 1024);
            let depth = format!("iodepth={}", job.depth);
            for line in [rw, &bs, &depth, engine, "direct=1"] {
                assert!(text.lines().any(|it| it == line), "{}: {line}", job.name);
            }
        }
    }
}
