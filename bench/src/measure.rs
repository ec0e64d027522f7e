//! A job with everything that is counted around it.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pages::{PinCounters, Roots, VmStat};

use crate::fio::{Bound, Fio, FioRun};
use crate::pins::{self, Backing, Counted};
use crate::result::latency;
use crate::{BenchError, Job, JobResult, Observer, Result, cpu};

/// How long pins may outlive the job. A completion can be seen before its pins are given back
/// (`blkdev_bio_end_io_async`), and a ring with registered buffers is torn down by a worker.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_POLL: Duration = Duration::from_millis(10);

/// How much a job may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a job runs that does not verify.
    pub runtime: Duration,
    /// Requests instead of a time, for what is counted per request.
    pub ios: Option<u64>,
    /// Bytes that a verify job writes and reads back.
    pub verify_size_bytes: u64,
    /// When fio counts as hung, beyond `runtime`.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runtime: Duration::from_secs(3),
            ios: None,
            verify_size_bytes: 32 << 20,
            timeout: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// What ends `job`. A verify job is never cut short by time, it would verify nothing.
    fn bound(&self, job: &Job) -> Bound {
        match self.ios {
            _ if job.verifies => Bound::SizeBytes(self.verify_size_bytes),
            Some(ios) => Bound::Ios(ios),
            None => Bound::Time(self.runtime),
        }
    }
}

/// What a job runs on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The block device, or a regular file.
    pub device: PathBuf,
    /// Its data path, for the result.
    pub data_path: String,
    /// Whether the daemon may pin pages itself.
    pub backing: Backing,
    /// The longest request that the device takes unsplit.
    pub max_io_bytes: u64,
    /// The daemon, whose CPU time counts; `None` for a device that the kernel serves.
    pub daemon_pid: Option<u32>,
    /// How much to do.
    pub limits: Limits,
    /// Seed of fio's random offsets.
    pub seed: u64,
}

impl Setup {
    /// For a device of bvecd.
    #[must_use]
    pub fn of_device(device: &api::Device, limits: Limits, seed: u64) -> Self {
        Self {
            device: PathBuf::from(&device.path),
            data_path: device.data_path.to_string(),
            backing: Backing::of(&device.target),
            max_io_bytes: device.max_io_bytes.into(),
            daemon_pid: Some(device.daemon_pid),
            limits,
            seed,
        }
    }
}

/// Runs jobs and counts.
#[derive(Debug)]
pub struct Bench {
    fio: Fio,
    vmstat: VmStat,
    proc: PathBuf,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new(Fio::default(), &Roots::default())
    }
}

impl Bench {
    /// With another fio or another procfs.
    #[must_use]
    pub fn new(fio: Fio, roots: &Roots) -> Self {
        Self {
            fio,
            vmstat: VmStat::new(roots),
            proc: roots.proc.clone(),
        }
    }

    /// Runs one job. A job with fixed buffers is run for one request first, see [`crate::pins`].
    ///
    /// # Errors
    /// [`BenchError::BadDevice`] before anything runs, [`BenchError::Pages`] when pins cannot be
    /// counted, [`BenchError::NotVerified`], and those of [`Fio::run`].
    pub fn run(&self, job: &Job, setup: &Setup, observer: &mut dyn Observer) -> Result<JobResult> {
        check_device(&setup.device)?;
        let short = if job.fixed_buffers {
            let run = self.count(job, setup, Bound::Ios(1), observer)?;
            Some(run.counted)
        } else {
            None
        };
        let run = self.count(job, setup, setup.limits.bound(job), observer)?;
        result(job, setup, &run, short)
    }

