//! What happened, in order: devices, rules, and every request that a rule touched. A bounded ring: nobody
//! tells a reader that falls behind, but the numbers (`seq`) that it gets have a gap, by which `bvecctl
//! events` says how many are missing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use api::{Decision, Effect, EventKind};
use tokio::sync::watch;

use crate::clock::now_ns;

/// How many events are kept.
pub const KEPT: usize = 65_536;

/// One event. What does not apply is none.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the order, from 1.
    pub seq: u64,
    /// When, on `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// What kind.
    pub kind: EventKind,
    /// Which device.
    pub device: Option<u32>,
    /// Which rule generation.
    pub generation: Option<u64>,
    /// Which rule.
    pub rule: Option<Arc<str>>,
    /// The request's operation.
    pub op: Option<fault::Op>,
    /// The request's first sector.
    pub sector: Option<u64>,
    /// The request's length in sectors.
    pub sectors: Option<u32>,
    /// The request's queue.
    pub queue: Option<u16>,
    /// The request's tag.
    pub tag: Option<u16>,
    /// The number of the hold that began or ended.
    pub hold_id: Option<u64>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What reached the medium.
    pub effect: Option<Effect>,
    /// What the client got: bytes or 0, or a negative errno.
    pub result: Option<i32>,
    /// The tag of its protection information that is wrong.
    pub mismatch: Option<api::Mismatch>,
    /// Bytes of its payload that changed.
    pub changed: Option<Arc<[api::ByteRange]>>,
}

impl Event {
    /// An event of a kind, with nothing else said.
    #[must_use]
    pub fn of(kind: EventKind) -> Self {
        Self {
            seq: 0,
            time_ns: 0,
            kind,
            device: None,
            generation: None,
            rule: None,
            op: None,
            sector: None,
            sectors: None,
            queue: None,
            tag: None,
            hold_id: None,
            decision: None,
            effect: None,
            result: None,
            mismatch: None,
            changed: None,
        }
    }
}

impl Event {
    /// The event as clients get it.
    #[must_use]
    pub fn to_api(&self) -> api::Event {
        api::Event {
            device: self.device,
            generation: self.generation,
            rule: self.rule.as_deref().map(str::to_owned),
            op: self.op,
            direction: self.op.map(fault::Op::direction),
            sector: self.sector.map(fault::Sector),
            sectors: self.sectors,
            queue: self.queue,
            tag: self.tag,
            hold_id: self.hold_id,
            decision: self.decision,
            effect: self.effect,
            result: self.result,
            mismatch: self.mismatch,
            changed: self.changed.as_deref().map(<[_]>::to_vec),
            ..api::Event::new(self.seq, self.time_ns, self.kind)
        }
    }
}

/// The events of a daemon.
#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<Ring>,
    latest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    next_seq: u64,
    kept: VecDeque<Event>,
}

impl EventLog {
    /// An empty log with all its memory.
    #[must_use]
    pub fn new() -> Self {
        let ring = Ring {
            next_seq: 1,
            kept: VecDeque::with_capacity(KEPT),
        };
        Self {
            ring: Mutex::new(ring),
            latest: watch::Sender::new(0),
        }
    }

    /// Appends an event; the oldest makes room.
    pub fn push(&self, event: Event) {
        let seq = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let seq = ring.next_seq;
            ring.next_seq += 1;
            if ring.kept.len() == KEPT {
                ring.kept.pop_front();
            }
            ring.kept.push_back(Event {
                seq,
                time_ns: now_ns(),
                ..event
            });
            seq
        };
        self.latest.send_replace(seq);
    }

    /// Up to `limit` events after number `since`, oldest first.
    #[must_use]
    pub fn after(&self, since: u64, limit: usize) -> Vec<Event> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let first = ring.kept.partition_point(|event| event.seq <= since);
        ring.kept.iter().skip(first).take(limit).cloned().collect()
    }

    /// The number of the latest event; 0 before the first.
    #[must_use]
    pub fn latest(&self) -> u64 {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.next_seq - 1
    }

    /// Tells of each new event's number.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_make_room() {
        let log = EventLog::new();
        assert_eq!(log.latest(), 0);
        for _ in 0..KEPT + 3 {
            log.push(Event::of(EventKind::Fired));
        }
        let all = log.after(0, usize::MAX);
        assert_eq!(all.len(), KEPT);
        assert_eq!(log.latest(), KEPT as u64 + 3);
        assert_eq!(all[0].seq, 4);
        assert_eq!(
            log.after(all[0].seq, 2)
                .iter()
                .map(|e| e.seq)
                .collect::<Vec<_>>(),
            [5, 6]
        );
        assert!(log.after(KEPT as u64 + 3, 10).is_empty());
    }
}
