//! One look at the devices: what the daemon counts, and what the kernel does.

use std::fs;
use std::time::Instant;

use anyhow::Result;
use api::fault::Op;
use api::{BlockingClient, ClientError, Device, DeviceStats, Hold, ProblemCode, RuleStatus, call};

use crate::context::{Context, refused};

/// Looks at devices.
#[derive(Debug)]
pub(super) struct Sampler<'c> {
    context: &'c Context,
    client: BlockingClient,
    only: Option<u32>,
}

/// What was seen at a moment.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) devices: Vec<DeviceSample>,
}

/// What was seen of one device.
#[derive(Debug)]
pub(super) struct DeviceSample {
    pub(super) device: Device,
    pub(super) stats: DeviceStats,
    pub(super) rules: Vec<RuleStatus>,
    pub(super) holds: Vec<Hold>,
    /// None while there is no block device, or without sysfs.
    pub(super) ticks: Option<Ticks>,
}

/// The kernel's own account of a block device: `/sys/block/NAME/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticks {
    numbers: Vec<u64>,
}

impl<'c> Sampler<'c> {
    /// For one device, or for all that there are.
    ///
    /// # Errors
    /// The system refuses what a client needs.
    pub(super) fn new(context: &'c Context, only: Option<u32>) -> Result<Self> {
        Ok(Self {
            context,
            client: context.client()?,
            only,
        })
    }

    /// The daemon's socket, for titles.
    pub(super) fn socket(&self) -> String {
        self.context.socket.display().to_string()
    }

    /// Looks. A device that goes away meanwhile is left out.
    ///
    /// # Errors
    /// The daemon cannot be reached, or has no such device.
    pub(super) fn take(&self) -> Result<Sample> {
        let list = match self.only {
            Some(id) => vec![self.ask("show the device", call::device(id))?],
            None => self.ask("list the devices", call::devices())?.devices,
        };
        let mut devices = Vec::with_capacity(list.len());
        for device in list {
            devices.extend(self.look_at(device)?);
        }
        Ok(Sample {
            at: Instant::now(),
            devices,
        })
    }

    fn look_at(&self, device: Device) -> Result<Option<DeviceSample>> {
        let id = device.id;
        let seen = self.client.send(call::stats(id)).and_then(|stats| {
            let rules = self.client.send(call::rules(id))?.rules;
            let holds = self.client.send(call::holds(id))?.holds;
            Ok((stats, rules, holds))
        });
        match seen {
            Ok((stats, rules, holds)) => Ok(Some(DeviceSample {
                ticks: Ticks::of(&device.path),
                device,
                stats,
                rules,
                holds,
            })),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => Ok(None),
            Err(error) => Err(refused("look at the device", error)),
        }
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, what: &str, call: api::Call<T>) -> Result<T> {
        self.client.send(call).map_err(|error| refused(what, error))
    }
}

impl Ticks {
    fn of(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/dev/")?;
        Self::read(&fs::read_to_string(format!("/sys/block/{name}/stat")).ok()?)
    }

    /// The numbers of Documentation/block/stat.rst; a kernel has 11, 15 or 17 of them.
    fn read(text: &str) -> Option<Self> {
        let numbers = text.split_whitespace().map(str::parse).collect();
        let numbers: Vec<u64> = Result::ok(numbers)?;
        (numbers.len() >= 11).then_some(Self { numbers })
    }

    /// The mean time of the requests of an operation that completed since `before`, in nanoseconds; none if
    /// there was none, or if the kernel does not account for it.
    pub(super) fn latency_ns(&self, before: &Self, op: Op) -> Option<u64> {
        // Completed requests, and the milliseconds that they took together.
        let (ios, ms) = match op {
            Op::Read => (0, 3),
            Op::Write => (4, 7),
            Op::Discard => (11, 14),
            Op::Flush => (15, 16),
            _ => return None,
        };
        let grown = |at: usize| self.numbers.get(at)?.checked_sub(*before.numbers.get(at)?);
        grown(ms)?
            .saturating_mul(1_000_000)
            .checked_div(grown(ios)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn ticks(text: &str) -> Ticks {
        Ticks::read(text).unwrap()
    }

    #[test]
    fn latencies_are_means_of_what_completed() {
        let before = ticks("100 0 800 50 10 0 80 5 0 0 0 0 0 0 0 0 0");
        let now = ticks("300 0 2400 150 10 0 80 5 2 0 0 4 0 9 2 1 12");
        assert_eq!(now.latency_ns(&before, Op::Read), Some(500_000));
        assert_eq!(now.latency_ns(&before, Op::Write), None);
        assert_eq!(now.latency_ns(&before, Op::Discard), Some(500_000));
        assert_eq!(now.latency_ns(&before, Op::Flush), Some(12_000_000));
        // A device that was made anew under the same number counts from nothing.
        assert_eq!(before.latency_ns(&now, Op::Read), None);
    }

    #[test]
    fn what_is_no_account_is_not_read() {
        assert_eq!(Ticks::read("1 2 3"), None);
        assert_eq!(Ticks::read("1 2 3 4 5 6 7 8 9 10 x"), None);
        let old = ticks("1 2 3 4 5 6 7 8 9 10 11");
        assert_eq!(old.latency_ns(&old, Op::Flush), None);
    }
}
