//! What an experiment is: a question, a prediction that can be wrong, and a run on held requests.

use api::DataPath;
use serde::Serialize;

use crate::Result;
use crate::bench::Bench;
use crate::expected::{Expected, Version};

/// One question to the kernel. Its file under `experiments/` has one of these and the function that asks it.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// What it is called, in words joined by hyphens.
    pub name: &'static str,
    /// The question.
    pub question: &'static str,
    /// What is to be seen.
    pub prediction: &'static str,
    /// Where the prediction comes from: kernel file and function, commit, mail.
    pub source: &'static str,
    /// What would show that the prediction is wrong.
    pub refuted_by: &'static str,
    /// What it needs beside root and bvecd.
    pub needs: &'static [Need],
    /// What it may do to the machine.
    pub danger: Danger,
    /// Why it takes more than two seconds, if it does.
    pub slow: Option<&'static str>,
    /// Texts of the kernel log that belong to it, and are no finding.
    pub tolerates: &'static [Tolerated],
    /// What is known to be observed, per kernel version.
    pub expected: &'static [Expected],
    /// Asks it. What must hold on every kernel is said by [`Bench::must`], what may differ by [`Bench::see`].
    pub(crate) run: fn(&Bench<'_>) -> Result<()>,
}

impl Experiment {
    /// What most experiments have in common; the texts and the function are to be filled in.
    pub(crate) const BLANK: Self = Self {
        name: "",
        question: "",
        prediction: "",
        source: "",
        refuted_by: "",
        needs: &[],
        danger: Danger::None,
        slow: None,
        tolerates: &[],
        expected: &[],
        run: |_| Ok(()),
    };
}

/// An alarm of the kernel's log that belongs to an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerated {
    /// What its line contains.
    pub text: &'static str,
    /// The first version in which it is a finding, if there is one.
    pub before: Option<Version>,
}

impl Tolerated {
    /// On every kernel.
    #[must_use]
    pub const fn always(text: &'static str) -> Self {
        Self { text, before: None }
    }

    /// On kernels before this version only.
    #[must_use]
    pub const fn before(text: &'static str, major: u32, minor: u32) -> Self {
        Self {
            text,
            before: Some(Version(major, minor)),
        }
    }

    /// Whether it is tolerated on a kernel.
    pub(crate) fn is_about(&self, kernel: Version) -> bool {
        self.before.is_none_or(|before| kernel < before)
    }
}

/// Why experiments on file systems take their time.
pub(crate) const MAKES_A_FILE_SYSTEM: &str = "it makes a file system";
/// Why experiments on the end of a server take their time.
pub(crate) const STARTS_A_SERVER: &str = "it starts a server of its own, and its heir";

/// What an experiment needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A kernel of this version or later; otherwise the experiment is not applicable.
    Kernel(u32, u32),
    /// Counts of single pages, by `/proc/kcore` and BTF.
    Counts,
    /// A data path. User copy stands for hands on the pages of a held request.
    Path(DataPath),
    /// An answer for a part of a request, after which the kernel asks for the rest.
    Parts,
    /// A program, in one of the directories of `PATH`.
    Program(&'static str),
    /// A file system that the kernel knows.
    FileSystem(&'static str),
    /// A file of procfs, sysfs or devfs, and what it stands for.
    File(&'static str, &'static str),
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kernel(major, minor) => write!(f, "kernel {major}.{minor} or later"),
            Self::Counts => f.write_str("pin counts of single pages (kcore and BTF)"),
            Self::Path(path) => write!(f, "the data path {path}"),
            Self::Parts => f.write_str("answers for a part of a request (ublk)"),
            Self::Program(name) => write!(f, "the program {name}"),
            Self::FileSystem(name) => write!(f, "the file system {name}"),
            Self::File(path, what) => write!(f, "{what} ({path})"),
        }
    }
}

/// What an experiment may do to the machine it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Danger {
    /// Nothing that outlasts it.
    None,
    /// A process may stay in state D if the daemon dies in the middle.
    DState,
    /// It may take the machine down, or changes what cannot be changed back: run it in a virtual machine.
    VmOnly,
}

impl std::fmt::Display for Danger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::DState => "may leave a process in state D until the request is released",
            Self::VmOnly => "in a virtual machine only",
        })
    }
}
