//! Selectors, prepared for many requests.

use crate::action::Action;
use crate::facts::DeviceFacts;
use crate::op::{Direction, OpSet};
use crate::range::SectorRange;
use crate::request::Request;
use crate::rule::Rule;
use crate::selector::{CountTest, DataTest, Epochs, FlagTest, Flags, Overlap, Selector, SizeTest};

/// A [`Selector`] in the form that is fastest to ask, with what the action can act on.
#[derive(Debug)]
pub(crate) struct Matcher {
    ops: Option<OpSet>,
    sectors: Area,
    flags: Option<FlagTest>,
    size: Option<SizeTest>,
    /// The first sector is a multiple of this.
    align: u64,
    queue: Option<u16>,
    tag: Option<u16>,
    inflight: Option<CountTest>,
    epoch: Option<Epochs>,
    data: Option<DataTest>,
    /// The request has more sectors than this.
    longer_than: u32,
}

#[derive(Debug)]
enum Area {
    /// Every request, a flush included.
    All,
    /// Requests that have one of these sectors. Sorted, and neither overlapping nor touching.
    Any(Box<[SectorRange]>),
    /// Requests that have only these sectors. Sorted, and neither overlapping nor touching.
    Within(Box<[SectorRange]>),
    /// Requests that have all sectors of one of these ranges.
    Covers(Box<[SectorRange]>),
    /// Requests that have exactly the sectors of one of these ranges. Sorted.
    Exact(Box<[SectorRange]>),
}

/// Why a request is not selected: the field that does not agree.
pub(crate) type Not = &'static str;

impl Matcher {
    pub(crate) fn new(rule: &Rule, facts: &DeviceFacts) -> Self {
        let selector = &rule.selector;
        let acts = selector.op.filter(|op| rule.action.acts_on(op));
        let block_sectors = facts.logical_block_bytes.max(512) / 512;
        let flags = match rule.action {
            // There must be something to ignore.
            Action::IgnoreFua {} if selector.flags.is_none() => {
                FlagTest::new(Flags::FUA, Flags::empty())
            }
            _ => selector.flags,
        };
        Self {
            ops: acts,
            sectors: Area::new(selector),
            flags,
            size: selector.size,
            align: selector.align.map_or(1, |align| align.0.max(1)),
            queue: selector.queue,
            tag: selector.tag,
            inflight: selector.inflight,
            epoch: selector.epoch,
            data: selector.data.clone(),
            longer_than: match rule.action {
                Action::Short { .. } => block_sectors,
                _ => 0,
            },
        }
    }

    /// Whether the request is selected; with a pattern only if its data is given.
    pub(crate) fn selects(&self, request: &Request, data: Option<&[u8]>) -> bool {
        self.refuses(request).is_none() && self.has_data(request, data)
    }

    /// Whether the request would be selected with the right data.
    pub(crate) fn wants_data(&self, request: &Request) -> bool {
        self.data.is_some()
            && request.op.direction() == Direction::Source
            && self.refuses(request).is_none()
    }

    /// The operations that it is about; none if the action does nothing to any of them.
    pub(crate) fn ops(&self) -> Option<OpSet> {
        self.ops
    }

    /// Whether it looks at data.
    pub(crate) fn looks_at_data(&self) -> bool {
        self.data.is_some()
    }

    fn has_data(&self, request: &Request, data: Option<&[u8]>) -> bool {
        match (&self.data, data) {
            (None, _) => true,
            (Some(test), Some(data)) => {
                request.op.direction() == Direction::Source && test.holds(data)
            }
            (Some(_), None) => false,
        }
    }

    /// The selector, of all but data, that refuses the request.
    fn refuses(&self, request: &Request) -> Option<Not> {
        if !self.ops.is_some_and(|ops| ops.contains(request.op)) {
            return Some("where.op");
        }
        if !self.sectors.selects(request) {
            return Some("where.lba");
        }
        if self.flags.is_some_and(|test| !test.holds(request.flags)) {
            return Some("where.flags");
        }
        if self.size.is_some_and(|test| !test.holds(request.sectors)) {
            return Some("where.size");
        }
        if self.align != 1 && !self.is_aligned(request) {
            return Some("where.align");
        }
        if self.queue.is_some_and(|queue| queue != request.queue) {
            return Some("where.queue");
        }
        if self.tag.is_some_and(|tag| tag != request.tag) {
            return Some("where.tag");
        }
        let inflight = u64::from(request.inflight);
        if self.inflight.is_some_and(|test| !test.holds(inflight)) {
            return Some("where.inflight");
        }
        if self
            .epoch
            .is_some_and(|epochs| !epochs.contains(request.epoch))
        {
            return Some("where.epoch");
        }
        if self.longer_than > 0 && request.sectors <= self.longer_than {
            return Some("where.size");
        }
        None
    }

