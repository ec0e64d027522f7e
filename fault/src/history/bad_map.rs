//! A map of bad sectors, and which of them are good again.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::action::Heal;
use crate::extent::{Collector, Extent};
use crate::op::Op;
use crate::range::SectorRange;
use crate::request::Request;
use crate::sector::SECTOR_BYTES;

/// The state of a sector that is good again. What is less counts failures.
const HEALED: u8 = u8::MAX;

/// The bad sectors of one rule. One byte each, unless nothing ever changes.
#[derive(Debug)]
pub(crate) struct BadMap {
    /// Sorted, neither overlapping nor touching, each with the place of its first sector in `states`.
    ranges: Box<[(SectorRange, usize)]>,
    /// Failures of each sector so far, or `HEALED`; empty if nothing ever changes.
    states: Box<[AtomicU8]>,
    heal: Heal,
    wr_fail: u8,
}

/// What a map does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No bad sector is concerned.
    Nothing,
    /// Sectors are good again, and the request is done.
    Healed,
    /// The request fails; these bytes are good, and are done.
    Fails(Extent),
}

/// Neighbouring sectors of one state, as they go on file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadRun {
    /// The first, counted among the bad sectors of the rule.
    pub first: u64,
    /// How many.
    pub sectors: u64,
    /// How often each has failed; 255 if it is good again.
    pub state: u8,
}

impl BadMap {
    /// A map of these ranges, which are sorted and neither overlap nor touch.
    pub(crate) fn new(ranges: &[SectorRange], heal: Heal, wr_fail: u8) -> Self {
        let mut total = 0;
        let mut placed = Vec::with_capacity(ranges.len());
        for range in ranges {
            placed.push((*range, total));
            total += usize::try_from(range.sectors()).unwrap_or(0);
        }
        let changes = heal != Heal::Never || wr_fail > 0;
        let kept = if changes { total } else { 0 };
        Self {
            ranges: placed.into(),
            states: (0..kept).map(|_| AtomicU8::new(0)).collect(),
            heal,
            wr_fail,
        }
    }

    /// What the request meets, and what it changes; nothing is changed if it is only asked.
    pub(crate) fn meet(&self, request: &Request, only_ask: bool) -> Outcome {
        if self.states.is_empty() && request.op != Op::Read {
            return Outcome::Nothing;
        }
        let mut good = Collector::new(request.bytes());
        let mut from = request.sector.0;
        let (mut healed, mut failed) = (false, false);
        let first = self
            .ranges
            .partition_point(|(range, _)| range.end() <= request.sector);
        for (range, place) in self.ranges.iter().skip(first) {
            if range.start() >= request.end() {
                break;
            }
            let start = range.start().max(request.sector).0;
            let end = range.end().min(request.end()).0;
            for sector in start..end {
                let offset = usize::try_from(sector - range.start().0).unwrap_or(usize::MAX);
                let state = self.states.get(place.saturating_add(offset));
                match self.sector(state, request.op, only_ask) {
                    Outcome::Nothing => {}
                    Outcome::Healed => healed = true,
                    Outcome::Fails(_) => {
                        failed = true;
                        add(&mut good, request, from, sector);
                        from = sector + 1;
                    }
                }
            }
        }
        if failed {
            add(&mut good, request, from, request.end().0);
            return Outcome::Fails(good.end());
        }
        if healed {
            Outcome::Healed
        } else {
            Outcome::Nothing
        }
    }

    /// What becomes of one sector. Of a failure only that it is one counts.
    fn sector(&self, state: Option<&AtomicU8>, op: Op, only_ask: bool) -> Outcome {
        const FAILS: Outcome = Outcome::Fails(Extent::NONE);
        let writes = matches!(op, Op::Write | Op::WriteZeroes);
        let Some(state) = state else {
            // Nothing changes: reads fail, and writes pass.
            return if op == Op::Read {
                FAILS
            } else {
                Outcome::Nothing
            };
        };
        let before = state.load(Relaxed);
        if before == HEALED {
            return Outcome::Nothing;
        }
        let set = |value: u8| {
            if !only_ask {
                // If two queues meet one sector at once, one of them counts.
                let _ = state.compare_exchange(before, value, Relaxed, Relaxed);
            }
        };
        if let Heal::After(failures) = self.heal {
            let counts = op == Op::Read || (writes && self.wr_fail > 0);
            if !counts {
                return Outcome::Nothing;
            }
            if before >= failures {
                set(HEALED);
                return Outcome::Healed;
            }
            set(before.saturating_add(1).min(HEALED - 1));
            return FAILS;
        }
        if op == Op::Read {
            return FAILS;
        }
        if writes && before < self.wr_fail {
            set(before + 1);
            return FAILS;
        }
        let heals = match self.heal {
            Heal::Write => writes,
            Heal::Discard => op == Op::Discard,
            Heal::Never | Heal::After(_) => false,
        };
        if heals {
            set(HEALED);
            return Outcome::Healed;
        }
        Outcome::Nothing
    }

