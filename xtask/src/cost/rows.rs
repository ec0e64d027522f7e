//! What the runs gave: fio's reports as rows of `result.json`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Arguments;
use super::jobs::{self, Direction, Job};
use crate::process;

/// The format of `result.json`.
const SCHEMA: u32 = 1;
/// What is measured, in the file.
const MEASURE: &str = "instructions_per_io";
/// How the guest writes the data path and transport of a driver of the kernel's.
const NONE: &str = "-";

/// `target/cost/result.json` and `target/bench-peers/result.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    pub(crate) kernel: String,
    /// What was measured, as git describes it.
    revision: String,
    rounds: u32,
    pub(crate) results: Vec<Row>,
}

/// One server with one target, data path and job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// `bvecd`, `rublk`, `loop`, `null_blk`, or `floor`, the server that answers at once.
    pub(crate) peer: String,
    /// What is special about it: another revision, or what it has to do beside; mostly nothing.
    pub(crate) variant: Option<String>,
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
    /// Instructions of the whole guest for one request.
    measure: &'static str,
    /// One value a round.
    pub(crate) values: Vec<f64>,
    pub(crate) median: f64,
    /// What the two threads ran for one request that carry it, fio's and that of the queue, one value a round;
    /// of bvecd only. All else in `values` is others': timers, the server of the API, its client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) threads: Vec<f64>,
}

/// What of fio's report is looked at.
#[derive(Debug, Deserialize)]
struct FioReport {
    jobs: Vec<FioJob>,
}

#[derive(Debug, Deserialize)]
struct FioJob {
    error: i32,
    /// Percent of `job_runtime` (getrusage(2), `RUSAGE_THREAD`).
    usr_cpu: f64,
    sys_cpu: f64,
    /// Milliseconds.
    job_runtime: u32,
    read: FioSide,
    write: FioSide,
    trim: FioSide,
}

#[derive(Debug, Deserialize)]
struct FioSide {
    total_ios: u64,
    /// Milliseconds.
    runtime: u64,
}

impl Report {
    /// Reads what the guest left in `directory`: `ROUND/PEER/VARIANT/TARGET/DATA_PATH/TRANSPORT/JOB.json`.
    ///
    /// # Errors
    /// If a report cannot be read, tells of an error or is of another number than `ios`; if a round lacks a run that the first has.
    pub(super) fn read(directory: &Path, kernel: String, arguments: &Arguments) -> Result<Self> {
        let (rounds, ios) = (arguments.rounds, arguments.ios);
        let first = directory.join("1");
        let mut places = vec![PathBuf::new()];
        // Peer, variant, target, data path, transport.
        for _ in 0..5 {
            let mut below = Vec::new();
            for place in places {
                let names = names(&first.join(&place))?;
                below.extend(names.into_iter().map(|name| place.join(name)));
            }
            places = below;
        }
        let mut results = Vec::new();
        for place in places {
            let is_report = |name: &String| name.ends_with(".json");
            for name in names(&first.join(&place))?.into_iter().filter(is_report) {
                let file = place.join(&name);
                let job = name.strip_suffix(".json").and_then(jobs::named);
                let job = job.with_context(|| format!("no job has left {}", file.display()))?;
                let samples = (1..=rounds)
                    .map(|round| {
                        let file = directory.join(round.to_string()).join(&file);
                        let sample = Sample::read(&file, ios);
                        sample.with_context(|| format!("failed to use {}", file.display()))
                    })
                    .collect::<Result<Vec<_>>>()?;
                results.push(Row::new(&place, job, &samples));
            }
        }
        ensure!(!results.is_empty(), "the guest left no results");
        Ok(Self {
            schema: SCHEMA,
            kernel,
            revision: process::revision(),
            rounds,
            results,
        })
    }
}

#[cfg(test)]
impl Report {
    /// One of these rows.
    pub(crate) fn sample(kernel: &str, results: Vec<Row>) -> Self {
        Self {
            schema: SCHEMA,
            kernel: kernel.to_owned(),
            revision: "0".to_owned(),
            rounds: 1,
            results,
        }
    }
}

