//! A job with everything that is counted around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pages::{PinCounters, Roots, VmStat};

use crate::fio::{Bound, Fio, FioRun, Order};
use crate::fio_log::{Log, Logs};
use crate::pins::{self, Counted};
use crate::record::Cost;
use crate::result::latency;
use crate::setup::{Setup, check_device};
use crate::statistics::{Histogram, number};
use crate::{BenchError, Job, JobResult, Observer, Result, cpu};

/// How long pins may outlive the job. A completion can be seen before its pins are given back
/// (`blkdev_bio_end_io_async`), and a ring with registered buffers is torn down by a worker.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_POLL: Duration = Duration::from_millis(10);

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

    /// The fio that it runs.
    #[must_use]
    pub const fn fio(&self) -> &Fio {
        &self.fio
    }

    /// Runs one job. A job with fixed buffers is run for one request first, see [`crate::pins`].
    ///
    /// # Errors
    /// [`BenchError::BadDevice`] before anything runs, [`BenchError::Pages`] when pins cannot be
    /// counted, [`BenchError::NotVerified`], and those of [`Fio::run`].
    pub fn run(&self, job: &Job, setup: &Setup, observer: &mut dyn Observer) -> Result<JobResult> {
        Ok(self.measure(job, setup, Logs::None, observer)?.job)
    }

    /// Runs one job, and keeps everything that is known of the run.
    ///
    /// # Errors
    /// As [`Self::run`]; [`BenchError::BadLog`]; [`BenchError::Vanished`] when the device is gone
    /// afterwards, whatever fio says.
    pub fn measure(
        &self,
        job: &Job,
        setup: &Setup,
        logs: Logs,
        observer: &mut dyn Observer,
    ) -> Result<Measured> {
        check_device(&setup.device)?;
        let short = if job.fixed_buffers {
            let run = self.count(job, setup, Bound::Ios(1), Logs::None, observer)?;
            Some(run.counted)
        } else {
            None
        };
        let bound = setup.limits.bound(job);
        let run = self.count(job, setup, bound, logs, observer);
        if fs::metadata(&setup.device).is_err() {
            return Err(BenchError::Vanished {
                path: setup.device.clone(),
            });
        }
        let run = run?;
        Ok(Measured {
            job: result(job, setup, &run, short)?,
            histogram: run.fio.output.job()?.latencies(job.direction),
            cost: cost(setup, &run)?,
            log: run.fio.log,
            raw: run.fio.raw,
        })
    }

    /// Runs a job for a while without counting, so that what comes next meets a warm device. A job that
    /// verifies is not: its warm-up would be its result.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn warm_up(
        &self,
        job: &Job,
        setup: &Setup,
        time: Duration,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if job.verifies || time.is_zero() {
            return Ok(());
        }
        check_device(&setup.device)?;
        let order = self.order(job, setup, Bound::Time(time), Logs::None);
        self.fio.run(&order, observer)?;
        Ok(())
    }

    fn order<'a>(&self, job: &'a Job, setup: &'a Setup, bound: Bound, logs: Logs) -> Order<'a> {
        let time = match bound {
            Bound::Time(time) => time,
            _ => Duration::ZERO,
        };
        Order {
            job,
            device: &setup.device,
            shared_memory: setup.shared_memory.as_deref(),
            bound,
            seed: setup.seed,
            limit: setup.limits.timeout + time,
            logs,
        }
    }

    fn count(
        &self,
        job: &Job,
        setup: &Setup,
        bound: Bound,
        logs: Logs,
        observer: &mut dyn Observer,
    ) -> Result<Run> {
        let daemon = |count: fn(&Path, u32) -> Result<u64>| match setup.daemon_pid {
            Some(pid) => count(&self.proc, pid),
            None => Ok(0),
        };
        let pins_before = self.vmstat.pins()?;
        let cpu_before = daemon(cpu::used_ns)?;
        let switches_before = daemon(cpu::switches)?;
        let order = self.order(job, setup, bound, logs);
        let fio = self.fio.run(&order, observer)?;
        let cpu_after = daemon(cpu::used_ns)?;
        let switches_after = daemon(cpu::switches)?;
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
            daemon_switches: switches_after.saturating_sub(switches_before),
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

/// Everything that is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The numbers that every job has.
    pub job: JobResult,
    /// Completion latencies in fio's bins.
    pub histogram: Histogram,
    /// What it cost, apart for client and daemon.
    pub cost: Cost,
    /// The run over time.
    pub log: Log,
    /// fio's own report.
    pub raw: String,
}

/// A run of fio with what was counted around it.
struct Run {
    fio: FioRun,
    counted: Counted,
    outstanding: i64,
    daemon_cpu_ns: u64,
    daemon_switches: u64,
}

fn cost(setup: &Setup, run: &Run) -> Result<Cost> {
    let fio = run.fio.output.job()?;
    let per_io = |count: u64| number(count) / number(fio.ios().max(1));
    let daemons = |count: u64| setup.daemon_pid.map(|_| per_io(count));
    Ok(Cost {
        client_cpu_ns_per_io: per_io(fio.cpu_ns()),
        daemon_cpu_ns_per_io: daemons(run.daemon_cpu_ns),
        client_switches_per_io: per_io(fio.switches()),
        daemon_switches_per_io: daemons(run.daemon_switches),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fio_output::FioOutput;
    use crate::{Backing, Limits, Quiet};

    const READ: &str = include_str!("../tests/data/rand-destination-4k-qd32.json");
    const VERIFY_BAD: &str = include_str!("../tests/data/verify-4k-qd32-bad.json");

    fn setup() -> Setup {
        Setup {
            device: PathBuf::from("/dev/ublkb0"),
            data_path: "copy".to_owned(),
            backing: Backing::Buffered,
            max_io_bytes: 512 << 10,
            daemon_pid: None,
            shared_memory: None,
            limits: Limits::default(),
            seed: 1,
        }
    }

    fn run(report: &str, pins_per_io: u64) -> Run {
        let output = FioOutput::parse(report).unwrap();
        let ios = output.job().unwrap().ios();
        Run {
            fio: FioRun {
                raw: report.to_owned(),
                log: Log::default(),
                output,
                complaints: Vec::new(),
            },
            counted: Counted {
                pins: ios * pins_per_io,
                ios,
            },
            outstanding: 0,
            daemon_cpu_ns: ios * 1000,
            daemon_switches: ios,
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
    fn a_cost_is_the_daemons_only_if_there_is_one() {
        let served = Setup {
            daemon_pid: Some(1),
            ..setup()
        };
        let run = run(READ, 1);
        assert_eq!(cost(&setup(), &run).unwrap().daemon_cpu_ns_per_io, None);
        let cost = cost(&served, &run).unwrap();
        assert_eq!(cost.daemon_switches_per_io, Some(1.0));
        assert!(cost.client_cpu_ns_per_io > 0.0);
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
