//! What happened, one line each.

use fault::{Direction, Op, Sector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::integrity::Mismatch;

/// Something that happened. Every key is there in every event; what does not apply is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Version of this object; 1.
    pub schema: u32,
    /// Its number, counted over the daemon without gaps. A gap in what a reader gets means that the
    /// daemon had to drop events the reader was too slow for.
    pub seq: u64,
    /// When, in nanoseconds of the monotonic clock (`CLOCK_MONOTONIC`).
    pub time_ns: u64,
    /// What happened.
    pub kind: EventKind,
    /// The device's number.
    pub device: Option<u32>,
    /// The generation of rules in force.
    pub generation: Option<u64>,
    /// Name of the rule.
    pub rule: Option<String>,
    /// What the request asks for.
    pub op: Option<Op>,
    /// Which way its data moves.
    pub direction: Option<Direction>,
    /// Its first sector.
    pub sector: Option<Sector>,
    /// Its length in sectors.
    pub sectors: Option<u32>,
    /// The hardware queue it came by.
    pub queue: Option<u16>,
    /// The block layer's tag.
    pub tag: Option<u16>,
    /// The number of the hold that began or ended. Told when it is listed, so that it can be used at once.
    #[serde(default)]
    pub hold_id: Option<u64>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What reached the medium.
    pub effect: Option<Effect>,
    /// What the request was committed with: bytes done, or a negative errno.
    pub result: Option<i32>,
    /// The tag of its protection information that is wrong.
    pub mismatch: Option<Mismatch>,
    /// Bytes of the request's data that changed, at most 64 ranges.
    pub changed: Option<Vec<ByteRange>>,
}

/// A range of a request's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ByteRange {
    /// Offset of its first byte in the request.
    pub offset_bytes: u32,
    /// How many bytes.
    pub len_bytes: u32,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A device began to serve.
    DeviceAdded,
    /// A device is gone.
    DeviceDeleted,
    /// A device's block device was taken away; the device is still there.
    DeviceStopped,
    /// A device's queues have ended, its block device is still there.
    DeviceQuiesced,
    /// A stopped or quiesced device is served again.
    DeviceResumed,
    /// A device of a daemon that is gone was taken over.
    DeviceAdopted,
    /// A device has another size.
    DeviceResized,
    /// A queue ended before its device, which is then removed.
    QueueFailed,
    /// What backs a device failed a request: `result` is its negative errno, which the client may get as
    /// `EIO`. At most 16 a second of one queue are told; the statistics count all.
    BackingError,
    /// A tag of a request's protection information was wrong: `mismatch` says which, and the request failed
    /// with `EILSEQ`. Told like errors of the backing.
    IntegrityError,
    /// A generation of rules is in force.
    RulesChanged,
    /// A rule fired on a request.
    Fired,
    /// A held or delayed request was let go.
    Released,
    /// A request on which a rule had fired was committed.
    Completed,
    /// A rule damaged a request's data: `changed` says which bytes.
    Damaged,
    /// A client changed its memory while a write from it was under way (`stability_watch`): `changed` says
    /// which bytes.
    SourceChanged,
    /// What a rule wanted of the device could not be done.
    WishFailed,
    /// Every rule was removed and everything held let go.
    Healed,
}

/// What was decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It goes to the target.
    Pass,
    /// It waits first.
    Delay,
    /// It fails.
    Fail,
    /// It is held.
    Hold,
    /// Only its first part is done and answered.
    Short,
    /// It is not answered.
    Hang,
    /// It succeeds without being done.
    Drop,
    /// Its data is damaged.
    Corrupt,
    /// Only a part of it reaches the medium.
    Torn,
    /// It is done elsewhere.
    Misdirect,
    /// A flush succeeds without being done.
    IgnoreFlush,
    /// It is done without its FUA.
    IgnoreFua,
    /// It waits for others, to be done in another order.
    Reorder,
    /// The device goes away.
    Remove,
    /// The daemon dies.
    CrashServer,
    /// The device gets another size.
    Resize,
    /// The device is made read-only or writable.
    Readonly,
    /// Its protection information is made wrong.
    Pi,
    /// The device enters a state.
    SetState,
    /// A mark is set.
    Mark,
    /// Nothing is done.
    Notify,
}

/// What reached the medium of a request on which a rule fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    None,
    /// All of it.
    Full,
    /// A part of it.
    Part,
    /// All of it, in another place.
    Elsewhere,
}

impl Event {
    /// An event about nothing in particular yet; fill in what applies.
    #[must_use]
    pub const fn new(seq: u64, time_ns: u64, kind: EventKind) -> Self {
        Self {
            schema: crate::SCHEMA,
            seq,
            time_ns,
            kind,
            device: None,
            generation: None,
            rule: None,
            op: None,
            direction: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_exactly_the_published_keys() {
        let event = Event::new(1, 2, EventKind::Fired);
        let json = serde_json::to_string(&event).unwrap();
        let keys: Vec<&str> = "schema seq time_ns kind device generation rule op direction sector \
                               sectors queue tag hold_id decision effect result mismatch changed"
            .split_whitespace()
            .collect();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let object = value.as_object().unwrap();
        assert_eq!(object.len(), keys.len());
        assert!(keys.iter().all(|key| object.contains_key(*key)), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