impl Row {
    /// A row of what ran at `PEER/VARIANT/TARGET/DATA_PATH/TRANSPORT`.
    fn new(place: &Path, job: &Job, samples: &[Sample]) -> Self {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let mut words = place.iter().map(|word| word.to_string_lossy().into_owned());
        let mut word = || words.next().unwrap_or_default();
        let (peer, variant, target) = (word(), word(), word());
        let (data_path, transport) = (word(), word());
        let some = |word: String| (word != NONE).then_some(word);
        Self {
            peer,
            variant: some(variant),
            target,
            data_path: some(data_path),
            transport: some(transport),
            job: job.name.into(),
            block_size_bytes: job.block_size_bytes,
            depth: job.depth,
            direction: job.direction,
            measure: MEASURE,
            median: median(&values),
            values,
            threads: samples.iter().filter_map(|sample| sample.threads).collect(),
        }
    }

    /// A row of the first job with one value.
    #[cfg(test)]
    pub(crate) fn sample(place: &str, values: &[f64]) -> Self {
        let job = jobs::of(false).next().unwrap();
        let sample = |&value| Sample {
            value,
            threads: None,
        };
        let samples: Vec<Sample> = values.iter().map(sample).collect();
        Self::new(Path::new(place), job, &samples)
    }

    /// The same with what the threads ran that carry the request.
    #[cfg(test)]
    pub(crate) fn with_threads(self, threads: &[f64]) -> Self {
        Self {
            threads: threads.to_vec(),
            ..self
        }
    }

    /// Whether it is of this variant.
    pub(crate) fn is(&self, variant: &str) -> bool {
        self.variant.as_deref() == Some(variant)
    }

    /// Whether both are of the same run but for their variant.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        (&self.peer, &self.target, &self.job) == (&other.peer, &other.target, &other.job)
            && (&self.data_path, &self.transport) == (&other.data_path, &other.transport)
    }

    /// Data path and transport, for people.
    pub(crate) fn way(&self) -> String {
        let part = |word: &Option<String>| word.clone().unwrap_or_else(|| NONE.into());
        match self.transport.as_deref() {
            Some("batch") => format!("{} batch", part(&self.data_path)),
            _ => part(&self.data_path),
        }
    }
}

/// What a run measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    value: f64,
    threads: Option<f64>,
}

impl Sample {
    /// Reads a report of fio, and what stands beside it about the queue.
    fn read(file: &Path, ios: u64) -> Result<Self> {
        let report = fs::read_to_string(file)?;
        let queue = file.with_extension("queue");
        let queue_ns = match queue.exists() {
            true => Some(fs::read_to_string(queue)?.trim().parse()?),
            false => None,
        };
        sample(&report, queue_ns, ios)
    }
}

fn sample(report: &str, queue_ns: Option<f64>, ios: u64) -> Result<Sample> {
    let report: FioReport = serde_json::from_str(report).context("it is no report of fio")?;
    let [job] = report.jobs.as_slice() else {
        anyhow::bail!("it is of {} jobs, expected one", report.jobs.len());
    };
    ensure!(job.error == 0, "fio met error {}", job.error);
    // Every job has one direction, so that the others are 0.
    let done = job.read.total_ios + job.write.total_ios + job.trim.total_ios;
    ensure!(done == ios, "it is of {done} requests, expected {ios}");
    let runtime_ms = job.read.runtime.max(job.write.runtime);
    let runtime_ms = runtime_ms.max(job.trim.runtime);
    ensure!(runtime_ms > 0, "it took no time");
    let count = |number: u64| u32::try_from(number).map(f64::from);
    let done = count(done)?;
    let fio_ns = (job.usr_cpu + job.sys_cpu) / 100.0 * f64::from(job.job_runtime) * 1e6;
    // Under `-icount shift=0` a nanosecond of the guest's clock is one instruction.
    Ok(Sample {
        value: count(runtime_ms)? * 1e6 / done,
        threads: queue_ns.map(|queue_ns| (fio_ns + queue_ns) / done),
    })
}

