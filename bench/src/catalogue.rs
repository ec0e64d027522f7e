//! The shipped job files, compiled in, so that the programs need no files beside them.

use crate::{Job, Result};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../fio-jobs/", $name, ".fio")))),*]
    };
}

/// Name and text, in the order in which a report reads best. The first [`CORE`] are the short list.
const JOBS: &[(&str, &str)] = shipped![
    "rand-destination-4k-qd1",
    "rand-destination-4k-qd32",
    "rand-source-4k-qd1",
    "rand-source-4k-qd32",
    "fixed-destination-4k-qd32",
    "fixed-source-4k-qd32",
    "mixed-4k-qd32",
    "rand-destination-256k-qd32",
    "seq-destination-256k-qd1",
    "seq-destination-256k-qd32",
    "seq-source-256k-qd1",
    "seq-source-256k-qd32",
    "verify-4k-qd32",
    "verify-256k-qd32",
    "rand-destination-4k-qd4",
    "rand-destination-4k-qd16",
    "rand-destination-4k-qd64",
    "rand-destination-4k-qd128",
    "rand-destination-4k-qd256",
    "jobs4-destination-4k-qd8",
    "jobs4-source-4k-qd8",
    "paced8-destination-4k-qd1",
    "seq-destination-16k-qd32",
    "seq-destination-64k-qd32",
    "seq-destination-1m-qd32",
    "seq-source-64k-qd32",
    "seq-source-1m-qd32",
    "log-flush-8k-qd1",
    "log-fua-8k-qd1",
    "log-group-16k-jobs4",
    "buffered-destination-64k",
    "buffered-source-64k",
    "mmap-destination-4k",
    "splice-destination-64k",
    "census-pread-destination",
    "census-pread-source",
    "census-preadv-destination",
    "census-preadv-source",
    "census-aio-destination",
    "census-aio-source",
    "census-splice-source",
    "census-mmap-source",
];

/// How many jobs are the short list: every kind of request once, no curve.
const CORE: usize = 14;

/// The names of the shipped jobs.
pub fn names() -> impl Iterator<Item = &'static str> {
    JOBS.iter().map(|(name, _)| *name)
}

/// The shipped jobs.
///
/// # Errors
/// [`BenchError::BadJob`](crate::BenchError::BadJob), which a test rules out.
pub fn all() -> Result<Vec<Job>> {
    JOBS.iter()
        .map(|(name, text)| Job::parse(name, text))
        .collect()
}

/// The short list, every kind of request once: what the demo runs.
///
/// # Errors
/// As [`all`].
pub fn core() -> Result<Vec<Job>> {
    JOBS.iter()
        .take(CORE)
        .map(|(name, text)| Job::parse(name, text))
        .collect()
}

/// The text of a shipped job.
pub(crate) fn text_of(name: &str) -> Option<&'static str> {
    let (_, text) = JOBS.iter().find(|(known, _)| *known == name)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, pins};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fio-jobs")
    }

    /// The cells of the table's rows, without the code marks.
    fn rows() -> Vec<Vec<String>> {
        let table = fs::read_to_string(folder().join("README.md")).unwrap();
        let cells = |line: &str| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        };
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.map(cells).collect()
    }

    fn size(bytes: u64) -> String {
        match bytes >> 20 {
            0 => format!("{} KiB", bytes >> 10),
            mib => format!("{mib} MiB"),
        }
    }

    #[test]
    fn every_file_is_shipped() {
        let files: BTreeSet<String> = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|suffix| suffix == "fio"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(files, names().map(str::to_owned).collect());
    }

    /// The table's facts are those of the files, and its rows are the files.
    #[test]
    fn the_table_says_what_the_files_do() {
        const MAX_IO: u64 = 512 << 10;
        let rows = rows();
        let named: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(named, names().collect::<Vec<_>>());
        for (row, job) in rows.iter().zip(all().unwrap()) {
            let direction = match job.direction {
                Direction::Destination => "destination",
                Direction::Source => "source",
                Direction::Mixed => "mixed",
            };
            let depth = match job.clients {
                1 => job.depth.to_string(),
                clients => format!("{clients} x {}", job.depth),
            };
            let pins = pins::rule_per_io(&job, MAX_IO).to_string();
            let facts = [direction, &size(job.block_size_bytes), &depth, &pins];
            assert_eq!(row[2..6], facts, "{}", job.name);
            // What is said of the order is that of the file.
            let random = job.text.contains("\nrw=rand");
            assert!(
                !random || !job.description.contains("append"),
                "{}",
                job.name
            );
            assert_eq!(row[1].contains("random"), random, "{}", job.name);
            assert!(!row[1].contains(") and p"), "{} names two calls", job.name);
        }
    }

    #[test]
    fn every_job_keeps_the_rules_of_the_folder() {
        for (name, text) in JOBS {
            let job = Job::parse(name, text).unwrap();
            assert_eq!(&job.name, name);
            assert!(job.description.contains("Good: "), "{name}: what is good?");
            let has = |line| text.lines().any(|found| found == line);
            assert!(has("filename=${DEV}"), "{name} does not name the device");
            let (ring, direct) = (job.engine == "io_uring", job.direct);
            assert!(direct || !ring, "{name}: a ring without O_DIRECT");
            assert_eq!(has("direct=0"), !direct, "{name}: direct is not said");
            // A bound in the file would win over the runner's.
            for bound in ["size", "io_size", "runtime", "number_ios", "time_based"] {
                let sets = |line: &str| line.split('=').next() == Some(bound);
                assert!(!text.lines().any(sets), "{name} sets {bound}");
            }
        }
    }

    #[test]
    fn the_issues_patterns_are_there() {
        let jobs = all().unwrap();
        for fixed in [false, true] {
            assert!(jobs.iter().any(|job| job.fixed_buffers == fixed));
        }
        for engine in ["io_uring", "psync", "mmap", "splice"] {
            assert!(jobs.iter().any(|job| job.engine == engine), "{engine}");
        }
        let depths: BTreeSet<u32> = jobs
            .iter()
            .filter(|job| job.name.starts_with("rand-destination-4k-"))
            .map(|job| job.depth)
            .collect();
        assert!(depths.contains(&1) && depths.contains(&256));
        assert!(jobs.iter().any(|job| job.verifies));
        let core = core().unwrap();
        assert_eq!(core.len(), CORE);
        assert!(
            core.iter()
                .all(|job| job.direct && job.engine == "io_uring")
        );
    }
}
