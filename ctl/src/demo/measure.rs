//! The demo's fio jobs.

use anyhow::Result;
use api::{DataPath, DeviceConfig, Features, TargetConfig};
use bench::{Bench, Job, Limits, Setup, catalogue};

use super::report::Measured;
use super::stage::{OwnDevice, Stage};
use crate::command::bench::progress::Following;
use crate::demo::Arguments;
use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// The job that is run once more on an `O_DIRECT` backing.
pub(super) const DIRECT_JOB: &str = "rand-destination-4k-qd32";
/// The data paths of the demo, where the kernel has them.
const PATHS: [DataPath; 3] = [DataPath::Copy, DataPath::UserCopy, DataPath::AutoZeroCopy];
/// Size of the disk that the `O_DIRECT` backing is.
const UNDERLYING_BYTES: u64 = 64 << 20;

/// Those of the demo's data paths that can be used here.
///
/// # Errors
/// [`Failure::Missing`] if none can.
pub(super) fn usable(features: &Features) -> Result<Vec<DataPath>> {
    let is_usable = |path: &DataPath| {
        features
            .data_paths
            .iter()
            .any(|found| found.name == *path && found.usable)
    };
    let paths: Vec<DataPath> = PATHS.into_iter().filter(is_usable).collect();
    if paths.is_empty() {
        return Err(Failure::Missing("find a data path that this kernel has".to_owned()).into());
    }
    Ok(paths)
}

/// What is run, on what, for how long.
#[derive(Debug)]
pub(super) struct Plan {
    paths: Vec<DataPath>,
    jobs: Vec<Job>,
    direct: Job,
    limits: Limits,
    seed: u64,
}

impl Plan {
    /// The short list of shipped jobs on every data path, and one of them on an `O_DIRECT` backing.
    ///
    /// # Errors
    /// A shipped job cannot be read, which a test rules out.
    pub(super) fn new(arguments: &Arguments, paths: &[DataPath]) -> Result<Self> {
        Ok(Self {
            paths: paths.to_vec(),
            jobs: catalogue::core()?,
            direct: Job::load(DIRECT_JOB)?,
            limits: Limits {
                runtime: arguments.runtime(),
                verify_size_bytes: arguments.verify_size_bytes(),
                ..Limits::default()
            },
            seed: arguments.seed,
        })
    }

    /// Runs all of it.
    ///
    /// # Errors
    /// A device cannot be made, a job cannot be run or counted, or the user interrupts.
    pub(super) fn run(&self, stage: &Stage, interrupt: &Interrupt) -> Result<Measured> {
        let mut following = Following::new(interrupt, (self.jobs.len() + 1) * self.paths.len());
        let mut measured = Measured::default();
        for path in &self.paths {
            let file = stage.backing.clone();
            let target = TargetConfig::Loop {
                file,
                direct: false,
            };
            let own = stage.add(&self.config(target, *path))?;
            self.measure(&self.jobs, &own, &mut following, &mut measured)?;
            own.remove()?;
        }
        self.run_direct(stage, &mut following, &mut measured)?;
        following.end();
        Ok(measured)
    }

    /// Another device of ours is the backing: a block device that takes `O_DIRECT` on every kernel,
    /// which tmpfs does not, and that pins nothing itself.
    fn run_direct(
        &self,
        stage: &Stage,
        following: &mut Following,
        measured: &mut Measured,
    ) -> Result<()> {
        for path in &self.paths {
            let ram = TargetConfig::Ram {
                size_bytes: UNDERLYING_BYTES,
            };
            let underlying = stage.add(&self.config(ram, DataPath::Copy))?;
            let file = underlying.device.path.clone().into();
            let own = stage.add(&self.config(TargetConfig::Loop { file, direct: true }, *path))?;
            self.measure(
                std::slice::from_ref(&self.direct),
                &own,
                following,
                measured,
            )?;
            own.remove()?;
            underlying.remove()?;
        }
        Ok(())
    }

    fn config(&self, target: TargetConfig, data_path: DataPath) -> DeviceConfig {
        DeviceConfig {
            data_path,
            seed: self.seed,
            ..DeviceConfig::new(target)
        }
    }

    fn measure(
        &self,
        jobs: &[Job],
        own: &OwnDevice<'_>,
        following: &mut Following,
        measured: &mut Measured,
    ) -> Result<()> {
        let setup = Setup::of_device(&own.device, self.limits, self.seed);
        let bench = Bench::default();
        measured.devices.push((&own.device).into());
        for job in jobs {
            let device = format!("{} ({})", own.device.path, own.device.data_path);
            following.begin(&job.name, &device);
            measured.jobs.push(bench.run(job, &setup, following)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::{DataPathSupport, SCHEMA};

    use super::*;

    fn features(usable: &[DataPath]) -> Features {
        let support = |name| DataPathSupport {
            name,
            usable: usable.contains(&name),
            why: None,
        };
        Features {
            schema: SCHEMA,
            kernel: "6.12".to_owned(),
            mask: 0,
            flags: Vec::new(),
            data_paths: DataPath::ALL.map(support).to_vec(),
            table: Vec::new(),
            drivers: Vec::new(),
            transports: Vec::new(),
        }
    }

    #[test]
    fn only_the_kernels_data_paths_are_measured() {
        let paths = usable(&features(&[
            DataPath::UserCopy,
            DataPath::Copy,
            DataPath::Auto,
        ]));
        assert_eq!(paths.unwrap(), [DataPath::Copy, DataPath::UserCopy]);
        assert!(usable(&features(&[DataPath::ZeroCopy])).is_err());
    }

    #[test]
    fn the_direct_job_is_shipped() {
        assert!(catalogue::names().any(|name| name == DIRECT_JOB));
    }
}
