//! A cell of a matrix: what is measured, on what.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RunResult;
use crate::statistics::{Histogram, sample};
use crate::{Direction, Job};

/// Who serves the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// A device of bvecd.
    Bvecd,
    /// rublk, another ublk server.
    Rublk,
    /// The kernel's loop driver.
    Loop,
    /// The kernel's `null_blk`.
    NullBlk,
    /// The kernel's NBD client, served by nbdkit.
    Nbd,
    /// The kernel's disk in memory.
    Brd,
    /// Any other block device, which was given.
    Given,
}

impl Peer {
    /// All that are compared, bvecd first.
    pub const ALL: [Self; 6] = [
        Self::Bvecd,
        Self::Rublk,
        Self::Loop,
        Self::NullBlk,
        Self::Nbd,
        Self::Brd,
    ];

    /// Its word in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bvecd => "bvecd",
            Self::Rublk => "rublk",
            Self::Loop => "loop",
            Self::NullBlk => "null_blk",
            Self::Nbd => "nbd",
            Self::Brd => "brd",
            Self::Given => "given",
        }
    }
}

/// What is measured, on what. Two files are compared cell by cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Who serves the device.
    pub peer: Peer,
    /// What backs it: `loop`, `ram`, `null`, or a peer's own word; a path where the device was given.
    pub target: String,
    /// The data path, where it has one.
    pub data_path: Option<String>,
    /// The transport, where it has one.
    pub transport: Option<String>,
    /// Hardware queues.
    pub queues: u32,
    /// The job's name.
    pub job: String,
    /// The job file as fio got it.
    pub job_text: String,
    /// Which way the data goes.
    pub direction: Direction,
    /// Size of a request.
    pub block_size_bytes: u64,
    /// Requests in flight at most, of one client.
    pub depth: u32,
    /// Clients beside each other.
    pub clients: u32,
    /// What is done to the device meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Cell {
    /// The device's part of a cell, and a job.
    #[must_use]
    pub fn new(peer: Peer, target: &str, queues: u32, job: &Job) -> Self {
        Self {
            peer,
            target: target.to_owned(),
            data_path: None,
            transport: None,
            queues,
            job: job.name.clone(),
            job_text: job.text.clone(),
            direction: job.direction,
            block_size_bytes: job.block_size_bytes,
            depth: job.depth,
            clients: job.clients,
            faults: Vec::new(),
        }
    }

    /// What backs it, in the words of a target: the kernel's drivers have only one.
    #[must_use]
    pub fn backing(&self) -> &str {
        match self.peer {
            Peer::NullBlk => "null",
            Peer::Brd => "ram",
            _ => &self.target,
        }
    }

    /// The device in a few words.
    #[must_use]
    pub fn device(&self) -> String {
        let mut words = vec![self.peer.name().to_owned()];
        if self.target != words[0] {
            words.push(self.target.clone());
        }
        words.extend(self.data_path.clone());
        words.extend(
            self.transport
                .clone()
                .filter(|transport| transport != "per-io"),
        );
        if self.queues != 1 {
            words.push(format!("{}q", self.queues));
        }
        words.join(" ")
    }
}

impl fmt::Display for Cell {
    /// Device and job; equal for cells that are compared, different for others of a matrix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.device(), self.job)?;
        if !self.faults.is_empty() {
            write!(f, " with {}", self.faults.join(", "))?;
        }
        Ok(())
    }
}

/// A cell and its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// What was measured.
    #[serde(flatten)]
    pub cell: Cell,
    /// The block layer's scheduler of the device.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// Pins that the kernel's rule gives a request of the client.
    #[serde(default)]
    pub pins_rule_per_io: Option<u64>,
    /// A run each round that was done.
    pub runs: Vec<RunResult>,
}

impl CellResult {
    /// A value of every run.
    pub fn values(&self, value: impl Fn(&RunResult) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }

    /// The median of a value over the runs; `None` without runs.
    pub fn median(&self, value: impl Fn(&RunResult) -> f64) -> Option<f64> {
        sample::median(&self.values(value))
    }

    /// The latencies of all runs together.
    #[must_use]
    pub fn histogram(&self) -> Histogram {
        let mut all = Histogram::default();
        for run in &self.runs {
            all.merge(&run.histogram);
        }
        all
    }
}
