//! What a verdict means for one request.

use fault::{CrashPoint, Extent, Status, Terminal, Verdict};
use ublk::{Op, Request, RequestFlags};

use super::{Answered, Place};

/// What is done with the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Nothing.
    Untouched,
    /// The target does it, as always, or in another place, or in parts.
    Target,
    /// Staging memory goes there, or comes from there.
    Staged,
    /// Nothing, and a destination request gets zeroes.
    Zeroes,
}

/// How a request is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With success.
    Done,
    /// With so many sectors.
    Short(u32),
    /// With a rule's status.
    Failed(Status),
}

/// What is to be done for one request. Made once, then not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    op: Op,
    home: Place,
    /// What is done with the medium.
    pub medium: Medium,
    /// Where it is done instead of where it belongs, or after that.
    elsewhere: Option<u64>,
    /// Whether it is not done where it belongs.
    missing_at_home: bool,
    /// Which bytes reach the medium.
    pub keep: Extent,
    /// Whether rules damage the payload.
    pub damage: bool,
    /// Whether what is stored must be durable.
    pub durable: bool,
    /// How long the answer waits after the medium, in nanoseconds.
    pub wait_ns: u64,
    /// Where the server ends.
    pub crash: Option<CrashPoint>,
    /// How the request is to end.
    pub end: End,
}

impl Course {
    /// The course of a request, if it is another than that of every request: a verdict that only delays it
    /// at first, fails it untouched, or parks it leaves it as it is.
    #[must_use]
    pub fn of(verdict: &Verdict, request: &Request) -> Option<Self> {
        let plain = Self::plain(verdict, request);
        let course = plain.under(&verdict.terminal)?.simplified();
        let is_plain = course
            == Self {
                durable: course.durable,
                ..Self::served(request)
            };
        let fails_untouched = course.medium == Medium::Untouched
            && matches!(verdict.terminal, Terminal::Fail { .. })
            && course.wait_ns == 0;
        (!is_plain && !fails_untouched).then_some(course)
    }

    /// As every request.
    fn served(request: &Request) -> Self {
        Self {
            op: request.op(),
            home: Place {
                sector: request.sector(),
                sectors: request.sectors(),
            },
            medium: Medium::Target,
            elsewhere: None,
            missing_at_home: false,
            keep: Extent::FULL,
            damage: false,
            durable: request.flags().contains(RequestFlags::FUA),
            wait_ns: 0,
            crash: None,
            end: End::Done,
        }
    }

    /// With what adds to any terminal action.
    fn plain(verdict: &Verdict, request: &Request) -> Self {
        let served = Self::served(request);
        let has_payload = matches!(request.op(), Op::Read | Op::Write);
        Self {
            damage: has_payload && !verdict.corrupt.is_empty(),
            durable: served.durable && !verdict.ignore_fua,
            wait_ns: verdict.complete_delay_ns,
            ..served
        }
    }

    fn under(self, terminal: &Terminal) -> Option<Self> {
        Some(match *terminal {
            Terminal::Pass
            | Terminal::Hang
            | Terminal::Hold { .. }
            | Terminal::Reorder { .. }
            | Terminal::Remove { .. } => self,
            Terminal::Fail { status, effect } => Self {
                end: End::Failed(status),
                // What is read is read whole: nobody sees a part of it.
                keep: if self.op == Op::Read && !effect.is_none() {
                    Extent::FULL
                } else {
                    effect
                },
                ..self
            },
            Terminal::Torn { keep, status } => Self {
                keep,
                end: status.map_or(End::Done, End::Failed),
                ..self
            },
            Terminal::Short { sectors } => Self {
                keep: self.prefix(sectors)?,
                end: End::Short(sectors),
                medium: Medium::Staged,
                ..self
            },
            Terminal::Drop | Terminal::IgnoreFlush => Self {
                keep: Extent::NONE,
                medium: if self.op == Op::Read {
                    Medium::Zeroes
                } else {
                    Medium::Untouched
                },
                damage: false,
                ..self
            },
            Terminal::Misdirect { to, lost } => Self {
                elsewhere: Some(to.0),
                missing_at_home: lost || self.op == Op::Read,
                ..self
            },
            Terminal::Crash { point } => Self {
                crash: Some(point),
                ..self
            },
        })
    }

    /// The first sectors, as an extent.
    fn prefix(&self, sectors: u32) -> Option<Extent> {
        let bytes = sectors.checked_mul(512)?;
        (bytes < self.len_bytes()).then(|| Extent::prefix(bytes))
    }

    /// Settles what is done with the medium.
    fn simplified(self) -> Self {
        let medium = match (self.medium, self.op) {
            (Medium::Untouched | Medium::Zeroes, _) => self.medium,
            _ if self.keep.is_none() => Medium::Untouched,
            (_, Op::Write) if self.damage || self.is_partial() => Medium::Staged,
            (Medium::Staged, Op::Read) => Medium::Staged,
            (_, Op::Read) if self.damage => Medium::Staged,
            _ => Medium::Target,
        };
        Self { medium, ..self }
    }

    /// Whether only a part reaches the medium.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.keep.is_full() && !self.keep.is_none()
    }

    /// Whether its pages supply data.
    #[must_use]
    pub fn is_source(&self) -> bool {
        self.op == Op::Write
    }

    /// The length of its payload in bytes, which is at most 32 MiB.
    #[must_use]
    pub fn len_bytes(&self) -> u32 {
        self.home.sectors.saturating_mul(512)
    }

    /// How much of its payload the client is told of.
    #[must_use]
    pub fn answered_bytes(&self) -> u32 {
        match self.end {
            End::Short(sectors) => sectors.saturating_mul(512).min(self.len_bytes()),
            _ => self.len_bytes(),
        }
    }

    /// The places where it is done, one after the other: where it belongs, or the parts of that; and elsewhere.
    #[must_use]
    pub fn place(&self, turn: usize) -> Option<Place> {
        if self.is_partial() && !matches!(self.op, Op::Read | Op::Write) {
            return self.parts().nth(turn);
        }
        let home = (!self.missing_at_home).then_some(self.home);
        let elsewhere = self.elsewhere.map(|sector| Place {
            sector,
            ..self.home
        });
        home.into_iter().chain(elsewhere).nth(turn)
    }

    /// The parts of a request without a payload, in whole sectors.
    fn parts(&self) -> impl Iterator<Item = Place> {
        let home = self.home;
        self.keep.ranges().filter_map(move |range| {
            let (from, to) = (
                range.start.div_ceil(512),
                (range.end / 512).min(home.sectors),
            );
            (from < to).then(|| Place {
                sector: home.sector + u64::from(from),
                sectors: to - from,
            })
        })
    }

    /// What the client is told.
    pub(super) fn answered(&self) -> Answered {
        match self.end {
            End::Done => Answered::Done {
                served: self.medium == Medium::Target,
            },
            End::Short(sectors) => Answered::Short(sectors),
            End::Failed(status) => Answered::Status(status),
        }
    }
}
