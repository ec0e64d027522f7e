//! fio as a child process.

mod arguments;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::Running;
use crate::error::io_error;
use crate::fio_log::{Log, Logs};
use crate::fio_output::FioOutput;
use crate::{BenchError, Job, Observer, Result};
use arguments::{arguments, escaped, with_path};

/// The oldest fio whose report and logs are understood.
pub const LEAST: (u32, u32) = (3, 33);
/// How much of fio's complaints an error shows.
const COMPLAINT_LINES: usize = 6;

/// What ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A time, however often the job goes over the device.
    Time(Duration),
    /// A number of requests.
    Ios(u64),
    /// Bytes from the start of the device, each once.
    SizeBytes(u64),
}

/// The fio program.
#[derive(Debug, Clone)]
pub struct Fio {
    program: PathBuf,
}

impl Default for Fio {
    /// The `fio` of the `PATH`.
    fn default() -> Self {
        Self::at("fio")
    }
}

/// What fio is told to do.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The job.
    pub job: &'a Job,
    /// What it runs on.
    pub device: &'a Path,
    /// A file that its buffers are in.
    pub shared_memory: Option<&'a Path>,
    /// What ends it.
    pub bound: Bound,
    /// Seed of its random offsets.
    pub seed: u64,
    /// When it counts as hung.
    pub limit: Duration,
    /// What it writes down while it runs.
    pub logs: Logs,
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct FioRun {
    /// The report as fio wrote it.
    pub raw: String,
    /// What it wrote down while it ran.
    pub log: Log,
    /// The report.
    pub output: FioOutput,
    /// What fio printed to standard error.
    pub complaints: Vec<String>,
}

impl Fio {
    /// A program at another path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// Its version, such as `fio-3.33`.
    ///
    /// # Errors
    /// [`BenchError::NoFio`], [`BenchError::OldFio`] below [`LEAST`], [`BenchError::Io`].
    pub fn version(&self) -> Result<String> {
        let output = Command::new(&self.program).arg("--version").output();
        let output = output.map_err(|source| self.not_started(source))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().to_owned();
        match numbers(&version) {
            Some(numbers) if numbers >= LEAST => Ok(version),
            _ => Err(BenchError::OldFio {
                program: self.program.clone(),
                version,
            }),
        }
    }

    fn not_started(&self, source: io::Error) -> BenchError {
        match source.kind() {
            io::ErrorKind::NotFound => BenchError::NoFio {
                program: self.program.clone(),
            },
            _ => io_error("start fio")(source),
        }
    }

    /// Runs a job and waits for it.
    ///
    /// The child stays in the caller's process group, so that Ctrl-C at a terminal ends it with
    /// the caller; when this function returns it has ended, unless the error is
    /// [`BenchError::Stuck`]. A job that met errors still has a report.
    ///
    /// # Errors
    /// [`BenchError::NoFio`], [`BenchError::BadJob`] when fio does not understand it, [`BenchError::FioFailed`], [`BenchError::TimedOut`],
    /// [`BenchError::Interrupted`], [`BenchError::Stuck`], [`BenchError::BadReport`],
    /// [`BenchError::Io`].
    pub fn run(&self, order: &Order<'_>, observer: &mut dyn Observer) -> Result<FioRun> {
        let directory = tempfile::tempdir().map_err(io_error("make a temporary directory"))?;
        let report = directory.path().join("report.json");
        let file = directory.path().join("job.fio");
        fs::write(&file, &order.job.text).map_err(io_error("write the job file"))?;
        let command = || {
            let mut command = Command::new(&self.program);
            command
                .args(arguments(order))
                .args(order.logs.arguments())
                .arg(with_path("--output=", &report))
                .arg(&file)
                // For the job files that name it; for others the option does.
                .env("DEV", escaped(order.device))
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command
        };
        let child = command().spawn();
        let child = child.map_err(|source| self.not_started(source))?;
        let (status, complaints) = Running::new(child).wait(order.limit, observer)?;
        let failed = || match command().arg("--parse-only").output() {
            // It does not even read the job.
            Ok(parsed) if !status.success() && !parsed.status.success() => BenchError::BadJob {
                name: order.job.name.clone(),
                detail: format!("fio refuses it: {}", summary(&complaints)),
            },
            _ => BenchError::FioFailed {
                status: status.to_string(),
                message: summary(&complaints),
            },
        };
        let text = match fs::read_to_string(&report) {
            Ok(text) => text,
            Err(_) if !status.success() => return Err(failed()),
            Err(source) => return Err(io_error("read fio's report")(source)),
        };
        let output = match FioOutput::parse(&text) {
            Err(_) if !status.success() => return Err(failed()),
            other => other?,
        };
        if output.job()?.ios() == 0 {
            return Err(failed());
        }
        let log = order.logs.read(directory.path(), order.job.direction)?;
        Ok(FioRun {
            raw: text,
            log,
            output,
            complaints,
        })
    }
}