    fn count(
        &self,
        job: &Job,
        setup: &Setup,
        bound: Bound,
        observer: &mut dyn Observer,
    ) -> Result<Run> {
        let limit = setup.limits.timeout
            + match bound {
                Bound::Time(time) => time,
                _ => Duration::ZERO,
            };
        let daemon_cpu = || match setup.daemon_pid {
            Some(pid) => cpu::used_ns(&self.proc, pid),
            None => Ok(0),
        };
        let pins_before = self.vmstat.pins()?;
        let cpu_before = daemon_cpu()?;
        let fio = self
            .fio
            .run(job, &setup.device, bound, setup.seed, limit, observer)?;
        let cpu_after = daemon_cpu()?;
        let pins = self.settled(pins_before)?;
        let ios = fio.output.job()?.ios();
        Ok(Run {
            fio,
            counted: Counted {
                pins: pins.acquired,
                ios,
            },
            outstanding: pins.outstanding(),
            daemon_cpu_ns: cpu_after.saturating_sub(cpu_before),
        })
    }

    /// What was pinned and given back since `before`, once both are equal or time is up.
    fn settled(&self, before: PinCounters) -> Result<PinCounters> {
        let start = Instant::now();
        loop {
            let pins = self.vmstat.pins()?.since(before);
            if pins.outstanding() == 0 || start.elapsed() > SETTLE {
                return Ok(pins);
            }
            thread::sleep(SETTLE_POLL);
        }
    }
}

/// A run of fio with what was counted around it.
struct Run {
    fio: FioRun,
    counted: Counted,
    outstanding: i64,
    daemon_cpu_ns: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds and requests of one run are far below 2^52"
)]
fn result(job: &Job, setup: &Setup, run: &Run, short: Option<Counted>) -> Result<JobResult> {
    let fio = run.fio.output.job()?;
    let (verify_errors, errors) = (fio.verify_errors(), fio.errors());
    let good = verify_errors == 0 && errors == 0;
    if job.verifies && good && fio.ios_read() < fio.ios_written() {
        return Err(BenchError::NotVerified {
            read: fio.ios_read(),
            written: fio.ios_written(),
        });
    }
    let rule = pins::rule_per_io(job, setup.max_io_bytes);
    let share = pins::share(rule, setup.backing, run.counted, short);
    let cpu_ns = run.daemon_cpu_ns + fio.cpu_ns();
    Ok(JobResult {
        name: job.name.clone(),
        device: setup.device.display().to_string(),
        data_path: setup.data_path.clone(),
        direction: job.direction,
        block_size_bytes: job.block_size_bytes,
        depth: job.depth,
        ios: fio.ios(),
        iops: fio.iops(job.direction),
        bandwidth_bytes_per_s: fio.bandwidth_bytes_per_s(job.direction),
        latency_ns: latency(&fio.latencies(job.direction))?,
        pins_acquired_per_io: share.client_per_io,
        pins_outstanding: run.outstanding,
        daemon_pins_per_io: share.daemon_per_io,
        pins_once: share.once,
        cpu_ns_per_io: cpu_ns as f64 / fio.ios().max(1) as f64,
        verify_errors,
        errors,
        fio_version: run.fio.output.version.clone(),
    })
}