    /// The selector that refuses the request, data included.
    pub(crate) fn reason(&self, request: &Request, data: Option<&[u8]>) -> Option<Not> {
        let data = (!self.has_data(request, data)).then_some("where.data");
        self.refuses(request).or(data)
    }

    fn is_aligned(&self, request: &Request) -> bool {
        request.op.has_sectors() && request.sector.0.is_multiple_of(self.align)
    }

    /// The sectors it names, sorted, neither overlapping nor touching; none without `lba`.
    pub(crate) fn named(&self) -> Box<[SectorRange]> {
        match &self.sectors {
            Area::All => Box::default(),
            Area::Any(ranges) | Area::Within(ranges) => ranges.clone(),
            Area::Covers(ranges) | Area::Exact(ranges) => merged(ranges.to_vec()),
        }
    }
}

impl Area {
    fn new(selector: &Selector) -> Self {
        let Some(lba) = &selector.lba else {
            return Self::All;
        };
        let mut ranges: Vec<SectorRange> = lba.iter().collect();
        ranges.sort_unstable();
        match selector.overlap {
            Overlap::Any => Self::Any(merged(ranges)),
            Overlap::Within => Self::Within(merged(ranges)),
            Overlap::Covers => Self::Covers(ranges.into()),
            Overlap::Exact => Self::Exact(ranges.into()),
        }
    }

    fn selects(&self, request: &Request) -> bool {
        if matches!(self, Self::All) {
            return true;
        }
        let (start, end) = (request.sector, request.end());
        let Some(asked) = SectorRange::new(start, end) else {
            return false;
        };
        match self {
            Self::All => true,
            // Of sorted, disjoint ranges only the last that starts early enough can reach the request.
            Self::Any(ranges) => {
                last_from(ranges, |range| range.start() < end).is_some_and(|r| r.end() > start)
            }
            Self::Within(ranges) => {
                last_from(ranges, |range| range.start() <= start).is_some_and(|r| r.end() >= end)
            }
            Self::Covers(ranges) => ranges
                .iter()
                .any(|range| range.start() >= start && range.end() <= end),
            Self::Exact(ranges) => ranges.binary_search(&asked).is_ok(),
        }
    }
}

/// The last range of a sorted list for which `early` still holds.
fn last_from(ranges: &[SectorRange], early: impl Fn(&SectorRange) -> bool) -> Option<&SectorRange> {
    ranges
        .partition_point(early)
        .checked_sub(1)
        .and_then(|position| ranges.get(position))
}

