//! Events about requests.

use std::ops::Range;
use std::sync::Arc;

use api::{ByteRange, Decision, Effect, EventKind};
use fault::{Action, RuleIndex, Terminal, Verdict};
use ublk::Request;

use super::{DeviceShared, Mark, Published, QueueShared, fault_op};
use crate::clock::now_ns;
use crate::events::Event;
use crate::integrity::Mismatch;

/// How many ranges an event names at most.
const MOST_RANGES: usize = 64;

impl DeviceShared {
    /// Reports which rules fired on a request: the one that decided, then those that damage it or want
    /// something of the device. `hold_id`: the number of the hold, if the first one held it.
    pub(crate) fn report_decision(
        &self,
        queue: &QueueShared,
        request: &Request,
        published: &Published,
        verdict: &Verdict,
        hold_id: Option<u64>,
    ) {
        let deciding = verdict.rule;
        let touches = verdict.corrupt.iter().map(|touch| touch.rule);
        let others = touches
            .chain(verdict.signals.iter())
            .filter(|rule| Some(*rule) != deciding);
        for index in deciding.into_iter().chain(others) {
            let (Some(mark), Some(rule)) = (published.mark(index), published.set.rule(index))
            else {
                continue;
            };
            let event = self.about(queue, request, &mark, EventKind::Fired);
            self.events.push(Event {
                decision: Some(decision(&rule.action)),
                effect: Some(effect(&verdict.terminal)),
                hold_id: hold_id.filter(|_| Some(index) == deciding),
                ..event
            });
        }
    }

    /// Reports which bytes of a request a rule has damaged.
    pub(crate) fn report_damage(
        &self,
        queue: &QueueShared,
        request: &Request,
        published: &Published,
        rule: RuleIndex,
        changed: &[Range<u32>],
    ) {
        let Some(mark) = published.mark(rule).filter(|_| !changed.is_empty()) else {
            return;
        };
        let event = self.about(queue, request, &mark, EventKind::Damaged);
        self.events.push(Event {
            changed: Some(byte_ranges(changed)),
            ..event
        });
    }

    /// Reports that a client has changed its memory while a write from it was under way.
    pub(crate) fn report_source_changed(
        &self,
        queue: &QueueShared,
        request: &Request,
        changed: &[Range<u32>],
    ) {
        self.events.push(Event {
            device: Some(self.id),
            op: fault_op(request.op()),
            sector: Some(request.sector()),
            sectors: Some(request.sectors()),
            queue: Some(queue.queue),
            tag: Some(request.tag()),
            changed: Some(byte_ranges(changed)),
            ..Event::of(EventKind::SourceChanged)
        });
    }

    /// Reports that a held or delayed request goes on, and how. `hold_id`: the number of the hold that ends, or
    /// that follows a delay.
    pub(crate) fn report_release(
        &self,
        queue: &QueueShared,
        request: &Request,
        mark: &Mark,
        decision: Decision,
        hold_id: Option<u64>,
    ) {
        let event = self.about(queue, request, mark, EventKind::Released);
        self.events.push(Event {
            decision: Some(decision),
            hold_id,
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

/// What a rule's action is called in events.
fn decision(action: &Action) -> Decision {
    match action {
        Action::Fail { .. } | Action::Badmap { .. } => Decision::Fail,
        Action::Short { .. } => Decision::Short,
        Action::Delay { .. } | Action::Throttle { .. } => Decision::Delay,
        Action::Hang {} => Decision::Hang,
        Action::Hold { .. } => Decision::Hold,
        Action::Drop {} => Decision::Drop,
        Action::Corrupt(_) => Decision::Corrupt,
        Action::Torn(_) => Decision::Torn,
        Action::Misdirect { .. } => Decision::Misdirect,
        Action::IgnoreFlush {} => Decision::IgnoreFlush,
        Action::IgnoreFua {} => Decision::IgnoreFua,
        Action::Reorder { .. } => Decision::Reorder,
        Action::Remove { .. } => Decision::Remove,
        Action::CrashServer { .. } => Decision::CrashServer,
        Action::Resize { .. } => Decision::Resize,
        Action::Readonly { .. } => Decision::Readonly,
        Action::Pi { .. } => Decision::Pi,
        Action::SetState { .. } => Decision::SetState,
        Action::Mark { .. } => Decision::Mark,
        Action::Notify {} => Decision::Notify,
    }
}

/// What reaches the medium under a verdict, at the time of the decision.
fn effect(terminal: &Terminal) -> Effect {
    match terminal {
        Terminal::Fail { effect, .. } | Terminal::Torn { keep: effect, .. } => {
            match (effect.is_none(), effect.is_full()) {
                (true, _) => Effect::None,
                (_, true) => Effect::Full,
                _ => Effect::Part,
            }
        }
        Terminal::Short { .. } => Effect::Part,
        Terminal::Misdirect { .. } => Effect::Elsewhere,
        Terminal::Drop
        | Terminal::IgnoreFlush
        | Terminal::Hang
        | Terminal::Hold { .. }
        | Terminal::Reorder { .. }
        | Terminal::Remove { .. }
        | Terminal::Crash { .. } => Effect::None,
        Terminal::Pass => Effect::Full,
    }
}

fn byte_ranges(changed: &[Range<u32>]) -> Arc<[ByteRange]> {
    let range = |range: &Range<u32>| ByteRange {
        offset_bytes: range.start,
        len_bytes: range.end - range.start,
    };
    changed.iter().take(MOST_RANGES).map(range).collect()
}
