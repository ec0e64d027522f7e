//! A matrix: targets, data paths, transports, queues, depths, block sizes and directions, multiplied out.
//!
//! [`Matrix`] is the file. [`Matrix::cells`] multiplies each group out and leaves out what makes no sense:
//! data paths and transports of peers that have none, twins, and more data in flight than the device has.
//! What this kernel or machine cannot do is not left out silently, it comes back as [`Missing`].

mod job;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use api::fault::Rule;
use api::{DataPath, Transport};
use serde::{Deserialize, Serialize};

use crate::record::{Cell, Missing, Peer};
use crate::{BenchError, Direction, Job, Result};

pub use support::Support;

/// Version of the form.
const VERSION: u32 = 1;
/// The shipped matrices, by name.
const SHIPPED: [(&str, &str); 3] = [
    ("quick", include_str!("../matrices/quick.toml")),
    ("full", include_str!("../matrices/full.toml")),
    ("peers", include_str!("../matrices/peers.toml")),
];

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    version: u32,
    /// What it is called.
    pub name: String,
    /// How often each cell is run; 5 if absent.
    #[serde(default = "five")]
    pub rounds: u32,
    /// How long a run takes.
    runtime_ms: u64,
    /// What is done before each run and not counted; nothing if absent.
    #[serde(default)]
    warm_up_ms: u64,
    /// Size of the devices; 64 MiB if absent.
    #[serde(default = "sixty_four")]
    size_mib: u64,
    /// What is multiplied out.
    group: Vec<Group>,
}

/// Lists that are multiplied with each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default = "bvecd")]
    peer: Vec<Peer>,
    #[serde(default = "ram")]
    target: Vec<Target>,
    #[serde(default = "copy")]
    data_path: Vec<DataPath>,
    #[serde(default = "per_io")]
    transport: Vec<Transport>,
    #[serde(default = "one")]
    queues: Vec<u16>,
    /// Names of jobs; instead of the five below.
    #[serde(default)]
    job: Vec<String>,
    #[serde(default = "random")]
    pattern: Vec<Pattern>,
    #[serde(default = "destination")]
    direction: Vec<Direction>,
    #[serde(default = "four_k")]
    block_size: Vec<String>,
    #[serde(default = "one_deep")]
    depth: Vec<u32>,
    /// What is done to the device during each run.
    #[serde(default)]
    mark: Vec<MarkSpec>,
}

/// In which order blocks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pattern {
    /// Any.
    Random,
    /// One after the other.
    Sequential,
}

/// What backs a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Memory of the daemon.
    Ram,
    /// Nothing.
    Null,
    /// A file, through the page cache.
    Loop,
}

impl Target {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Null => "null",
            Self::Loop => "loop",
        }
    }
}

/// What is done to the device at a moment of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkSpec {
    /// When, in ms since fio was started.
    pub at_ms: u64,
    /// Rules to add: names and words.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Rules to remove first, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rm: Vec<String>,
    /// Remove every rule first.
    #[serde(default)]
    pub heal: bool,
}

impl MarkSpec {
    /// In a few words.
    #[must_use]
    pub fn name(&self) -> String {
        let heal = self.heal.then(|| "heal".to_owned());
        let removed = self.rm.iter().map(|name| format!("rm {name}"));
        let rules = self
            .add
            .iter()
            .map(|(name, words)| format!("{name}: {words}"));
        let all = heal.into_iter().chain(removed).chain(rules);
        all.collect::<Vec<_>>().join("; ")
    }
}

/// A cell and what it takes to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The cell.
    pub cell: Cell,
    /// Its job.
    pub job: Job,
    /// What is done to the device meanwhile.
    pub marks: Vec<MarkSpec>,
}

