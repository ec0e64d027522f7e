//! What a rule does to a request.

mod corruption;
mod course;
mod dist;
mod effect;
mod needs;
mod sample;
mod shown;
mod tear;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Status;
use crate::label::Label;
use crate::length::{Bytes, Sectors};
use crate::notation::{maybe_ns, maybe_prob, ns};

pub use corruption::{Corruption, Kind, Side, Window};
pub use course::{CrashPoint, Heal, PiTag, Place, Removal, Stage};
pub use dist::{Dist, MAX_POINTS, Point};
pub(crate) use effect::parse_parts;
pub use effect::{Effect, MAX_PARTS, Scope};
pub use tear::{Persist, Torn, Unit};

/// How long a hold lasts if nobody says: 60 s.
pub const DEFAULT_HOLD_NS: u64 = 60_000_000_000;

/// How long a reordered request waits for others if nobody says: 5 ms.
pub const DEFAULT_REORDER_NS: u64 = 5_000_000;

/// The longest hold or delay that is accepted: 1 h. A privileged ublk device has no I/O timeout
/// (`ublk_timeout`, drivers/block/ublk_drv.c), so nothing but this limit ends a forgotten one.
pub const MAX_PARK_NS: u64 = 3_600_000_000_000;

/// What happens to a request when the rule fires.
///
/// Some are terminal: the first of them decides. The others add to what happens: delays and throttles
/// add up, damage piles up, and the terminal action follows.
///
/// Times are numbers of nanoseconds or strings with a unit; lengths are numbers or strings with a suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The request fails. Terminal.
    Fail {
        /// The error it fails with; `IOERR` if absent.
        #[serde(default)]
        #[schema(default = "IOERR")]
        status: Status,
        /// What reaches the medium: `none`, `full`, `prefix:SECTORS`, `torn:PARTS/PERSIST[/UNIT]`; `none` if
        /// absent.
        #[serde(default, skip_serializing_if = "Effect::is_none")]
        #[schema(value_type = String, default = "none", example = "prefix:8")]
        effect: Effect,
        /// Whether all of the request is kept from the medium, or exactly the sectors of `lba`.
        #[serde(default, skip_serializing_if = "Scope::is_default")]
        scope: Scope,
    },
    /// Only the first part is done and answered. Terminal.
    Short {
        /// That many sectors, or all but one if the request has no more; not together with `frac`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "8")]
        sectors: Option<Sectors>,
        /// That share of the sectors, above 0 and below 1.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_prob")]
        frac: Option<f64>,
    },
    /// The request waits.
    Delay {
        /// How long: a time such as `2ms`, or a distribution such as `lognormal:1ms/20ms`. A number is
        /// nanoseconds, and `ns` is taken for `dist`.
        #[serde(alias = "ns")]
        #[schema(value_type = String, example = "lognormal:1ms/20ms")]
        dist: Dist,
        /// Before the medium, or after it; `submit` if absent.
        #[serde(default, skip_serializing_if = "Stage::is_default")]
        at: Stage,
        /// So many requests wait at the same time, each other one for its turn first; without limit if
        /// absent. 1 to 64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 64)]
        lanes: Option<u16>,
    },
    /// The request is never answered, until the rule goes away or the device is healed or stopped. Terminal.
    Hang {},
    /// The request is kept uncommitted until it is released. Terminal.
    Hold {
        /// How long at most; 1 ns to 1 h, 60 s if absent.
        #[serde(default = "default_hold_ns", with = "ns")]
        #[schema(default = 60_000_000_000_u64)]
        max_ns: u64,
        /// What happens when that time is over; `release` if absent.
        #[serde(default)]
        then: Then,
    },
    /// The request succeeds without being done: a lost write; a read gives zeroes. Terminal.
    Drop {},
    /// The data is damaged.
    Corrupt(Corruption),
    /// Only parts of a write reach the medium. Terminal.
    Torn(Torn),
    /// The request is done elsewhere. Terminal.
    Misdirect {
        /// Where: `+SECTORS`, `-SECTORS`, `SECTOR`, `random:RANGE` or `random`.
        #[schema(value_type = String, example = "+8")]
        to: Place,
        /// Whether a write is missing where it belongs; yes if absent.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        #[schema(default = true)]
        lost: bool,
    },
    /// The sectors of `lba` are bad until healed: what reads one fails. Terminal if it fails something.
    Badmap {
        /// What heals a sector: `write`, `discard`, `never` or `after:N`; `write` if absent.
        #[serde(default, skip_serializing_if = "Heal::is_default")]
        #[schema(value_type = String, default = "write")]
        heal: Heal,
        /// How many writes to a bad sector fail before one is taken; 0 if absent, 254 at most.
        #[serde(default, skip_serializing_if = "is_zero")]
        #[schema(maximum = 254)]
        wr_fail: u8,
        /// The error; `MEDIUM` if absent.
        #[serde(default = "medium", skip_serializing_if = "is_medium")]
        #[schema(default = "MEDIUM")]
        status: Status,
    },
    /// A flush succeeds and nothing is flushed. Terminal.
    IgnoreFlush {},
    /// A write with FUA is done without it.
    IgnoreFua {},
    /// Requests are let go in another order than they came. Terminal.
    Reorder {
        /// Among so many, 2 to 256.
        #[schema(minimum = 2, maximum = 256)]
        window: u16,
        /// How long they wait for each other at most; 5 ms if absent.
        #[serde(default = "default_reorder_ns", with = "ns")]
        #[schema(default = 5_000_000_u64)]
        hold_ns: u64,
    },
    /// Requests wait so that no more than this passes.
    Throttle {
        /// Requests in a second, at least 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1)]
        iops: Option<u64>,
        /// Bytes in a second, at least 512.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "100M")]
        bytes: Option<Bytes>,
        /// How many requests may come at once; 1 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1)]
        burst: Option<u64>,
        /// How many bytes may come at once, beyond the rate; none if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "1M")]
        burst_bytes: Option<Bytes>,
    },
    /// The device goes away. Terminal.
    Remove {
        /// How; `surprise` if absent.
        #[serde(default, skip_serializing_if = "Removal::is_default")]
        how: Removal,
        /// After how long it comes back; never if absent.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_ns")]
        return_ns: Option<u64>,
    },
    /// The server dies. Terminal.
    CrashServer {
        /// Where; `before_submit` if absent.
        #[serde(default, skip_serializing_if = "CrashPoint::is_default")]
        point: CrashPoint,
    },
    /// The device gets another size.
    Resize {
        /// The new size: sectors, or bytes with a suffix.
        #[schema(value_type = String, example = "1G")]
        size: Sectors,
    },
    /// The device is made read-only, or writable again.
    Readonly {
        /// Which; read-only if absent.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        #[schema(default = true)]
        on: bool,
    },
    /// The protection information is made wrong.
    Pi {
        /// Which tag; `guard` if absent.
        #[serde(default, skip_serializing_if = "PiTag::is_default")]
        tag: PiTag,
    },
    /// The device enters a state, which other rules may wait for.
    SetState {
        /// Its name.
        #[schema(value_type = String)]
        state: Label,
    },
    /// A mark is set, which other rules may wait for.
    Mark {
        /// Its name.
        #[schema(value_type = String)]
        label: Label,
    },
    /// Nothing happens; that it fired is told.
    Notify {},
}

/// What becomes of a held request that nobody released in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It goes on as if it had never been held.
    #[default]
    Release,
    /// It fails with this error.
    Fail(Status),
}

const fn default_hold_ns() -> u64 {
    DEFAULT_HOLD_NS
}

const fn default_reorder_ns() -> u64 {
    DEFAULT_REORDER_NS
}

const fn yes() -> bool {
    true
}

const fn is_yes(value: &bool) -> bool {
    *value
}

const fn is_zero(value: &u8) -> bool {
    *value == 0
}

const fn medium() -> Status {
    Status::Medium
}

fn is_medium(status: &Status) -> bool {
    *status == Status::Medium
}
