//! What carrying an action out takes.

use super::{Action, Dist, Effect, Persist, Place, Scope, Stage};
use crate::facts::ActionSet;
use crate::op::{Direction, Op};

impl Action {
    /// The action's word, such as `fail`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Fail { .. } => "fail",
            Self::Short { .. } => "short",
            Self::Delay { .. } => "delay",
            Self::Hang {} => "hang",
            Self::Hold { .. } => "hold",
            Self::Drop {} => "drop",
            Self::Corrupt(_) => "corrupt",
            Self::Torn(_) => "torn",
            Self::Misdirect { .. } => "misdirect",
            Self::Badmap { .. } => "badmap",
            Self::IgnoreFlush {} => "ignore_flush",
            Self::IgnoreFua {} => "ignore_fua",
            Self::Reorder { .. } => "reorder",
            Self::Throttle { .. } => "throttle",
            Self::Remove { .. } => "remove",
            Self::CrashServer { .. } => "crash_server",
            Self::Resize { .. } => "resize",
            Self::Readonly { .. } => "readonly",
            Self::Pi { .. } => "pi",
            Self::SetState { .. } => "set_state",
            Self::Mark { .. } => "mark",
            Self::Notify {} => "notify",
        }
    }

    /// Whether the action decides what becomes of the request, so that later terminal actions are
    /// shadowed. `badmap` does when it fails something.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Fail { .. }
            | Self::Short { .. }
            | Self::Hang {}
            | Self::Hold { .. }
            | Self::Drop {}
            | Self::Torn(_)
            | Self::Misdirect { .. }
            | Self::Badmap { .. }
            | Self::IgnoreFlush {}
            | Self::Reorder { .. }
            | Self::Remove { .. }
            | Self::CrashServer { .. } => true,
            Self::Delay { .. }
            | Self::Corrupt(_)
            | Self::IgnoreFua {}
            | Self::Throttle { .. }
            | Self::Resize { .. }
            | Self::Readonly { .. }
            | Self::Pi { .. }
            | Self::SetState { .. }
            | Self::Mark { .. }
            | Self::Notify {} => false,
        }
    }

    /// Whether it takes time, so that whoever carries it out must know the time.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        matches!(
            self,
            Self::Delay { .. }
                | Self::Hang {}
                | Self::Hold { .. }
                | Self::Reorder { .. }
                | Self::Throttle { .. }
        )
    }

    /// Whether it wants something done to the device, or told of it.
    #[must_use]
    pub const fn signals(&self) -> bool {
        matches!(
            self,
            Self::Resize { .. }
                | Self::Readonly { .. }
                | Self::SetState { .. }
                | Self::Mark { .. }
                | Self::Notify {}
                | Self::Remove { .. }
        )
    }

    /// Whether it draws.
    #[must_use]
    pub const fn draws(&self) -> bool {
        match self {
            Self::Delay { dist, .. } => !matches!(dist, Dist::Fixed(_)),
            Self::Fail {
                effect: Effect::Torn { persist, .. },
                ..
            } => {
                matches!(persist, Persist::Random)
            }
            Self::Torn(torn) => matches!(torn.persist, Persist::Random),
            Self::Misdirect { to, .. } => matches!(to, Place::Random(_)),
            Self::Corrupt(_) | Self::Reorder { .. } | Self::Pi { .. } => true,
            _ => false,
        }
    }

    /// What the daemon must be able to carry out.
    #[must_use]
    pub const fn needs(&self) -> ActionSet {
        match self {
            Self::Fail {
                effect: Effect::None,
                scope: Scope::Request,
                ..
            } => ActionSet::FAIL,
            Self::Fail { .. } | Self::Badmap { .. } => ActionSet::FAIL_EFFECT,
            Self::Short { .. } => ActionSet::SHORT,
            Self::Delay {
                at: Stage::Submit, ..
            }
            | Self::Throttle { .. } => ActionSet::DELAY,
            Self::Delay {
                at: Stage::Complete,
                ..
            } => ActionSet::DELAY_COMPLETE,
            Self::Hang {} => ActionSet::HANG,
            Self::Hold { .. } => ActionSet::HOLD,
            Self::Drop {} => ActionSet::DROP,
            Self::Corrupt(_) => ActionSet::CORRUPT,
            Self::Torn(_) => ActionSet::TORN,
            Self::Misdirect { .. } => ActionSet::MISDIRECT,
            Self::IgnoreFlush {} => ActionSet::IGNORE_FLUSH,
            // Without the flags nobody knows which writes have one.
            Self::IgnoreFua {} => ActionSet::IGNORE_FUA.union(ActionSet::FLAGS),
            Self::Reorder { .. } => ActionSet::REORDER,
            Self::Remove { .. } => ActionSet::REMOVE,
            Self::CrashServer { .. } => ActionSet::CRASH_SERVER,
            Self::Resize { .. } => ActionSet::RESIZE,
            Self::Readonly { .. } => ActionSet::READONLY,
            Self::Pi { .. } => ActionSet::PI,
            Self::SetState { .. } => ActionSet::SET_STATE,
            Self::Mark { .. } => ActionSet::MARK,
            Self::Notify {} => ActionSet::NOTIFY,
        }
    }

    /// Whether it can do anything to a request of this operation.
    #[must_use]
    pub const fn acts_on(&self, op: Op) -> bool {
        match self {
            // A flush, a discard and a write of zeroes either succeed or fail: the driver takes any
            // answer that is not negative for success (`__ublk_complete_rq`).
            Self::Short { .. } | Self::Misdirect { .. } => {
                !matches!(op.direction(), Direction::None)
            }
            Self::Torn(_) => matches!(op, Op::Write),
            Self::Corrupt(corruption) => corruption.on.includes(op.direction()),
            Self::Pi { .. } => !matches!(op.direction(), Direction::None),
            Self::IgnoreFlush {} => matches!(op, Op::Flush),
            Self::IgnoreFua {} => matches!(op, Op::Write),
            Self::Badmap { .. } => op.has_sectors(),
            Self::Fail {
                effect: Effect::Prefix(_) | Effect::Torn { .. },
                ..
            }
            | Self::Fail {
                scope: Scope::Sectors,
                ..
            } => op.has_sectors(),
            _ => true,
        }
    }
}
