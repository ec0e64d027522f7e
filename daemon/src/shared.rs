//! What the queues of a device share with each other and with the server.

mod report;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fault::{DeviceHistory, Flags, OnRemove, RuleIndex, RuleSet};
use tokio::sync::mpsc;
use ublk::{Op, Request, RequestFlags, SharedBuffers, SharedCounts};

use crate::events::EventLog;
use crate::holds::Holds;
use crate::mailbox::Mailbox;
use crate::process;
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
    pub fn mark(&self, index: RuleIndex) -> Option<Mark> {
        let rule = Arc::clone(self.names.get(index.get())?);
        Some(Mark {
            rule,
            generation: self.set.generation(),
            on_remove: self.set.rule(index)?.options.on_remove,
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
    /// What becomes of what it parks when it is removed.
    pub on_remove: OnRemove,
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
    /// What it has been through.
    pub history: Arc<DeviceHistory>,
    /// Its queues.
    pub queues: Vec<Arc<QueueShared>>,
    /// Where queues tell what rules want.
    pub wishes: mpsc::UnboundedSender<(u32, Wish)>,
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

/// What a rule wants of a device, beyond the request that it fired on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// That it goes away.
    Remove {
        /// At once: what is under way fails.
        surprise: bool,
        /// After how long it comes back, in nanoseconds.
        return_after_ns: Option<u64>,
    },
    /// Another size.
    Resize {
        /// The size in bytes.
        size_bytes: u64,
    },
    /// That it cannot be written, or can again.
    ReadOnly {
        /// Which.
        on: bool,
    },
    /// That its daemon dies. What is on file is written first, so that the next daemon knows that the rule
    /// has fired.
    Crash,
}

/// How long a daemon that is to die is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl DeviceShared {
    /// Tells the server what a rule wants.
    #[cold]
    pub(crate) fn wish(&self, wish: Wish) {
        // The server has gone only at the end of the process.
        let _ = self.wishes.send((self.id, wish));
    }

    /// Ends the process, as a bug or a lack of memory would. The queue that calls it does nothing more.
    #[cold]
    pub(crate) fn crash(&self) -> ! {
        self.wish(Wish::Crash);
        std::thread::sleep(LAST_WORDS);
        process::die()
    }

    /// A request as the fault engine sees it; none for an operation that no rule can name.
    pub(crate) fn subject(&self, queue: &QueueShared, request: &Request) -> Option<fault::Request> {
        let subject = self.subject_again(queue, request)?;
        Some(fault::Request {
            ordinal: self.history.next_ordinal(),
            ..subject
        })
    }

    /// The same of a request that was counted already: it gets no number of its own, and no rule may be asked
    /// about it.
    pub(crate) fn subject_again(
        &self,
        queue: &QueueShared,
        request: &Request,
    ) -> Option<fault::Request> {
        Some(fault::Request {
            op: fault_op(request.op())?,
            flags: fault_flags(request.flags()),
            sector: fault::Sector(request.sector()),
            sectors: request.sectors(),
            queue: queue.queue,
            tag: request.tag(),
            inflight: self.in_flight(),
            ordinal: 0,
            epoch: self.history.epoch(),
        })
    }

    /// How many requests were taken and not answered.
    pub(crate) fn in_flight(&self) -> u32 {
        let stats = self.queues.iter().map(|queue| &queue.stats);
        let open = |s: &QueueStats| s.arrived.get().saturating_sub(s.committed.get());
        u32::try_from(stats.map(open).sum::<u64>()).unwrap_or(u32::MAX)
    }
}

/// The fault engine's flags of a request.
fn fault_flags(flags: RequestFlags) -> Flags {
    let failfast = RequestFlags::FAILFAST_DEV
        | RequestFlags::FAILFAST_TRANSPORT
        | RequestFlags::FAILFAST_DRIVER;
    [
        (RequestFlags::FUA, Flags::FUA),
        (RequestFlags::META, Flags::META),
        (RequestFlags::NOUNMAP, Flags::NOUNMAP),
        (RequestFlags::SWAP, Flags::SWAP),
        (RequestFlags::INTEGRITY, Flags::INTEGRITY),
        (failfast, Flags::FAILFAST),
    ]
    .into_iter()
    .filter(|(ours, _)| flags.intersects(*ours))
    .fold(Flags::empty(), |all, (_, theirs)| all | theirs)
}