impl Matrix {
    /// The shipped matrix of this name, or else the one in the file of this path.
    ///
    /// # Errors
    /// [`BenchError::BadMatrix`] with the line, [`BenchError::Io`].
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, text);
        }
        match fs::read_to_string(name_or_path) {
            Ok(text) => Self::parse(name_or_path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BenchError::BadMatrix {
                name: name_or_path.to_owned(),
                detail: "there is no such file, and the matrices here are quick, full, peers"
                    .to_owned(),
            }),
            Err(source) => Err(BenchError::Io {
                action: "read the matrix",
                source,
            }),
        }
    }

    /// Whether a word on the command line means a matrix rather than a job.
    #[must_use]
    pub fn is_meant(word: &str) -> bool {
        let file = std::path::Path::new(word);
        file.extension().is_some_and(|suffix| suffix == "toml")
            || SHIPPED.iter().any(|(name, _)| *name == word)
    }

    /// Understands a file; `origin` is the name that errors use.
    ///
    /// # Errors
    /// [`BenchError::BadMatrix`] with the line.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let bad = |detail: String| BenchError::BadMatrix {
            name: origin.to_owned(),
            detail,
        };
        let matrix: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        matrix.check().map_err(bad)?;
        Ok(matrix)
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "it has version {}, should be {VERSION}",
                self.version
            ));
        }
        for (what, value) in [
            ("rounds", u64::from(self.rounds)),
            ("runtime_ms", self.runtime_ms),
            ("size_mib", self.size_mib),
        ] {
            if value == 0 {
                return Err(format!("{what} is 0, should be 1 or more"));
            }
        }
        for mark in self.group.iter().flat_map(|group| &group.mark) {
            for (name, words) in &mark.add {
                Rule::parse(name, words).map_err(|error| format!("the rule `{name}`: {error}"))?;
            }
        }
        self.jobs().map(|_| ()).map_err(|error| error.to_string())
    }

    /// How long a run takes.
    #[must_use]
    pub const fn runtime(&self) -> Duration {
        Duration::from_millis(self.runtime_ms)
    }

    /// What is done before a run.
    #[must_use]
    pub const fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    /// Size of the devices.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_mib << 20
    }

    fn jobs(&self) -> Result<Vec<Vec<Job>>> {
        self.group.iter().map(job::of).collect()
    }

    /// The cells, each once, and what cannot be measured here.
    ///
    /// # Errors
    /// [`BenchError::UnknownJob`], [`BenchError::BadJob`].
    pub fn cells(&self, support: &Support) -> Result<(Vec<Planned>, Vec<Missing>)> {
        let (mut cells, mut missing): (Vec<Planned>, Vec<Missing>) = (Vec::new(), Vec::new());
        for (group, jobs) in self.group.iter().zip(self.jobs()?) {
            for job in jobs.iter().filter(|job| self.fits(job)) {
                for planned in group.on_devices(job) {
                    if cells.iter().any(|known| known.cell == planned.cell) {
                        continue;
                    }
                    match support.lacks(&planned.cell) {
                        None => cells.push(planned),
                        Some(lack) if missing.contains(&lack) => {}
                        Some(lack) => missing.push(lack),
                    }
                }
            }
        }
        Ok((cells, missing))
    }

    /// Whether the device has as much as is in flight at once.
    fn fits(&self, job: &Job) -> bool {
        let in_flight = u64::from(job.depth) * u64::from(job.clients) * job.block_size_bytes;
        in_flight <= self.size_bytes()
    }
}

impl Group {
    /// A job on every device of the group.
    fn on_devices(&self, job: &Job) -> Vec<Planned> {
        let mut all = Vec::new();
        for peer in &self.peer {
            for queues in &self.queues {
                for target in &self.target {
                    let base = Cell::new(*peer, target.name(), (*queues).into(), job);
                    all.extend(self.ways(*peer, &base));
                }
            }
        }
        let plan = |cell| Planned {
            cell,
            job: job.clone(),
            marks: self.mark.clone(),
        };
        all.into_iter().map(plan).collect()
    }

    /// A cell by every data path and transport that its peer has; kernel drivers have their own target.
    fn ways(&self, peer: Peer, base: &Cell) -> Vec<Cell> {
        let cell = |path: Option<DataPath>, transport: Option<Transport>| Cell {
            data_path: path.map(|path| path.to_string()),
            transport: transport.map(|transport| transport.to_string()),
            faults: self.mark.iter().map(MarkSpec::name).collect(),
            ..base.clone()
        };
        let path_pairs = |transports: &[Transport], paths: &[DataPath]| -> Vec<Cell> {
            let with = |transport: &Transport| {
                let all = paths.iter().map(|path| cell(Some(*path), Some(*transport)));
                all.collect::<Vec<_>>()
            };
            transports.iter().flat_map(with).collect()
        };
        match peer {
            Peer::Bvecd => path_pairs(&self.transport, &self.data_path),
            Peer::Rublk if base.target == "ram" => Vec::new(),
            Peer::Rublk => {
                let both = [DataPath::Copy, DataPath::AutoZeroCopy];
                let asked = |path: &DataPath| self.data_path.contains(path);
                let paths: Vec<DataPath> = both.into_iter().filter(asked).collect();
                path_pairs(&[Transport::PerIo], &paths)
            }
            Peer::Nbd if base.target == "ram" => Vec::new(),
            Peer::Nbd => vec![cell(None, None)],
            Peer::Loop | Peer::NullBlk | Peer::Brd | Peer::Given => vec![Cell {
                target: peer.name().to_owned(),
                queues: 1,
                ..cell(None, None)
            }],
        }
    }
}

const fn five() -> u32 {
    5
}

const fn sixty_four() -> u64 {
    64
}

fn bvecd() -> Vec<Peer> {
    vec![Peer::Bvecd]
}

fn ram() -> Vec<Target> {
    vec![Target::Ram]
}

fn copy() -> Vec<DataPath> {
    vec![DataPath::Copy]
}

fn per_io() -> Vec<Transport> {
    vec![Transport::PerIo]
}

fn one() -> Vec<u16> {
    vec![1]
}

fn random() -> Vec<Pattern> {
    vec![Pattern::Random]
}

fn destination() -> Vec<Direction> {
    vec![Direction::Destination]
}

fn four_k() -> Vec<String> {
    vec!["4k".to_owned()]
}

fn one_deep() -> Vec<u32> {
    vec![1]
}

#[cfg(test)]
mod tests;
