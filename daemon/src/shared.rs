//! What the queues of a device share with each other and with the server.

use std::sync::Arc;

use api::{Decision, Effect, EventKind};
use arc_swap::ArcSwap;
use fault::{RuleIndex, RuleSet, Terminal, Verdict};
use ublk::{Op, Request, SharedBuffers, SharedCounts};

use crate::clock::now_ns;
use crate::events::{Event, EventLog};
use crate::holds::Holds;
use crate::integrity::Mismatch;
use crate::mailbox::Mailbox;
use crate::stats::QueueStats;

/// A rule set as the queues read it: with its rules' names ready to be shared, so that a fault that
/// fires allocates nothing.
#[derive(Debug)]
pub struct Published {
    /// The rules.
    pub set: RuleSet,
    names: Box<[Arc<str>]>,
}

impl Published {
    /// Prepares a rule set.
    #[must_use]
    pub fn new(set: RuleSet) -> Self {
        let names = set
            .rules()
            .map(|rule| Arc::from(rule.name.as_str()))
            .collect();
        Self { set, names }
    }

    /// The mark of a rule of this set.
    #[must_use]
    pub fn mark(&self, rule: RuleIndex) -> Option<Mark> {
        let rule = Arc::clone(self.names.get(rule.get())?);
        Some(Mark {
            rule,
            generation: self.set.generation(),
        })
    }
}

/// The rule that fired on a request.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its name.
    pub rule: Arc<str>,
    /// The generation that it was of.
    pub generation: u64,
}

/// What the queues of one device share.
#[derive(Debug)]
pub struct DeviceShared {
    /// The number N of `/dev/ublkbN`.
    pub id: u32,
    /// The published rules: the server swaps the pointer, the queues read it before each decision.
    pub rules: Arc<ArcSwap<Published>>,
    /// The requests that are held.
    pub holds: Holds,
    /// The daemon's events.
    pub events: Arc<EventLog>,
    /// The memory that clients share with the device.
    pub buffers: Arc<SharedBuffers>,
}

/// What one queue shares with the server.
#[derive(Debug)]
pub struct QueueShared {
    /// Which queue, from 0.
    pub queue: u16,
    /// Commands for it.
    pub mailbox: Mailbox,
    /// Its counters.
    pub stats: QueueStats,
    /// Its counters of shared memory.
    pub shared_memory: Arc<SharedCounts>,
}

impl QueueShared {
    /// A request as the fault engine sees it; none for an operation that no rule can name.
    pub(crate) fn subject(&self, request: &Request) -> Option<fault::Request> {
        let op = fault_op(request.op())?;
        let sector = fault::Sector(request.sector());
        Some(fault::Request {
            queue: self.queue,
            tag: request.tag(),
            ..fault::Request::new(op, sector, request.sectors())
        })
    }
}

/// The fault engine's name of an operation.
pub(crate) fn fault_op(op: Op) -> Option<fault::Op> {
    Some(match op {
        Op::Read => fault::Op::Read,
        Op::Write => fault::Op::Write,
        Op::Flush => fault::Op::Flush,
        Op::Discard => fault::Op::Discard,
        Op::WriteZeroes => fault::Op::WriteZeroes,
        Op::Other(_) => return None,
    })
}

impl DeviceShared {
    /// Reports that a rule fired on a request.
    pub(crate) fn report_decision(
        &self,
        queue: &QueueShared,
        request: &Request,
        mark: &Mark,
        verdict: &Verdict,
    ) {
        let decision = match verdict.terminal {
            Terminal::Fail { .. } => Decision::Fail,
            Terminal::Hold { .. } => Decision::Hold,
            // Rules with other actions are refused, see `device/facts.rs`.
            _ => Decision::Delay,
        };
        // Every action of this engine acts before the target sees the request.
        let event = self.about(queue, request, mark, EventKind::Fired);
        self.events.push(Event {
            decision: Some(decision),
            effect: Some(Effect::None),
            ..event
        });
    }

    /// Reports that a held or delayed request goes on, and how.
    pub(crate) fn report_release(
        &self,
        queue: &QueueShared,
        request: &Request,
        mark: &Mark,
        decision: Decision,
    ) {
        let event = self.about(queue, request, mark, EventKind::Released);
        self.events.push(Event {
            decision: Some(decision),
            ..event
        });
    }

    /// Reports the end of a request on which a rule had fired.
    pub(crate) fn report_end(
        &self,
        queue: &QueueShared,
        request: &Request,
        mark: &Mark,
        result: i32,
    ) {
        let event = self.about(queue, request, mark, EventKind::Completed);
        self.events.push(Event {
            result: Some(result),
            ..event
        });
    }

    /// Counts that the backing failed a request, and tells of it unless there are too many.
    #[cold]
    pub(crate) fn report_backing_error(&self, queue: &QueueShared, request: &Request, errno: i32) {
        if !queue.stats.backing_errors.count(now_ns()) {
            return;
        }
        let error = std::io::Error::from_raw_os_error(errno);
        let (device, sector, op) = (self.id, request.sector(), request.op());
        tracing::warn!(device, ?op, sector, %error, "the backing failed a request");
        self.events.push(Event {
            device: Some(self.id),
            op: fault_op(op),
            sector: Some(sector),
            sectors: Some(request.sectors()),
            queue: Some(queue.queue),
            tag: Some(request.tag()),
            result: Some(-errno),
            ..Event::of(EventKind::BackingError)
        });
    }

    /// Counts and tells that a tag of a request's protection information is wrong.
    #[cold]
    pub(crate) fn report_mismatch(&self, queue: &QueueShared, request: &Request, found: Mismatch) {
        if !queue.stats.integrity_errors.count(now_ns()) {
            return;
        }
        let (device, op, sector, tag) = (self.id, request.op(), found.sector, found.tag);
        tracing::warn!(device, ?op, sector, ?tag, "protection information is wrong");
        self.events.push(Event {
            device: Some(self.id),
            op: fault_op(op),
            sector: Some(request.sector()),
            sectors: Some(request.sectors()),
            queue: Some(queue.queue),
            tag: Some(request.tag()),
            result: Some(-libc::EILSEQ),
            mismatch: Some(api::Mismatch {
                sector: fault::Sector(found.sector),
                tag: found.tag,
                expected: found.expected,
                found: found.found,
            }),
            ..Event::of(EventKind::IntegrityError)
        });
    }

    fn about(&self, queue: &QueueShared, request: &Request, mark: &Mark, kind: EventKind) -> Event {
        Event {
            device: Some(self.id),
            generation: Some(mark.generation),
            rule: Some(Arc::clone(&mark.rule)),
            op: fault_op(request.op()),
            sector: Some(request.sector()),
            sectors: Some(request.sectors()),
            queue: Some(queue.queue),
            tag: Some(request.tag()),
            ..Event::of(kind)
        }
    }
}
