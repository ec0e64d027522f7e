//! How the tests on devices are shared out: among the machines of a farm (`--shard`), and on each among
//! virtual machines that run side by side (`--jobs`).

use std::fmt;
use std::str::FromStr;
use std::thread;

use vm::Spec;

/// One part of several, counted from 1: `2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    number: u32,
    of: u32,
}

/// How much of the conformance table runs, and how long the storms are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// A pairwise cover of the cells with 2,000 steps each.
    Ci,
    /// Every cell with 2,000 steps.
    Cells,
    /// Every cell with 100,000 steps; storms ten times as long.
    Full,
}

/// One virtual machine's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) kernel: Spec,
    pub(super) depth: Depth,
    /// Every part that is taken of the tests, one after the other.
    pub(super) shards: Vec<Shard>,
    /// Runs the test programs as well that cannot be divided.
    pub(super) programs: bool,
}

impl Shard {
    /// Everything.
    pub(crate) const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether what cannot be divided belongs to this part.
    pub(super) fn is_first(self) -> bool {
        self.number == 1
    }

    /// The parts of so many.
    fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/');
        parts
            .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)))
            .filter(|&(number, of)| number >= 1 && number <= of)
            .map(|(number, of)| Self { number, of })
            .ok_or_else(|| "expected I/N, part I of N, counted from 1".into())
    }
}

impl Depth {
    /// What the suite in the guest reads in `BVECD_FULL`.
    pub(super) fn variable(self) -> Option<&'static str> {
        match self {
            Self::Ci => None,
            Self::Cells => Some("cells"),
            Self::Full => Some("1"),
        }
    }
}

/// So many virtual machines run side by side unless told otherwise. Under emulation each keeps one CPU busy: one
/// a CPU with `--full`, two for everything else, whose half is short enough, and one for a few tests by name.
pub(super) fn default_jobs(full: bool, filtered: bool) -> u32 {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    match (full, filtered) {
        (true, _) => cpus,
        (false, false) => cpus.min(2),
        (false, true) => 1,
    }
}

/// The virtual machines for these kernels; those of one kernel run side by side.
pub(super) fn shares(kernels: &[Spec], full: bool, shard: Shard, jobs: u32) -> Vec<Vec<Share>> {
    let depth = |kernel: &Spec| match (full, kernel) {
        (false, _) => Depth::Ci,
        (true, Spec::Newest) => Depth::Full,
        (true, _) => Depth::Cells,
    };
    let of_kernel = |kernel: &Spec| {
        let share = |job: Shard| Share {
            kernel: kernel.clone(),
            depth: depth(kernel),
            shards: vec![shard, job],
            programs: shard.is_first() && job.is_first(),
        };
        Shard::all(jobs).map(share).collect()
    };
    kernels.iter().map(of_kernel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    /// What the suite does with a list of parts (tests/src/shard.rs).
    fn picked(shards: &[Shard], tests: u32) -> Vec<u32> {
        let mut picked: Vec<_> = (0..tests).collect();
        for shard in shards {
            let of = usize::try_from(shard.of).unwrap();
            let skipped = usize::try_from(shard.number - 1).unwrap();
            picked = picked.into_iter().skip(skipped).step_by(of).collect();
        }
        picked
    }

    #[test]
    fn every_test_runs_once_on_each_kernel() {
        let kernels = ["newest", "7.2"].map(|kernel| kernel.parse().unwrap());
        for (farm, jobs) in [(1, 1), (1, 2), (3, 4), (200, 2)] {
            for kernel in 0..kernels.len() {
                let mut all = Vec::new();
                let mut programs = 0;
                for shard in Shard::all(farm) {
                    for share in &shares(&kernels, true, shard, jobs)[kernel] {
                        assert_eq!(share.kernel, kernels[kernel]);
                        all.extend(picked(&share.shards, 362));
                        programs += u32::from(share.programs);
                    }
                }
                all.sort_unstable();
                assert_eq!(all, (0..362).collect::<Vec<_>>(), "{farm} x {jobs}");
                assert_eq!(programs, 1, "{farm} x {jobs}");
            }
        }
    }

    #[test]
    fn only_the_newest_kernel_is_tested_for_hours() {
        let kernels = ["newest", "6.12"].map(|kernel| kernel.parse().unwrap());
        let depths = |full| {
            let shares = shares(&kernels, full, Shard::WHOLE, 1);
            shares.concat().iter().map(|share| share.depth).collect()
        };
        let full: Vec<_> = depths(true);
        assert_eq!(full, [Depth::Full, Depth::Cells]);
        let ci: Vec<_> = depths(false);
        assert_eq!(ci, [Depth::Ci, Depth::Ci]);
    }

    #[test]
    fn parts_read_back() {
        assert_eq!(shard("2/3").to_string(), "2/3");
        assert!(shard("1/3").is_first() && !shard("2/3").is_first());
        for text in ["", "0/3", "4/3", "1", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
