//! What the runs gave: fio's reports as rows of `result.json`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::jobs::{Direction, JOBS, Job};

/// The format of `result.json`.
const SCHEMA: u32 = 1;
/// How the guest writes the data path of a server that has none.
const NO_DATA_PATH: &str = "-";

/// `target/cost/result.json` and `target/bench-peers/result.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    kernel: String,
    rounds: u32,
    pub(crate) results: Vec<Row>,
}

/// One server with one target, data path and job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// `bvecd`, `rublk`, `loop` or `null_blk`.
    pub(crate) peer: String,
    pub(crate) target: String,
    /// None for the kernel's own drivers.
    pub(crate) data_path: Option<String>,
    /// None for the kernel's own drivers.
    pub(crate) transport: Option<String>,
    /// The job file's name.
    pub(crate) job: String,
    block_size_bytes: u32,
    depth: u16,
    direction: Direction,
    measure: &'static str,
    /// One value a round.
    pub(crate) values: Vec<f64>,
    pub(crate) median: f64,
}

/// What of fio's report is looked at.
#[derive(Debug, Deserialize)]
struct FioReport {
    jobs: Vec<FioJob>,
}

#[derive(Debug, Deserialize)]
struct FioJob {
    error: i32,
    read: FioSide,
    write: FioSide,
}

#[derive(Debug, Deserialize)]
struct FioSide {
    total_ios: u64,
    /// Milliseconds.
    runtime: u64,
}

impl Report {
    /// Reads what the guest left in `directory`: `ROUND/PEER/TARGET/DATA_PATH/JOB.json`.
    ///
    /// # Errors
    /// If a report cannot be read, tells of an error, or is of another number of requests than
    /// `ios`; if a round lacks a run that the first has.
    pub(super) fn read(directory: &Path, kernel: String, rounds: u32, ios: u64) -> Result<Self> {
        let mut results = Vec::new();
        let first = directory.join("1");
        for peer in names(&first)? {
            for target in names(&first.join(&peer))? {
                for path in names(&first.join(&peer).join(&target))? {
                    for job in JOBS {
                        let file = format!("{peer}/{target}/{path}/{}.json", job.name);
                        let values = (1..=rounds)
                            .map(|round| {
                                let file = directory.join(round.to_string()).join(&file);
                                let text = fs::read_to_string(&file);
                                text.map_err(anyhow::Error::from)
                                    .and_then(|text| instructions_per_io(&text, ios))
                                    .with_context(|| format!("failed to use {}", file.display()))
                            })
                            .collect::<Result<_>>()?;
                        results.push(Row::new(&peer, &target, &path, job, values));
                    }
                }
            }
        }
        ensure!(!results.is_empty(), "the guest left no results");
        Ok(Self {
            schema: SCHEMA,
            kernel,
            rounds,
            results,
        })
    }
}

impl Row {
    pub(super) fn new(
        peer: &str,
        target: &str,
        data_path: &str,
        job: &Job,
        values: Vec<f64>,
    ) -> Self {
        let data_path = (data_path != NO_DATA_PATH).then(|| data_path.to_owned());
        Self {
            peer: peer.into(),
            target: target.into(),
            transport: data_path.is_some().then(|| "per-io".into()),
            data_path,
            job: job.name.into(),
            block_size_bytes: job.block_size_bytes,
            depth: job.depth,
            direction: job.direction,
            measure: "instructions_per_io",
            median: median(&values),
            values,
        }
    }

    /// A row of the first job with one value.
    #[cfg(test)]
    pub(crate) fn sample(peer: &str, target: &str, data_path: &str, value: f64) -> Self {
        Self::new(peer, target, data_path, &JOBS[0], vec![value])
    }

    /// The data path, for people.
    pub(crate) fn path(&self) -> &str {
        self.data_path.as_deref().unwrap_or(NO_DATA_PATH)
    }
}

/// Under `-icount shift=0` a nanosecond of the guest's clock is one instruction.
fn instructions_per_io(report: &str, ios: u64) -> Result<f64> {
    let report: FioReport = serde_json::from_str(report).context("it is no report of fio")?;
    let [job] = report.jobs.as_slice() else {
        anyhow::bail!("it is of {} jobs, expected one", report.jobs.len());
    };
    ensure!(job.error == 0, "fio met error {}", job.error);
    let done = job.read.total_ios + job.write.total_ios;
    ensure!(done == ios, "it is of {done} requests, expected {ios}");
    // Every job has one direction, so that one of the two is 0.
    let runtime_ms = job.read.runtime.max(job.write.runtime);
    ensure!(runtime_ms > 0, "it took no time");
    let count = |number: u64| u32::try_from(number).map(f64::from);
    Ok(count(runtime_ms)? * 1e6 / count(done)?)
}

/// The middle one, or the mean of the middle two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[upper],
        _ => f64::midpoint(sorted[upper - 1], sorted[upper]),
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let context = || format!("failed to list {}", directory.display());
    let mut names = fs::read_dir(directory)
        .with_context(context)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()
        .with_context(context)?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ios: u64, error: i32, runtime_ms: u64) -> String {
        format!(
            r#"{{"jobs":[{{"error":{error},"read":{{"total_ios":{ios},"runtime":{runtime_ms}}},
               "write":{{"total_ios":0,"runtime":0}}}}]}}"#
        )
    }

    #[test]
    fn a_virtual_nanosecond_is_an_instruction() {
        let value = instructions_per_io(&report(20_000, 0, 497), 20_000).unwrap();
        assert!((value - 24_850.0).abs() < 1e-6, "{value}");
    }

    #[test]
    fn a_run_that_was_cut_short_is_refused() {
        for (text, reason) in [
            (report(16_384, 0, 400), "expected 20000"),
            (report(20_000, 5, 400), "error 5"),
            (report(20_000, 0, 0), "no time"),
            ("fio: no".to_owned(), "no report"),
        ] {
            let error = instructions_per_io(&text, 20_000).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }

    #[test]
    fn medians() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn the_files_of_the_guest_become_rows() {
        let dir = tempfile::tempdir().unwrap();
        for (round, place) in [(1, "bvecd/loop/copy"), (2, "bvecd/loop/copy")] {
            let place = dir.path().join(format!("{round}/{place}"));
            fs::create_dir_all(&place).unwrap();
            for job in JOBS {
                let text = report(1000, 0, 20 + round);
                fs::write(place.join(format!("{}.json", job.name)), text).unwrap();
            }
        }
        let report = Report::read(dir.path(), "7.3.4".into(), 2, 1000).unwrap();
        assert_eq!(report.results.len(), JOBS.len());
        let row = &report.results[0];
        assert_eq!((row.peer.as_str(), row.path()), ("bvecd", "copy"));
        assert!((row.median - 21_500.0).abs() < 1e-6, "{}", row.median);
        let error = Report::read(dir.path(), "7.3.4".into(), 3, 1000).unwrap_err();
        assert!(format!("{error:#}").contains("3/bvecd"), "{error:#}");
    }

    #[test]
    fn drivers_of_the_kernel_have_no_data_path() {
        let row = Row::new("null_blk", "null", NO_DATA_PATH, &JOBS[0], vec![1.0]);
        let json = serde_json::to_value(&row).unwrap();
        assert!(json["data_path"].is_null() && json["transport"].is_null());
        assert_eq!(json["direction"], "destination");
    }
}
