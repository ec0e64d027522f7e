//! What an experiment needs and this machine does not have.

use std::env;
use std::fs;
use std::path::Path;

use api::{ClientError, DataPath, Driver, ProblemCode};

use super::{Lab, Settings};
use crate::LabError;
use crate::expected::Version;
use crate::experiment::{Danger, Experiment, Need};

impl Lab {
    /// What an experiment needs and this machine does not have.
    pub(super) fn lack(&self, experiment: &Experiment, settings: &Settings) -> Option<Lack> {
        if experiment.danger == Danger::VmOnly && !settings.vm {
            return Some(Lack::missing(
                "it may harm this machine: run it in a virtual machine, or with --dangerous"
                    .to_owned(),
            ));
        }
        experiment
            .needs
            .iter()
            .find_map(|need| self.lacks(*need, self.driver(settings)))
    }

    fn lacks(&self, need: Need, driver: Driver) -> Option<Lack> {
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
            Need::Path(_) if driver == Driver::Nbd => Some(Lack::of_nbd(
                "the kernel's client copies pages into and out of its socket, so that nobody sees or changes the \
                 pages of a request that is held",
            )),
            Need::Parts if driver == Driver::Nbd => Some(Lack::of_nbd(
                "the protocol has no answer for a part of a request",
            )),
            Need::Parts => None,
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
}

/// Why an experiment is not done.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) why: String,
    pub(super) not_applicable: bool,
}

impl Lack {
    /// What turned out to be missing in the middle; none where it is another error.
    pub(super) fn of_error(error: &LabError, driver: Driver) -> Option<Self> {
        match error {
            LabError::Lacking(why) => Some(Self::missing(why.clone())),
            LabError::Client(ClientError::Problem(problem))
                if problem.code == ProblemCode::Unsupported && driver == Driver::Nbd =>
            {
                Some(Self::of_nbd(&problem.to_string()))
            }
            _ => None,
        }
    }

    fn of_nbd(why: &str) -> Self {
        Self {
            why: format!("not through NBD: {why}"),
            not_applicable: true,
        }
    }

    pub(super) const fn missing(why: String) -> Self {
        Self {
            why,
            not_applicable: false,
        }
    }
}
