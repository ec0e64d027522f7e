//! Runs experiments and judges them.

use std::cell::{Cell, RefCell};
use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use api::{DataPath, Driver, Features, call};
use nix::sys::utsname::uname;
use pages::{PageScope, PinCounters, Roots, VmStat};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::bench::Bench;
use crate::daemon::OwnDaemon;
use crate::error::io_error;
use crate::expected::{Observations, Version, difference};
use crate::experiment::{Danger, Experiment, Need};
use crate::standing::Standing;
use crate::{LabError, Result};

/// What came of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is as predicted.
    Holds,
    /// An invariant broke, or the experiment could not be finished.
    Violated,
    /// An observation differs from what is known of this kernel version.
    Changed,
    /// It was not done.
    Skipped,
}

/// One run of an experiment, as `lab run --json` says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this form.
    pub schema: u32,
    /// The experiment.
    pub experiment: String,
    /// The kernel's release.
    pub kernel: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, unless it holds.
    pub reason: Option<String>,
    /// Whether it was skipped because this kernel cannot have what it asks about.
    pub not_applicable: bool,
    /// What was seen.
    pub observations: Observations,
    /// The seed of what was drawn at random.
    pub seed: u64,
    /// How long it took.
    pub duration_ns: u64,
}

/// How experiments are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Named in the outcome. The experiments of today draw nothing at random.
    pub seed: u64,
    /// Whether this machine may be harmed.
    pub vm: bool,
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
        let bench = self.bench(&directory, standing.pins(), interrupted);
        let result = (experiment.run)(&bench);
        // Whatever it was, nothing stays held.
        let healed = self.daemon.client.send(call::heal(None));
        if matches!(result, Err(LabError::Interrupted)) {
            return Err(LabError::Interrupted);
        }
        healed?;
        let mut broken = bench.broken.take();
        broken.extend(standing.broken(&self.vmstat, experiment.tolerates)?);
        fs::remove_dir_all(&directory).map_err(io_error("remove a directory"))?;
        let observed = bench.observations.take();
        if let Err(error) = result {
            if let LabError::Lacking(why) = error {
                return Ok(outcome(Verdict::Skipped, Some(why), observed));
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
        let changed = difference(experiment.expected, self.version, &observed);
        Ok(match changed {
            Some(why) => outcome(Verdict::Changed, Some(why), observed),
            None => outcome(Verdict::Holds, None, observed),
        })
    }

    fn bench<'a>(
        &'a self,
        directory: &'a Path,
        pins: PinCounters,
        interrupted: &'a AtomicBool,
    ) -> Bench<'a> {
        Bench {
            client: &self.daemon.client,
            driver: self.driver(),
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

    /// ublk, or the NBD client on a kernel without it.
    fn driver(&self) -> Driver {
        let has_none = self
            .features
            .drivers
            .iter()
            .any(|support| support.name == Driver::Ublk && !support.usable);
        match has_none {
            true => Driver::Nbd,
            false => Driver::Ublk,
        }
    }

    /// What an experiment needs and this machine does not have.
    fn lack(&self, experiment: &Experiment, settings: &Settings) -> Option<Lack> {
        if experiment.danger == Danger::VmOnly && !settings.vm {
            return Some(Lack::missing(
                "it may harm this machine: run it in a virtual machine, or with --dangerous"
                    .to_owned(),
            ));
        }
        experiment.needs.iter().find_map(|need| self.lacks(*need))
    }

    fn lacks(&self, need: Need) -> Option<Lack> {
        match need {
            Need::Kernel(major, minor) => {
                let needed = Version(major, minor);
                (self.version < needed).then(|| Lack {
                    why: format!("not applicable (kernel < {needed})"),
                    not_applicable: true,
                })
            }
            Need::Counts => {
                let why = self.scope.as_ref().err()?;
                Some(Lack::missing(format!(
                    "pages cannot be counted: failed to {why}"
                )))
            }
            Need::Path(path) => self.lacks_path(path),
            Need::Program(name) => {
                let path = env::var_os("PATH").unwrap_or_default();
                let found = env::split_paths(&path).any(|dir| dir.join(name).is_file());
                (!found).then(|| Lack::missing(format!("the program `{name}` is missing")))
            }
            Need::FileSystem(name) => {
                let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
                let found = known
                    .lines()
                    .any(|line| line.split('\t').nth(1) == Some(name));
                (!found).then(|| {
                    Lack::missing(format!("the kernel does not know {name}: load its module"))
                })
            }
            Need::File(path, what) => (!Path::new(path).exists())
                .then(|| Lack::missing(format!("{what} is missing: there is no {path}"))),
        }
    }

    fn lacks_path(&self, path: DataPath) -> Option<Lack> {
        let support = self.features.data_paths.iter().find(|s| s.name == path);
        support.is_none_or(|support| !support.usable).then(|| Lack {
            why: format!("not applicable (this kernel does not offer the data path {path})"),
            not_applicable: true,
        })
    }

    /// Stops bvecd.
    ///
    /// # Errors
    /// It does not end as it should.
    pub fn close(mut self) -> Result<()> {
        self.daemon.stop()
    }
}

/// Why an experiment is not done.
#[derive(Debug)]
struct Lack {
    why: String,
    not_applicable: bool,
}

impl Lack {
    const fn missing(why: String) -> Self {
        Self {
            why,
            not_applicable: false,
        }
    }
}

/// How many runs came to what: the last line of `lab run --json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The version of this form.
    pub schema: u32,
    /// The kernel's release.
    pub kernel: String,
    /// Runs that hold.
    pub holds: u32,
    /// Runs in which an invariant broke.
    pub violated: u32,
    /// Runs that differ from what is known.
    pub changed: u32,
    /// Runs that were not done, for whatever reason.
    pub skipped: u32,
    /// Those of them that this kernel cannot have.
    pub not_applicable: u32,
    /// How long all of it took.
    pub duration_ns: u64,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(kernel: &str) -> Self {
        Self {
            schema: api::SCHEMA,
            kernel: kernel.to_owned(),
            ..Self::default()
        }
    }

    /// Counts a run.
    pub fn add(&mut self, outcome: &Outcome) {
        *match outcome.verdict {
            Verdict::Holds => &mut self.holds,
            Verdict::Violated => &mut self.violated,
            Verdict::Changed => &mut self.changed,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
        self.not_applicable += u32::from(outcome.not_applicable);
        let sum = self.duration_ns.saturating_add(outcome.duration_ns);
        self.duration_ns = sum;
    }

    /// The time that all runs took together.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_nanos(self.duration_ns)
    }
}