/// Joins sorted ranges that overlap or touch.
fn merged(ranges: Vec<SectorRange>) -> Box<[SectorRange]> {
    let mut joined: Vec<SectorRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let whole = joined
            .last()
            .filter(|last| range.start() <= last.end())
            .and_then(|last| SectorRange::new(last.start(), last.end().max(range.end())));
        match whole {
            Some(whole) => {
                joined.pop();
                joined.push(whole);
            }
            None => joined.push(range),
        }
    }
    joined.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DeviceFacts, Op, Sector};

    fn request(sector: u64, sectors: u32) -> Request {
        Request::new(Op::Read, Sector(sector), sectors)
    }

    fn matcher_of(words: &str) -> Matcher {
        let rule = Rule::parse("r", words).unwrap();
        Matcher::new(&rule, &DeviceFacts::of_size(u64::MAX))
    }

    fn matcher(lba: &str, overlap: Overlap) -> Matcher {
        matcher_of(&format!("fail where lba={lba},overlap={overlap}"))
    }

    #[test]
    fn each_selector_selects_alone() {
        let plain = request(8, 8);
        let meta = Request {
            flags: Flags::META,
            ..plain
        };
        let write = Request {
            op: Op::Write,
            ..plain
        };
        let flush = Request {
            op: Op::Flush,
            ..request(0, 0)
        };
        let deep = Request {
            inflight: 32,
            ..plain
        };
        let late = Request { epoch: 7, ..plain };
        let other = Request {
            queue: 1,
            tag: 3,
            ..plain
        };
        for (selector, yes, no) in [
            ("op=read", plain, write),
            ("flags=meta", meta, plain),
            ("flags=!meta", plain, meta),
            ("size=4K", plain, request(8, 16)),
            ("size>8", request(8, 9), plain),
            ("align=4K", plain, request(4, 8)),
            ("align=4K", request(0, 8), flush),
            ("queue=1", other, plain),
            ("tag=3", other, plain),
            ("inflight>=32", deep, plain),
            ("epoch=5..", late, plain),
            ("lba=8", plain, request(0, 8)),
            ("lba=8", plain, flush),
        ] {
            let matcher = matcher_of(&format!("fail where {selector}"));
            assert!(matcher.selects(&yes, None), "{selector}");
            assert!(!matcher.selects(&no, None), "{selector}");
            let field = selector.split(['=', '>']).next().unwrap();
            let reason = matcher.reason(&no, None).unwrap();
            assert_eq!(reason.strip_prefix("where."), Some(field));
        }
    }

    #[test]
    fn data_selects_only_where_there_is_some() {
        let matcher = matcher_of("drop where data=hex:ab@0");
        let write = Request {
            op: Op::Write,
            ..request(8, 1)
        };
        assert!(matcher.wants_data(&write) && !matcher.wants_data(&request(8, 1)));
        assert!(matcher.selects(&write, Some(&[0xab, 0])));
        assert!(!matcher.selects(&write, Some(&[0, 0xab])));
        assert!(!matcher.selects(&write, None));
        assert_eq!(matcher.reason(&write, None), Some("where.data"));
    }

    #[test]
    fn what_the_action_cannot_act_on_is_not_selected() {
        let write = Request {
            op: Op::Write,
            ..request(8, 8)
        };
        let fua = Request {
            flags: Flags::FUA,
            ..write
        };
        let torn = matcher_of("torn(parts=2,persist=1)");
        assert!(torn.selects(&write, None) && !torn.selects(&request(8, 8), None));
        let ignore = matcher_of("ignore_fua");
        assert!(ignore.selects(&fua, None) && !ignore.selects(&write, None));
        let short = matcher_of("short(1)");
        assert!(short.selects(&request(0, 2), None) && !short.selects(&request(0, 1), None));
    }

    #[test]
    fn a_flush_is_selected_without_sectors_only() {
        let flush = Request {
            op: Op::Flush,
            ..request(0, 0)
        };
        assert!(matcher_of("fail").selects(&flush, None));
        for overlap in Overlap::ALL {
            assert!(!matcher("0+8", overlap).selects(&flush, None));
        }
    }

    proptest! {
        /// Against the definition, sector by sector.
        #[test]
        fn every_overlap_means_what_it_says(
            ranges in proptest::collection::vec((0_u64..60, 1_u64..12), 1..6),
            start in 0_u64..60,
            length in 1_u32..12,
        ) {
            let words: Vec<String> = ranges.iter().map(|(s, n)| format!("{s}+{n}")).collect();
            let lba = words.join("|");
            let asked: Vec<u64> = (start..start + u64::from(length)).collect();
            let named = |sector: &u64| ranges.iter().any(|(s, n)| (*s..s + n).contains(sector));
            let request = request(start, length);
            prop_assert_eq!(
                matcher(&lba, Overlap::Any).selects(&request, None), asked.iter().any(named));
            prop_assert_eq!(
                matcher(&lba, Overlap::Within).selects(&request, None), asked.iter().all(named));
            prop_assert_eq!(
                matcher(&lba, Overlap::Covers).selects(&request, None),
                ranges.iter().any(|(s, n)| (*s..s + n).all(|sector| asked.contains(&sector))));
            prop_assert_eq!(
                matcher(&lba, Overlap::Exact).selects(&request, None),
                ranges.iter().any(|(s, n)| (*s..s + n).eq(asked.iter().copied())));
        }
    }
}