/// fio would make a missing device a regular file, and read a character device.
fn check_device(path: &Path) -> Result<()> {
    let bad = |detail: String| BenchError::BadDevice {
        path: path.to_owned(),
        detail,
    };
    let kind = fs::metadata(path)
        .map_err(|error| bad(format!("{error}; should be a block device")))?
        .file_type();
    if kind.is_block_device() || kind.is_file() {
        Ok(())
    } else {
        Err(bad("it is neither a block device nor a file".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quiet;
    use crate::fio_output::FioOutput;

    const READ: &str = include_str!("../tests/data/rand-destination-4k-qd32.json");
    const VERIFY_BAD: &str = include_str!("../tests/data/verify-4k-qd32-bad.json");

    fn setup() -> Setup {
        Setup {
            device: PathBuf::from("/dev/ublkb0"),
            data_path: "copy".to_owned(),
            backing: Backing::Buffered,
            max_io_bytes: 512 << 10,
            daemon_pid: None,
            limits: Limits::default(),
            seed: 1,
        }
    }

    fn run(report: &str, pins_per_io: u64) -> Run {
        let output = FioOutput::parse(report).unwrap();
        let ios = output.job().unwrap().ios();
        Run {
            fio: FioRun {
                output,
                complaints: Vec::new(),
            },
            counted: Counted {
                pins: ios * pins_per_io,
                ios,
            },
            outstanding: 0,
            daemon_cpu_ns: ios * 1000,
        }
    }

    #[test]
    fn a_result_joins_report_pins_and_cpu() {
        let job = Job::load("rand-destination-4k-qd32").unwrap();
        let result = result(&job, &setup(), &run(READ, 1), None).unwrap();
        assert!(result.is_good());
        assert!((result.pins_acquired_per_io - 1.0).abs() < f64::EPSILON);
        assert!(result.cpu_ns_per_io > 1000.0, "fio's own time is added");
        assert!(result.latency_ns.p50 <= result.latency_ns.p99);
        assert_eq!((result.depth, result.block_size_bytes), (32, 4096));
    }

    #[test]
    fn keys_are_those_of_the_report() {
        let job = Job::load("rand-destination-4k-qd32").unwrap();
        let result = result(&job, &setup(), &run(READ, 1), None).unwrap();
        let value = serde_json::to_value(&result).unwrap();
        for key in [
            "name",
            "device",
            "data_path",
            "direction",
            "block_size_bytes",
            "depth",
            "ios",
            "iops",
            "bandwidth_bytes_per_s",
            "latency_ns",
            "pins_acquired_per_io",
            "pins_outstanding",
            "daemon_pins_per_io",
            "cpu_ns_per_io",
            "verify_errors",
            "errors",
        ] {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value["direction"], "destination");
        assert!(value["latency_ns"]["p99_9"].is_u64());
    }

    #[test]
    fn wrong_data_is_a_bad_result_and_unread_data_none() {
        let job = Job::load("verify-4k-qd32").unwrap();
        let bad = result(&job, &setup(), &run(VERIFY_BAD, 1), None).unwrap();
        assert_eq!(bad.verify_errors, 2);
        assert!(!bad.is_good());
        let unread = VERIFY_BAD
            .replace("\"error\":84", "\"error\":0")
            .replace("\"first_error\":84", "\"first_error\":0")
            .replace("\"total_err\":2", "\"total_err\":0")
            .replacen("\"total_ios\":1024", "\"total_ios\":1000", 1);
        let error = result(&job, &setup(), &run(&unread, 1), None).unwrap_err();
        assert!(matches!(
            error,
            BenchError::NotVerified {
                read: 1000,
                written: 1024
            }
        ));
    }

    #[test]
    fn verify_jobs_are_bound_by_size() {
        let verify = Job::load("verify-4k-qd32").unwrap();
        let plain = Job::load("rand-source-4k-qd1").unwrap();
        let limits = Limits {
            ios: Some(9),
            ..Limits::default()
        };
        assert_eq!(limits.bound(&verify), Bound::SizeBytes(32 << 20));
        assert_eq!(limits.bound(&plain), Bound::Ios(9));
        let timed = Limits::default().bound(&plain);
        assert_eq!(timed, Bound::Time(Duration::from_secs(3)));
    }

    #[test]
    fn what_is_no_device_is_refused_before_fio_runs() {
        let bench = Bench::new(Fio::at("/nowhere/fio"), &Roots::default());
        let job = Job::load("rand-source-4k-qd1").unwrap();
        for device in ["/dev/null", "/nowhere/device"] {
            let setup = Setup {
                device: PathBuf::from(device),
                ..setup()
            };
            let error = bench.run(&job, &setup, &mut Quiet).unwrap_err();
            assert!(matches!(error, BenchError::BadDevice { .. }), "{error}");
        }
    }
}
