//! Runs experiments and judges them.

mod lack;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use api::{DataPath, Driver, Features, call};
use nix::sys::utsname::uname;
use pages::{PageScope, PinCounters, Roots, VmStat};
use tempfile::TempDir;

use crate::bench::Bench;
use crate::daemon::OwnDaemon;
use crate::error::io_error;
use crate::expected::{Observations, Version, difference};
use crate::experiment::Experiment;
use crate::outcome::{Outcome, Verdict};
use crate::standing::Standing;
use crate::{LabError, Result};
use lack::Lack;

/// How experiments are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Named in the outcome: the seed of the order, 0 for that of the list.
    pub seed: u64,
    /// Whether this machine may be harmed.
    pub vm: bool,
    /// What makes the block devices; none takes ublk, or NBD on a kernel without it.
    pub driver: Option<Driver>,
    /// The version whose known observations are compared with; none is the kernel's own.
    pub judged_as: Option<Version>,
}

/// A bvecd of its own, and what the kernel can be asked.
#[derive(Debug)]
pub struct Lab {
    daemon: OwnDaemon,
    features: Features,
    scope: std::result::Result<PageScope, String>,
    vmstat: VmStat,
    version: Version,
    directory: TempDir,
}

impl Lab {
    /// Starts bvecd and opens what pages are looked at with.
    ///
    /// # Errors
    /// bvecd is missing, says why it cannot run, or `interrupted` says that the user wants it to end.
    pub fn open(interrupted: &AtomicBool) -> Result<Self> {
        // Puppets' children become ours when their parents end, so that none is lost.
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|errno| io_error("become a subreaper")(errno.into()))?;
        let name = uname().map_err(|errno| io_error("ask for the kernel's name")(errno.into()))?;
        let release = name.release().to_string_lossy().into_owned();
        let version = Version::of_release(&release).unwrap_or(Version(0, 0));
        let directory = tempfile::Builder::new()
            .prefix("bvecd-lab-")
            .tempdir()
            .map_err(io_error("make a directory"))?;
        let daemon = OwnDaemon::start(directory.path(), interrupted)?;
        let features = daemon.client.send(call::features())?;
        Ok(Self {
            daemon,
            features,
            scope: PageScope::open().map_err(|error| error.to_string()),
            vmstat: VmStat::new(&Roots::default()),
            version,
            directory,
        })
    }

    /// The kernel's release.
    #[must_use]
    pub fn kernel(&self) -> &str {
        &self.features.kernel
    }

    /// Runs an experiment once. Nothing is held or left when it returns.
    ///
    /// # Errors
    /// The user interrupted, or the machine cannot be looked at. What the experiment itself could not do is a verdict.
    pub fn run(
        &self,
        experiment: &Experiment,
        settings: &Settings,
        interrupted: &AtomicBool,
    ) -> Result<Outcome> {
        let start = Instant::now();
        let outcome = |verdict, reason, observations| Outcome {
            schema: api::SCHEMA,
            experiment: experiment.name.to_owned(),
            kernel: self.kernel().to_owned(),
            driver: self.driver(settings),
            verdict,
            reason,
            not_applicable: false,
            observations,
            seed: settings.seed,
            duration_ns: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        };
        if let Some(lack) = self.lack(experiment, settings) {
            return Ok(Outcome {
                not_applicable: lack.not_applicable,
                ..outcome(Verdict::Skipped, Some(lack.why), Observations::new())
            });
        }
        let directory = self.directory.path().join(experiment.name);
        fs::create_dir_all(&directory).map_err(io_error("make a directory"))?;
        let standing = Standing::before(&self.vmstat)?;
        let bench = self.bench(settings, &directory, standing.pins(), interrupted);
        let result = (experiment.run)(&bench);
        // Whatever it was, nothing stays held.
        let healed = self.daemon.client.send(call::heal(None));
        if matches!(result, Err(LabError::Interrupted)) {
            return Err(LabError::Interrupted);
        }
        healed?;
        let mut broken = bench.broken.take();
        let version = settings.judged_as.unwrap_or(self.version);
        let tolerated = experiment.tolerates.iter();
        let tolerated: Vec<&str> = tolerated
            .filter(|alarm| alarm.is_about(version))
            .map(|alarm| alarm.text)
            .collect();
        broken.extend(standing.broken(&self.vmstat, &tolerated)?);
        fs::remove_dir_all(&directory).map_err(io_error("remove a directory"))?;
        let observed = bench.observations.take();
        if let Err(error) = result {
            if let Some(lack) = Lack::of_error(&error, self.driver(settings)) {
                return Ok(Outcome {
                    not_applicable: lack.not_applicable,
                    ..outcome(Verdict::Skipped, Some(lack.why), observed)
                });
            }
            broken.insert(0, format!("not answered: failed to {error}"));
        }
        if !broken.is_empty() {
            return Ok(outcome(
                Verdict::Violated,
                Some(broken.join("; ")),
                observed,
            ));
        }
        let changed = difference(experiment.expected, version, &observed);
        Ok(match changed {
            Some(why) => outcome(Verdict::Changed, Some(why), observed),
            None => outcome(Verdict::Holds, None, observed),
        })
    }

    fn bench<'a>(
        &'a self,
        settings: &Settings,
        directory: &'a Path,
        pins: PinCounters,
        interrupted: &'a AtomicBool,
    ) -> Bench<'a> {
        Bench {
            client: &self.daemon.client,
            driver: self.driver(settings),
            path: self.path(settings),
            scope: self.scope.as_ref().ok(),
            vmstat: &self.vmstat,
            directory,
            start: pins,
            interrupted,
            observations: RefCell::default(),
            broken: RefCell::default(),
            pins_seen: Cell::default(),
        }
    }

    /// ublk, or the NBD client on a kernel without it, unless one is asked for.
    fn driver(&self, settings: &Settings) -> Driver {
        settings.driver.unwrap_or(match self.refusal(Driver::Ublk) {
            Some(_) => Driver::Nbd,
            None => Driver::Ublk,
        })
    }

    /// Why a driver cannot be used here.
    #[must_use]
    pub fn refusal(&self, driver: Driver) -> Option<String> {
        let mut drivers = self.features.drivers.iter();
        let found = drivers.find(|support| support.name == driver && !support.usable)?;
        Some(found.why.clone().unwrap_or_default())
    }

    /// The data path that shows most.
    fn path(&self, settings: &Settings) -> DataPath {
        let mut paths = self.features.data_paths.iter();
        let can = paths.any(|support| support.name == DataPath::UserCopy && support.usable);
        match can && self.driver(settings) == Driver::Ublk {
            true => DataPath::UserCopy,
            false => DataPath::Copy,
        }
    }

    /// Stops bvecd.
    ///
    /// # Errors
    /// It does not end as it should.
    pub fn close(mut self) -> Result<()> {
        self.daemon.stop()
    }
}
