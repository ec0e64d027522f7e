//! The shipped job files, compiled in, so that the programs need no files beside them.

use crate::{Job, Result};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../fio-jobs/", $name, ".fio")))),*]
    };
}

/// Name and text, in the order in which a report reads best.
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
];

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

/// The text of a shipped job.
pub(crate) fn text_of(name: &str) -> Option<&'static str> {
    let (_, text) = JOBS.iter().find(|(known, _)| *known == name)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fio-jobs")
    }

    #[test]
    fn every_file_is_shipped_and_in_the_table() {
        let files: BTreeSet<String> = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|suffix| suffix == "fio"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(files, names().map(str::to_owned).collect());
        let table = fs::read_to_string(folder().join("README.md")).unwrap();
        for name in names() {
            assert!(table.contains(&format!("| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn every_job_keeps_the_rules_of_the_folder() {
        for (name, text) in JOBS {
            let job = Job::parse(name, text).unwrap();
            assert_eq!(&job.name, name);
            assert!(!job.description.is_empty(), "{name} has no comment");
            let has = |line| text.lines().any(|found| found == line);
            assert!(has("direct=1") && has("ioengine=io_uring"), "{name}");
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
        assert!(jobs.len() >= 8);
        for fixed in [false, true] {
            assert!(jobs.iter().any(|job| job.fixed_buffers == fixed));
        }
        assert!(jobs.iter().any(|job| job.verifies));
    }
}
