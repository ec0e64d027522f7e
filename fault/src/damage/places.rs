//! Which places are damaged: drawn, by a rate, or fixed.

use std::collections::BTreeSet;
use std::ops::Range;

use super::area::Area;
use super::places_in;
use crate::action::{Corruption, Kind};
use crate::draw::{Draw, Numbers, Stream, mix};
use crate::sector::SECTOR_BYTES;

/// How often a place is drawn again because it is taken, for each place that is wanted.
const PATIENCE: u64 = 16;

/// How the places of one request are found. Places are bits, bytes or pairs of pieces of the area.
#[derive(Debug)]
pub(super) struct Places<'r> {
    pub(super) corruption: &'r Corruption,
    pub(super) draw: &'r Draw,
    /// Addresses the draws of this request.
    pub(super) number: u64,
    /// The sector from which a fixed place is counted.
    pub(super) origin: u64,
}

/// How many pairs of pieces fit.
pub(super) fn pieces(bytes: u64, piece: u64) -> u64 {
    bytes / (2 * piece).max(1)
}

impl Places<'_> {
    /// The places, as sorted ranges that do not overlap.
    pub(super) fn find(&self, area: &Area<'_>) -> Vec<Range<u64>> {
        let kind = self.corruption.kind;
        if let Some(at) = self.corruption.at {
            return self.fixed(area, at.start, at.bytes);
        }
        if kind.is_stuck() {
            return self.stuck(area);
        }
        let all = places_in(kind, area.len());
        let mut numbers = self.draw.many(Stream::Places, self.number);
        self.spread(&mut numbers, 0, all)
    }

    /// Places from `first` up to, not including, `end`, by the number or the rate that the rule names.
    fn spread(&self, numbers: &mut Numbers, first: u64, end: u64) -> Vec<Range<u64>> {
        let all = end - first;
        let starts = match self.corruption.ber {
            Some(rate) => by_rate(numbers, rate, all),
            None => drawn(numbers, self.corruption.places.map_or(1, u64::from), all),
        };
        let burst = self.corruption.burst.map_or(1, u64::from);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for start in starts {
            let (from, to) = (
                first + start,
                (first + start).saturating_add(burst).min(end),
            );
            // Bursts that meet are one: what is turned twice would be as before.
            match ranges.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(to),
                _ => ranges.push(from..to),
            }
        }
        ranges
    }

    /// Places that belong to the medium: each sector has its own, whatever request it comes in.
    fn stuck(&self, area: &Area<'_>) -> Vec<Range<u64>> {
        let mut ranges = Vec::new();
        for part in area.parts() {
            let sectors = part.len.div_ceil(SECTOR_BYTES);
            for number in 0..sectors {
                let from = part.at + number * SECTOR_BYTES;
                let to = (from + SECTOR_BYTES).min(part.at + part.len);
                let sector = mix(&[part.sector + number]);
                let mut numbers = self.draw.many(Stream::Places, sector);
                // A sector that is cut off has the places of the whole one.
                let whole = self.spread(&mut numbers, from * 8, (from + SECTOR_BYTES) * 8);
                let cut = whole
                    .into_iter()
                    .map(|place| place.start..place.end.min(to * 8));
                ranges.extend(cut.filter(|place| !place.is_empty()));
            }
        }
        ranges
    }

    /// A fixed place: bytes counted from the first sector of the rule.
    fn fixed(&self, area: &Area<'_>, start: u64, bytes: u64) -> Vec<Range<u64>> {
        let from = self
            .origin
            .saturating_mul(SECTOR_BYTES)
            .saturating_add(start);
        let kind = self.corruption.kind;
        let to = match kind {
            // A place without a length is one pair.
            Kind::Swap(piece) if bytes == 1 => from.saturating_add(2 * u64::from(piece)),
            _ => from.saturating_add(bytes),
        };
        let places = |(low, high): (u64, u64)| match kind {
            Kind::Swap(piece) => {
                let pair = 2 * u64::from(piece);
                low.div_ceil(pair)..high / pair
            }
            kind if kind.is_of_bits() => low * 8..high * 8,
            _ => low..high,
        };
        area.of_device(from, to)
            .map(places)
            .filter(|place| !place.is_empty())
            .collect()
    }
}

/// So many different places of `all`, sorted; fewer if they are hard to find.
fn drawn(numbers: &mut Numbers, wanted: u64, all: u64) -> Vec<u64> {
    if wanted >= all {
        return (0..all).collect();
    }
    let mut places = BTreeSet::new();
    for _ in 0..wanted.saturating_mul(PATIENCE) {
        if places.len() as u64 == wanted {
            break;
        }
        places.insert(numbers.below(all));
    }
    places.into_iter().collect()
}

/// Places of `all`, each with this chance, sorted: by drawing how far it is to the next.
fn by_rate(numbers: &mut Numbers, rate: f64, all: u64) -> Vec<u64> {
    if rate >= 1.0 {
        return (0..all).collect();
    }
    // The logarithm of a chance near 1 needs all its digits.
    let per_place = (-rate).ln_1p();
    let mut places = Vec::new();
    let mut next = 0_u64;
    loop {
        let gap = (1.0 - numbers.unit()).ln() / per_place;
        next = next.saturating_add(whole(gap));
        if next >= all {
            return places;
        }
        places.push(next);
        next += 1;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a distance; the conversion stops at the largest number"
)]
fn whole(gap: f64) -> u64 {
    gap as u64
}
