//! What the engine must know of a device to judge a rule.

use bitflags::bitflags;

/// What a rule is held against: the device, and what the daemon can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Size of the device in sectors.
    pub sectors: u64,
    /// Its logical block in bytes, at least 512.
    pub logical_block_bytes: u32,
    /// How many hardware queues it has.
    pub queues: u16,
    /// How many tags each queue has.
    pub depth: u16,
    /// Whether it has a volatile write cache: without one it gets no flush and no FUA.
    pub has_volatile_cache: bool,
    /// Whether requests carry protection information.
    pub integrity: bool,
    /// Whether it belongs to an ordinary user: then the kernel kills the server of a request that takes too
    /// long (`ublk_timeout`, drivers/block/ublk_drv.c).
    pub unprivileged: bool,
    /// Whether the data of its requests can be moved through memory of the daemon.
    pub can_stage: bool,
    /// What the daemon can carry out.
    pub supported: ActionSet,
}

impl DeviceFacts {
    /// A privileged device of this size, with a logical block of 512 bytes, one queue of 128 tags, a volatile
    /// cache, without protection information, on which everything can be carried out.
    #[must_use]
    pub const fn of_size(sectors: u64) -> Self {
        Self {
            sectors,
            logical_block_bytes: 512,
            queues: 1,
            depth: 128,
            has_volatile_cache: true,
            integrity: false,
            unprivileged: false,
            can_stage: true,
            supported: ActionSet::all(),
        }
    }
}

bitflags! {
    /// What a daemon can carry out, and tell of a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct ActionSet: u32 {
        /// `fail` that leaves the medium alone.
        const FAIL = 1;
        /// `fail` of which something reaches the medium, and `badmap`.
        const FAIL_EFFECT = 1 << 1;
        /// `short`.
        const SHORT = 1 << 2;
        /// `delay` before the medium, and `throttle`.
        const DELAY = 1 << 3;
        /// `delay` after the medium.
        const DELAY_COMPLETE = 1 << 4;
        /// `hang`.
        const HANG = 1 << 5;
        /// `hold`.
        const HOLD = 1 << 6;
        /// `drop`.
        const DROP = 1 << 7;
        /// `corrupt`.
        const CORRUPT = 1 << 8;
        /// `torn`.
        const TORN = 1 << 9;
        /// `misdirect`.
        const MISDIRECT = 1 << 10;
        /// `ignore_flush`.
        const IGNORE_FLUSH = 1 << 11;
        /// `ignore_fua`.
        const IGNORE_FUA = 1 << 12;
        /// `reorder`.
        const REORDER = 1 << 13;
        /// `remove`.
        const REMOVE = 1 << 14;
        /// `crash_server`.
        const CRASH_SERVER = 1 << 15;
        /// `resize`.
        const RESIZE = 1 << 16;
        /// `readonly`.
        const READONLY = 1 << 17;
        /// `pi`.
        const PI = 1 << 18;
        /// `set_state`.
        const SET_STATE = 1 << 19;
        /// `mark`.
        const MARK = 1 << 20;
        /// `notify`.
        const NOTIFY = 1 << 21;
        /// Selectors on the flags of a request.
        const FLAGS = 1 << 22;
        /// Selectors on how many requests are in flight.
        const INFLIGHT = 1 << 23;
        /// Selectors and triggers on epochs.
        const EPOCH = 1 << 24;
        /// Triggers on the number of a request.
        const ORDINAL = 1 << 25;
        /// Selectors on the data of source requests.
        const DATA = 1 << 26;
        /// `arm=manual`, and rules that are armed and enabled while they are in force.
        const ARM = 1 << 27;
        /// `on_remove=expire` and `on_remove=fail`.
        const ON_REMOVE = 1 << 28;
    }
}