/// The numbers of a version such as `fio-3.33` or `fio-3.39-31-gabc`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.strip_prefix("fio-")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn summary(complaints: &[String]) -> String {
    if complaints.is_empty() {
        return "it printed no reason".to_owned();
    }
    let shown = &complaints[..complaints.len().min(COMPLAINT_LINES)];
    shown.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Progress, Quiet};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Instant;

    /// A program file that a sibling's fork still has open for writing cannot be run (ETXTBSY), so
    /// that tests which write one and start it take turns.
    static TURN: Mutex<()> = Mutex::new(());

    fn turn() -> MutexGuard<'static, ()> {
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A program that stands for fio; `$report` is where its report goes.
    fn fake(directory: &Path, body: &str) -> Fio {
        let path = directory.join("fake-fio");
        let script = format!(
            "#!/bin/sh\nfor argument; do case $argument in \
             --output=*) report=${{argument#--output=}};; esac; done\n{body}\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Fio::at(path)
    }

    fn run(body: &str, limit: Duration, observer: &mut dyn Observer) -> Result<FioRun> {
        let _turn = turn();
        let directory = tempfile::tempdir().unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let body = body.replace("$data", data.to_str().unwrap());
        let fio = fake(directory.path(), &body);
        let job = Job::load("rand-destination-4k-qd1").unwrap();
        fio.run(
            &Order {
                limit,
                ..order(&job)
            },
            observer,
        )
    }

    fn order(job: &Job) -> Order<'_> {
        Order {
            job,
            device: Path::new("/dev/null"),
            shared_memory: None,
            bound: Bound::Ios(1),
            seed: 7,
            limit: LONG,
            logs: Logs::None,
        }
    }

    const LONG: Duration = Duration::from_secs(60);
    const COPY: &str = "cp $data/rand-destination-4k-qd32.json $report";

    #[test]
    fn a_report_is_read_and_status_lines_arrive() {
        struct Lines(Vec<String>);
        impl Observer for Lines {
            fn progress(&mut self, progress: &Progress) {
                self.0.extend(progress.status.clone());
            }
        }
        let mut lines = Lines(Vec::new());
        let body = format!("printf 'a\\rb\\n'; echo careful >&2; sleep 0.3; {COPY}");
        let run = run(&body, LONG, &mut lines).unwrap();
        assert_eq!(run.output.version, "fio-3.33");
        assert_eq!(run.complaints, ["careful"]);
        assert!(lines.0.contains(&"b".to_owned()), "{:?}", lines.0);
    }

    #[test]
    fn a_failed_job_with_a_report_is_a_result() {
        let body = format!("{COPY}; exit 1");
        assert!(run(&body, LONG, &mut Quiet).is_ok());
    }

    #[test]
    fn a_failure_without_a_report_shows_fios_words() {
        let body = "case \"$*\" in *--parse-only*) exit 0;; esac; echo no such option >&2; exit 1";
        let error = run(body, LONG, &mut Quiet).unwrap_err();
        assert!(matches!(error, BenchError::FioFailed { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("exit status: 1") && text.contains("no such option"),
            "{text}"
        );
    }

    #[test]
    fn a_job_that_fio_does_not_read_is_a_bad_job() {
        let error = run("echo Bad option >&2; exit 1", LONG, &mut Quiet).unwrap_err();
        assert!(matches!(error, BenchError::BadJob { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("rand-destination-4k-qd1") && text.contains("Bad option"),
            "{text}"
        );
    }

    #[test]
    fn a_time_out_and_a_cancel_kill_it() {
        struct Cancel;
        impl Observer for Cancel {
            fn progress(&mut self, _: &Progress) {}
            fn cancelled(&self) -> bool {
                true
            }
        }
        let start = Instant::now();
        let short = Duration::from_millis(100);
        let error = run("exec sleep 60", short, &mut Quiet).unwrap_err();
        assert!(matches!(error, BenchError::TimedOut { .. }), "{error}");
        let error = run("exec sleep 60", LONG, &mut Cancel).unwrap_err();
        assert!(matches!(error, BenchError::Interrupted), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_program_is_named() {
        let _turn = turn();
        let job = Job::load("rand-destination-4k-qd1").unwrap();
        let fio = Fio::at("/nowhere/fio");
        assert!(matches!(fio.version(), Err(BenchError::NoFio { .. })));
        let error = fio.run(&order(&job), &mut Quiet).unwrap_err();
        assert!(error.is_missing_requirement() && error.to_string().contains("package fio"));
    }

    #[test]
    fn an_old_fio_is_refused() {
        let _turn = turn();
        let directory = tempfile::tempdir().unwrap();
        for (says, fits) in [
            ("fio-3.33", true),
            ("fio-3.39-31-gabc", true),
            ("fio-4.0", true),
            ("fio-3.16", false),
            ("fio-2.99", false),
            ("something else", false),
        ] {
            let found = fake(directory.path(), &format!("echo {says}")).version();
            assert_eq!(found.is_ok(), fits, "{says}");
            if let Err(error) = found {
                assert!(error.is_missing_requirement(), "{error}");
                assert!(error.to_string().contains(says), "{error}");
            }
        }
    }
}
