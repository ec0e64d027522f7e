//! What the engine says about a request.

use crate::action::{CrashPoint, Then};
use crate::extent::Extent;
use crate::sector::Sector;
use crate::status::Status;

/// What is to become of one request. Small and `Copy`: it is made for every request that rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How long the request waits before anything else happens, in nanoseconds: the sum of all such delays
    /// and throttles that fired.
    pub submit_delay_ns: u64,
    /// How long it waits after the medium, before it is answered, in nanoseconds.
    pub complete_delay_ns: u64,
    /// When the first wait is over, on the clock of `now_ns`; `now_ns` itself without one. The `max_ns` of
    /// a hold counts from here.
    pub due_ns: u64,
    /// What happens then.
    pub terminal: Terminal,
    /// The rules that damage its data or its protection information, in the order in which they do.
    pub corrupt: Touches,
    /// Whether a FUA it has is left out.
    pub ignore_fua: bool,
    /// The rules that fired and want something done to the device: resize, readonly, set_state, mark,
    /// notify, remove. A state and a mark are set already.
    pub signals: Signals,
    /// The rule that decided: that of `terminal`, else the first that fired, else none.
    pub rule: Option<RuleIndex>,
}

/// What ends the engine's interest in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// The target serves it.
    Pass,
    /// It fails.
    Fail {
        /// With this status.
        status: Status,
        /// What reaches the medium before; a read of which something does is read from the medium, and
        /// then fails.
        effect: Extent,
    },
    /// Only this much is done and answered.
    Short {
        /// So many sectors, at least 1 and less than all.
        sectors: u32,
    },
    /// It succeeds and the medium is not touched. A read gives zeroes.
    Drop,
    /// It is not answered.
    Hang,
    /// It is kept uncommitted until it is released.
    Hold {
        /// How long at most, in nanoseconds from `due_ns`.
        max_ns: u64,
        /// What happens when that is over.
        then: Then,
    },
    /// A write of which only a part reaches the medium.
    Torn {
        /// Which part.
        keep: Extent,
        /// What it fails with; it succeeds without.
        status: Option<Status>,
    },
    /// It is done elsewhere.
    Misdirect {
        /// From this sector on.
        to: Sector,
        /// Whether a write is missing where it belongs; if not, it is done there too.
        lost: bool,
    },
    /// A flush that succeeds without being done.
    IgnoreFlush,
    /// The server dies.
    Crash {
        /// Where.
        point: CrashPoint,
    },
    /// The device goes away.
    Remove {
        /// At once, so that what is under way fails.
        surprise: bool,
        /// After how long it comes back, in nanoseconds; never without.
        return_after_ns: Option<u64>,
    },
    /// It waits for others of this rule and queue, and is let go in another order: that of
    /// [`crate::permutation`] of `draw` and their number.
    Reorder {
        /// How many wait for each other at most.
        window: u16,
        /// How long at most, in nanoseconds from `due_ns`.
        hold_ns: u64,
        /// Addresses the order. The draw of the first that waits counts.
        draw: u64,
    },
}

/// The place of a rule in its rule set, from 0 in the order of evaluation. Means nothing in another
/// generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub(crate) u16);

impl RuleIndex {
    /// The place as a number, from 0.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A rule that damages a request, and its draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// The rule.
    pub rule: RuleIndex,
    /// Addresses what it draws; to be handed to [`crate::RuleSet::corrupt`].
    pub draw: u64,
}

/// Rules that damage one request.
pub type Touches = Few<Touch>;

/// Rules that want something done to the device.
pub type Signals = Few<RuleIndex>;

/// At most four of something, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Few<T> {
    items: [Option<T>; 4],
}

impl<T: Copy> Few<T> {
    /// How many there can be.
    pub const MAX: usize = 4;

    /// None.
    pub const NONE: Self = Self { items: [None; 4] };

    /// Adds one more, or says that there is no room.
    pub(crate) fn push(&mut self, item: T) -> bool {
        match self.items.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(item);
                true
            }
            None => false,
        }
    }

    /// Whether one more fits.
    pub(crate) const fn has_room(&self) -> bool {
        self.items[Self::MAX - 1].is_none()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items[0].is_none()
    }

    /// They, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.items.into_iter().flatten()
    }
}

impl Verdict {
    /// The verdict on a request that no rule fired on, asked about at `now_ns`.
    #[must_use]
    pub const fn pass(now_ns: u64) -> Self {
        Self {
            submit_delay_ns: 0,
            complete_delay_ns: 0,
            due_ns: now_ns,
            terminal: Terminal::Pass,
            corrupt: Touches::NONE,
            ignore_fua: false,
            signals: Signals::NONE,
            rule: None,
        }
    }

    /// Whether the request goes to its target at once, as if there were no rules.
    #[must_use]
    pub const fn is_pass(&self) -> bool {
        self.rule.is_none()
    }
}
