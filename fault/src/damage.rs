//! Damages the data of a request, and its protection information, as rules say. Which bytes and to what is a
//! function of the rule, its seed and the draw, so that the same request is damaged in the same way again.

mod area;
mod places;
mod tuples;

use std::ops::Range;

use crate::action::{Action, Corruption, Kind};
use crate::draw::Stream;
use crate::op::Direction;
use crate::request::Request;
use crate::ruleset::RuleSet;
use crate::verdict::RuleIndex;
use area::Area;
use places::{Places, pieces};

impl RuleSet {
    /// Damages the data of a request by a rule that the verdict of this very set names in `corrupt`, with
    /// its draw. `bytes` is the data from the request's first sector on. Returns which bytes have changed:
    /// sorted, disjoint ranges of the request.
    ///
    /// Nothing changes if the rule is about another direction, has another action, or has no sector in the
    /// request.
    pub fn corrupt(
        &self,
        rule: RuleIndex,
        draw: u64,
        direction: Direction,
        request: &Request,
        bytes: &mut [u8],
    ) -> Vec<Range<u32>> {
        let Some(compiled) = self.rules.get(rule.get()) else {
            return Vec::new();
        };
        let Action::Corrupt(corruption) = &compiled.rule.action else {
            return Vec::new();
        };
        if !corruption.on.includes(direction) {
            return Vec::new();
        }
        let before = bytes.to_vec();
        let mut area = Area::new(request, &compiled.named, bytes);
        let places = Places {
            corruption,
            draw: &compiled.draw,
            number: draw,
            origin: compiled.named.first().map_or(0, |first| first.start().0),
        };
        let damaged = places.find(&area);
        let mut content = compiled.draw.many(Stream::Content, draw);
        for place in damaged {
            apply(corruption, place, &mut area, &mut || content.below(256));
        }
        changed(&before, bytes)
    }
}

/// Damages one stretch of places.
fn apply(
    corruption: &Corruption,
    place: Range<u64>,
    area: &mut Area<'_>,
    drawn: &mut impl FnMut() -> u64,
) {
    if let Kind::Swap(piece) = corruption.kind {
        for pair in place {
            swap(area, pair, u64::from(piece));
        }
        return;
    }
    for at in place {
        let (byte, bit) = match corruption.kind.is_of_bits() {
            true => (at / 8, 1_u8 << (at % 8)),
            false => (at, 0),
        };
        let Some(value) = area.byte(byte) else {
            return;
        };
        *value = match corruption.kind {
            Kind::Flip => *value ^ bit,
            Kind::Stuck0 => *value & !bit,
            Kind::Stuck1 => *value | bit,
            Kind::Zero => 0,
            // 1 to 255, so that the byte is always another one.
            Kind::Random => *value ^ u8::try_from(drawn() % 255 + 1).unwrap_or(1),
            Kind::Set(byte) => byte,
            Kind::Xor(byte) => *value ^ byte,
            Kind::Swap(_) => *value,
        };
    }
}

/// Lets the two pieces of a pair change places.
fn swap(area: &mut Area<'_>, pair: u64, piece: u64) {
    let first = pair * 2 * piece;
    for offset in 0..piece {
        let (one, other) = (first + offset, first + piece + offset);
        if let (Some(a), Some(b)) = (area.get(one), area.get(other)) {
            area.set(one, b);
            area.set(other, a);
        }
    }
}

/// Which bytes differ.
fn changed(before: &[u8], after: &[u8]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for (at, _) in (0_u32..)
        .zip(before.iter().zip(after))
        .filter(|(_, (a, b))| a != b)
    {
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

/// How many places of a kind there are in so many bytes.
fn places_in(kind: Kind, bytes: u64) -> u64 {
    match kind {
        Kind::Swap(piece) => pieces(bytes, u64::from(piece)),
        kind if kind.is_of_bits() => bytes.saturating_mul(8),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests;
