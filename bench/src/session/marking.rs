//! Changing rules at marked times of a run, and what the daemon says of the requests they fired on.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::fault::{Op, Rule};
use api::{Event, EventKind, call};
use nix::time::{ClockId, clock_gettime};

use super::device::Stage;
use super::split::{Account, Faulted};
use crate::matrix::MarkSpec;
use crate::session::Follow;
use crate::{BenchError, Observer, Progress, Result};

const SECTOR_BYTES: u64 = 512;

/// What was done, when in ms since 1970; what the daemon says of the run.
pub(super) type Done = (Vec<(u64, String)>, Account);

/// An observer that changes rules on the way.
pub(super) struct Marking<'a> {
    follow: &'a mut dyn Follow,
    stage: &'a Stage,
    device: u32,
    due: VecDeque<MarkSpec>,
    done: Vec<(u64, String)>,
    failed: Option<BenchError>,
    /// Whether the run that the marks are of has begun.
    begun: bool,
    /// The daemon's last event before the run.
    since: u64,
    /// Requests that had failed before the run.
    failed_before: u64,
}

impl<'a> Marking<'a> {
    /// Of a device of bvecd's.
    pub(super) fn new(
        follow: &'a mut dyn Follow,
        stage: &'a Stage,
        device: Option<u32>,
        marks: &[MarkSpec],
    ) -> Result<Self> {
        let device = device.ok_or_else(|| {
            BenchError::Peer("only a device of bvecd can be given rules".to_owned())
        })?;
        let mut due = marks.to_vec();
        due.sort_by_key(|mark| mark.at_ms);
        let since = stage.events(None)?.last().map_or(0, |event| event.seq);
        let failed_before = failed(stage, device)?;
        Ok(Self {
            follow,
            stage,
            device,
            due: due.into(),
            done: Vec::new(),
            failed: None,
            begun: false,
            since,
            failed_before,
        })
    }

    /// The mark that could not be made: it ended the run, which does not know why.
    pub(super) const fn failure(&mut self) -> Option<BenchError> {
        self.failed.take()
    }

    /// Everything that is due; the first failure ends the run.
    fn apply(&mut self, elapsed: Duration) {
        let is_due = |mark: &MarkSpec| Duration::from_millis(mark.at_ms) <= elapsed;
        while self.failed.is_none() && self.due.front().is_some_and(is_due) {
            if let Some(mark) = self.due.pop_front() {
                match self.change(&mark) {
                    Ok(()) => self.done.push((now_ms(), mark.name())),
                    Err(error) => self.failed = Some(error),
                }
            }
        }
    }

    fn change(&self, mark: &MarkSpec) -> Result<()> {
        if mark.heal {
            self.stage
                .ask("heal the device", call::heal(Some(self.device)))?;
        }
        for name in &mark.rm {
            self.stage
                .ask("remove a rule", call::remove_rule(self.device, name))?;
        }
        for (name, words) in &mark.add {
            let rule = Rule::parse(name, words).map_err(|error| BenchError::BadMatrix {
                name: name.clone(),
                detail: error.to_string(),
            })?;
            self.stage
                .ask("add a rule", call::add_rule(self.device, &rule))?;
        }
        Ok(())
    }

    /// Heals the device and asks what happened.
    pub(super) fn end(self) -> Result<Done> {
        self.stage
            .ask("heal the device", call::heal(Some(self.device)))?;
        let events = self.stage.events(Some(self.since))?;
        let lost = events
            .first()
            .map_or(0, |first| first.seq.saturating_sub(self.since + 1));
        let to_epoch_ns = epoch_minus_monotonic_ns()?;
        let faulted = events
            .iter()
            .filter_map(|event| faulted(event, self.device, to_epoch_ns));
        let account = Account {
            faulted: faulted.collect(),
            events_lost: lost,
            failed: failed(self.stage, self.device)?.saturating_sub(self.failed_before),
        };
        Ok((self.done, account))
    }
}

impl Observer for Marking<'_> {
    /// Marks at 0 are in force when this returns.
    fn begins(&mut self) {
        self.follow.begins();
        self.begun = true;
        self.apply(Duration::ZERO);
    }

    fn progress(&mut self, progress: &Progress) {
        self.follow.progress(progress);
        if self.begun {
            self.apply(progress.elapsed);
        }
    }

    fn cancelled(&self) -> bool {
        self.failed.is_some() || self.follow.cancelled()
    }
}

/// Requests of a device that failed, without those that failed because of what backs it.
fn failed(stage: &Stage, device: u32) -> Result<u64> {
    let stats = stage.ask("count what failed", call::stats(device))?;
    let errors: u64 = stats.ops.iter().map(|of| of.errors).sum();
    Ok(errors.saturating_sub(stats.backing_errors + stats.integrity_errors))
}

/// A request of this device on which a rule had fired and that was committed.
fn faulted(event: &Event, device: u32, to_epoch_ns: u64) -> Option<Faulted> {
    let is_it = event.kind == EventKind::Completed && event.device == Some(device);
    is_it.then_some(())?;
    Some(Faulted {
        at_ms: event.time_ns.saturating_add(to_epoch_ns) / 1_000_000,
        is_source: event.op == Some(Op::Write),
        offset_bytes: event.sector?.0 * SECTOR_BYTES,
        bytes: u64::from(event.sectors.unwrap_or(0)) * SECTOR_BYTES,
        failed: event.result.is_some_and(|result| result < 0),
    })
}

/// What is to be added to the daemon's clock for the time since 1970.
fn epoch_minus_monotonic_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_err(|error| crate::error::io_error("read the clock")(error.into()))?;
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let apart = since_1970.saturating_sub(Duration::from(now));
    Ok(u64::try_from(apart.as_nanos()).unwrap_or(u64::MAX))
}

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