/// The middle one, or the mean of the middle two.
pub(super) fn median(values: &[f64]) -> f64 {
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
            r#"{{"jobs":[{{"error":{error},"usr_cpu":25.0,"sys_cpu":25.0,"job_runtime":{runtime_ms},"read":{{"total_ios":{ios},"runtime":{runtime_ms}}},
               "write":{{"total_ios":0,"runtime":0}},"trim":{{"total_ios":0,"runtime":0}}}}]}}"#
        )
    }

    #[test]
    fn a_virtual_nanosecond_is_an_instruction() {
        let sample = |queue_ns| sample(&report(20_000, 0, 497), queue_ns, 20_000).unwrap();
        let count = sample(None);
        assert!((count.value - 24_850.0).abs() < 1e-6, "{count:?}");
        assert_eq!(count.threads, None);
        // fio ran half of the time.
        let threads = sample(Some(100e6)).threads.unwrap();
        assert!((threads - 17_425.0).abs() < 1e-6, "{threads}");
    }

    #[test]
    fn a_run_that_was_cut_short_is_refused() {
        for (text, reason) in [
            (report(16_384, 0, 400), "expected 20000"),
            (report(20_000, 5, 400), "error 5"),
            (report(20_000, 0, 0), "no time"),
            ("fio: no".to_owned(), "no report"),
        ] {
            let error = sample(&text, None, 20_000).unwrap_err();
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
        for round in [1, 2] {
            let place = dir.path().join(format!("{round}/bvecd/-/loop/copy/batch"));
            fs::create_dir_all(&place).unwrap();
            for job in jobs::of(false) {
                let text = report(1000, 0, 20 + round);
                fs::write(place.join(format!("{}.json", job.name)), text).unwrap();
                fs::write(place.join(format!("{}.queue", job.name)), "5000000\n").unwrap();
            }
        }
        let read = |rounds| {
            let arguments = Arguments {
                rounds,
                ios: 1000,
                ..Arguments::default()
            };
            Report::read(dir.path(), "7.3.4".into(), &arguments)
        };
        let report = read(2).unwrap();
        assert_eq!(report.results.len(), jobs::of(false).count());
        let row = &report.results[0];
        assert_eq!(
            (row.peer.as_str(), row.way().as_str()),
            ("bvecd", "copy batch")
        );
        assert!((row.median - 21_500.0).abs() < 1e-6, "{}", row.median);
        assert!((row.threads[1] - 16_000.0).abs() < 1e-6, "{row:?}");
        let error = read(3).unwrap_err();
        assert!(format!("{error:#}").contains("3/bvecd"), "{error:#}");
    }

    #[test]
    fn the_report_is_what_its_schema_says() {
        let schema = include_str!("../../../docs/schemas/instructions.schema.json");
        let schema = serde_json::from_str(schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let places = ["bvecd/base/null/copy/per-io", "floor/-/null/copy/batch"];
        let report = Report {
            schema: SCHEMA,
            kernel: "7.3.4".into(),
            revision: "0".into(),
            rounds: 1,
            results: places.map(|place| Row::sample(place, &[1.0])).into(),
        };
        let mut json = serde_json::to_value(&report).unwrap();
        let errors: Vec<_> = validator.iter_errors(&json).collect();
        assert!(errors.is_empty(), "{errors:?}");
        json["results"][0]["variant"] = 7.into();
        assert!(!validator.is_valid(&json));
    }

    #[test]
    fn drivers_of_the_kernel_have_no_data_path() {
        let row = Row::sample("null_blk/-/null/-/-", &[1.0]);
        let json = serde_json::to_value(&row).unwrap();
        assert!(json["data_path"].is_null() && json["transport"].is_null());
        assert!(json["variant"].is_null());
        assert_eq!(json["direction"], "destination");
        assert_eq!(json["measure"], "instructions_per_io");
    }
}
