//! Selectors, prepared for many requests.

use crate::op::OpSet;
use crate::range::SectorRange;
use crate::request::Request;
use crate::selector::{Overlap, Selector};

/// A [`Selector`] in the form that is fastest to ask.
#[derive(Debug)]
pub(crate) struct Matcher {
    ops: OpSet,
    sectors: Sectors,
}

#[derive(Debug)]
enum Sectors {
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

impl Matcher {
    pub(crate) fn new(selector: &Selector) -> Self {
        let sectors = match &selector.lba {
            None => Sectors::All,
            Some(lba) => {
                let mut ranges: Vec<SectorRange> = lba.iter().collect();
                ranges.sort_unstable();
                match selector.overlap {
                    Overlap::Any => Sectors::Any(merged(ranges)),
                    Overlap::Within => Sectors::Within(merged(ranges)),
                    Overlap::Covers => Sectors::Covers(ranges.into()),
                    Overlap::Exact => Sectors::Exact(ranges.into()),
                }
            }
        };
        Self {
            ops: selector.op,
            sectors,
        }
    }

    /// Whether the request is selected.
    pub(crate) fn selects(&self, request: &Request) -> bool {
        if !self.ops.contains(request.op) {
            return false;
        }
        if matches!(self.sectors, Sectors::All) {
            return true;
        }
        let (start, end) = (request.sector, request.end());
        let Some(asked) = SectorRange::new(start, end) else {
            return false;
        };
        match &self.sectors {
            Sectors::All => true,
            // Of sorted, disjoint ranges only the last that starts early enough can reach the request.
            Sectors::Any(ranges) => {
                last_from(ranges, |range| range.start() < end).is_some_and(|r| r.end() > start)
            }
            Sectors::Within(ranges) => {
                last_from(ranges, |range| range.start() <= start).is_some_and(|r| r.end() >= end)
            }
            Sectors::Covers(ranges) => ranges
                .iter()
                .any(|range| range.start() >= start && range.end() <= end),
            Sectors::Exact(ranges) => ranges.binary_search(&asked).is_ok(),
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
    use crate::{Op, Sector};

    fn request(sector: u64, sectors: u32) -> Request {
        Request::new(Op::Read, Sector(sector), sectors)
    }

    fn matcher(lba: &str, overlap: Overlap) -> Matcher {
        let lba = Some(lba.parse().unwrap());
        Matcher::new(&Selector {
            lba,
            overlap,
            ..Selector::default()
        })
    }

    #[test]
    fn operations_select() {
        let reads = Matcher::new(&Selector {
            op: OpSet::only(Op::Read),
            ..Selector::default()
        });
        assert!(reads.selects(&request(0, 8)));
        assert!(!reads.selects(&Request {
            op: Op::Write,
            ..request(0, 8)
        }));
    }

    #[test]
    fn a_flush_is_selected_without_sectors_only() {
        let flush = Request {
            op: Op::Flush,
            ..request(0, 0)
        };
        assert!(Matcher::new(&Selector::default()).selects(&flush));
        for overlap in [
            Overlap::Any,
            Overlap::Within,
            Overlap::Covers,
            Overlap::Exact,
        ] {
            assert!(!matcher("0+8", overlap).selects(&flush));
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
                matcher(&lba, Overlap::Any).selects(&request), asked.iter().any(named));
            prop_assert_eq!(
                matcher(&lba, Overlap::Within).selects(&request), asked.iter().all(named));
            prop_assert_eq!(
                matcher(&lba, Overlap::Covers).selects(&request),
                ranges.iter().any(|(s, n)| (*s..s + n).all(|sector| asked.contains(&sector))));
            prop_assert_eq!(
                matcher(&lba, Overlap::Exact).selects(&request),
                ranges.iter().any(|(s, n)| (*s..s + n).eq(asked.iter().copied())));
        }
    }
}
