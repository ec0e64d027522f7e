//! A job with everything that is counted around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pages::{PinCounters, Roots, VmStat};

use crate::fio::{Bound, Fio, FioRun, Order};
use crate::fio_log::{Log, Logs};
use crate::instructions::Instructions;
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
    /// Where the machine's clock counts instructions.
    instructions: Option<Instructions>,
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
            instructions: Instructions::here(&roots.proc),
        }
    }

    /// The fio that it runs.
    #[must_use]
    pub const fn fio(&self) -> &Fio {
        &self.fio
    }

    /// Runs one job. A job with fixed buffers is run for one request first, see [`crate::pins`]; so is any where
    /// instructions are counted, see [`crate::instructions`].
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
        let counts = self.instructions.is_some() && !job.verifies;
        let short = if job.fixed_buffers || counts {
            Some(self.count(job, setup, Bound::Ios(1), Logs::None, observer)?)
        } else {
            None
        };
        observer.begins();
        let bound = setup.limits.bound(job);
        let run = self.count(job, setup, bound, logs, observer);
        if fs::metadata(&setup.device).is_err() {
            return Err(BenchError::Vanished {
                path: setup.device.clone(),
            });
        }
        let run = run?;
        Ok(Measured {
            job: result(job, setup, &run, short.as_ref().map(|short| short.counted))?,
            histogram: run.fio.output.job()?.latencies(job.direction),
            cost: cost(setup, &run, short.as_ref().filter(|_| counts))?,
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
        let counted = || self.instructions.as_ref().map(Instructions::so_far);
        let instructions_before = counted().transpose()?;
        let order = self.order(job, setup, bound, logs);
        let fio = self.fio.run(&order, observer)?;
        let instructions_after = counted().transpose()?;
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
            instructions: instructions_after
                .zip(instructions_before)
                .map(|(after, before)| after.saturating_sub(before)),
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
    /// Instructions of the whole guest but this program's; the starting and the ending of fio are in it.
    instructions: Option<u64>,
}

/// Instructions of a request: what a run has more than one of a single request, which starts and ends alike.
fn slope(run: &Run, short: &Run) -> Option<f64> {
    let more = run
        .counted
        .ios
        .checked_sub(short.counted.ios)
        .filter(|ios| *ios > 0)?;
    let instructions = run.instructions?.checked_sub(short.instructions?)?;
    Some(number(instructions) / number(more))
}

fn cost(setup: &Setup, run: &Run, short: Option<&Run>) -> Result<Cost> {
    let fio = run.fio.output.job()?;
    // A request that failed is none of fio's count, and took instructions.
    let short = short.filter(|_| fio.errors() + fio.verify_errors() == 0);
    let per_io = |count: u64| number(count) / number(fio.ios().max(1));
    let daemons = |count: u64| setup.daemon_pid.map(|_| per_io(count));
    Ok(Cost {
        client_cpu_ns_per_io: per_io(fio.cpu_ns()),
        daemon_cpu_ns_per_io: daemons(run.daemon_cpu_ns),
        client_switches_per_io: per_io(fio.switches()),
        daemon_switches_per_io: daemons(run.daemon_switches),
        guest_instructions_per_io: short.and_then(|short| slope(run, short)),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds and requests of one run are far below 2^52"
)]
fn result(job: &Job, setup: &Setup, run: &Run, short: Option<Counted>) -> Result<JobResult> {
    let fio = run.fio.output.job()?;
    let (verify_errors, errors) = match job.verifies {
        true => (fio.verify_errors(), fio.errors()),
        // EILSEQ is a request's own error then, of its protection information.
        false => (0, fio.verify_errors() + fio.errors()),
    };
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
mod tests;