    /// As it goes on file: runs of sectors that something has happened to.
    pub(crate) fn runs(&self) -> Vec<BadRun> {
        let mut runs: Vec<BadRun> = Vec::new();
        for (first, state) in (0_u64..).zip(self.states.iter().map(|state| state.load(Relaxed))) {
            match runs.last_mut() {
                Some(run) if run.state == state && run.first + run.sectors == first => {
                    run.sectors += 1;
                }
                _ if state != 0 => runs.push(BadRun {
                    first,
                    sectors: 1,
                    state,
                }),
                _ => {}
            }
        }
        runs
    }

    /// Takes over what is on file; what does not fit is left out.
    pub(crate) fn restore(&self, runs: &[BadRun]) {
        for run in runs {
            let first = usize::try_from(run.first).unwrap_or(usize::MAX);
            let sectors = usize::try_from(run.sectors).unwrap_or(0);
            for state in self.states.iter().skip(first).take(sectors) {
                state.store(run.state, Relaxed);
            }
        }
    }
}

/// Adds the sectors `from..to` of the device to an extent of the request.
fn add(good: &mut Collector, request: &Request, from: u64, to: u64) {
    let offset = |sector: u64| (sector - request.sector.0).saturating_mul(SECTOR_BYTES);
    good.add(offset(from), offset(to));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sector;

    fn map(lba: &str, heal: &str, wr_fail: u8) -> BadMap {
        let ranges: crate::Ranges = lba.parse().unwrap();
        let ranges: Vec<SectorRange> = ranges.iter().collect();
        BadMap::new(&ranges, heal.parse().unwrap(), wr_fail)
    }

    fn meet(map: &BadMap, op: Op, sector: u64, sectors: u32) -> Outcome {
        map.meet(&Request::new(op, Sector(sector), sectors), false)
    }

    fn fails(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Fails(_))
    }

    #[test]
    fn a_read_fails_in_its_bad_sectors_only() {
        let map = map("10+2|14", "write", 0);
        let Outcome::Fails(good) = meet(&map, Op::Read, 8, 8) else {
            panic!("it passed");
        };
        assert!(good.ranges().eq([0..1024, 2048..3072, 3584..4096]));
        assert_eq!(meet(&map, Op::Read, 0, 10), Outcome::Nothing);
        assert_eq!(meet(&map, Op::Read, 12, 2), Outcome::Nothing);
        let Outcome::Fails(good) = meet(&map, Op::Read, 10, 2) else {
            panic!("it passed");
        };
        assert!(good.is_none());
    }

    #[test]
    fn a_write_heals_after_its_failures() {
        let map = map("10+4", "write", 2);
        assert!(fails(meet(&map, Op::Write, 8, 8)) && fails(meet(&map, Op::Write, 8, 4)));
        assert_eq!(meet(&map, Op::Write, 8, 4), Outcome::Healed);
        assert_eq!(meet(&map, Op::Read, 8, 4), Outcome::Nothing);
        assert!(fails(meet(&map, Op::Read, 8, 8)));
        assert!(fails(meet(&map, Op::WriteZeroes, 12, 1)));
        assert_eq!(meet(&map, Op::WriteZeroes, 12, 1), Outcome::Healed);
    }

    #[test]
    fn only_what_is_named_heals() {
        let discard = map("0+8", "discard", 0);
        assert_eq!(meet(&discard, Op::Write, 0, 8), Outcome::Nothing);
        assert!(fails(meet(&discard, Op::Read, 0, 8)));
        assert_eq!(meet(&discard, Op::Discard, 0, 8), Outcome::Healed);
        assert_eq!(meet(&discard, Op::Read, 0, 8), Outcome::Nothing);
        let never = map("0+8", "never", 0);
        assert_eq!(meet(&never, Op::Write, 0, 8), Outcome::Nothing);
        assert!(fails(meet(&never, Op::Read, 7, 1)));
        let after = map("0+8", "after:2", 0);
        assert!(fails(meet(&after, Op::Read, 0, 1)) && fails(meet(&after, Op::Read, 0, 1)));
        assert_eq!(meet(&after, Op::Read, 0, 1), Outcome::Healed);
        assert_eq!(meet(&after, Op::Read, 0, 1), Outcome::Nothing);
        assert!(fails(meet(&after, Op::Read, 1, 1)));
    }

    #[test]
    fn asking_changes_nothing_and_a_file_brings_it_back() {
        let one = map("0+8|100+8", "write", 1);
        let ask = Request::new(Op::Write, Sector(0), 4);
        assert!(fails(one.meet(&ask, true)) && fails(one.meet(&ask, true)));
        meet(&one, Op::Write, 0, 4);
        meet(&one, Op::Write, 2, 2);
        meet(&one, Op::Write, 104, 4);
        let runs = one.runs();
        assert_eq!(runs.len(), 3, "{runs:?}");
        let two = map("0+8|100+8", "write", 1);
        two.restore(&runs);
        assert_eq!(two.runs(), runs);
        two.restore(&[BadRun {
            first: 15,
            sectors: u64::MAX,
            state: 1,
        }]);
    }
}
