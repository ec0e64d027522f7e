//! The bytes of a request that a rule may damage, seen as one stretch.

use crate::range::SectorRange;
use crate::request::Request;
use crate::sector::SECTOR_BYTES;

/// The bytes of a request that lie in the sectors of a rule, one after the other.
#[derive(Debug)]
pub(super) struct Area<'b> {
    bytes: &'b mut [u8],
    parts: Vec<Part>,
    len: u64,
}

/// A stretch of neighbouring bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Where it begins in the area.
    pub(super) at: u64,
    /// Where it begins in the request.
    from: u64,
    /// Its sector on the device.
    pub(super) sector: u64,
    /// How many bytes it has.
    pub(super) len: u64,
}

impl<'b> Area<'b> {
    /// The bytes of the request in these sectors, which are sorted and do not overlap; all if there are
    /// none.
    pub(super) fn new(request: &Request, named: &[SectorRange], bytes: &'b mut [u8]) -> Self {
        let given = bytes.len() as u64;
        let start = request.sector.0;
        let end = request
            .end()
            .0
            .min(start.saturating_add(given.div_ceil(SECTOR_BYTES)));
        let mut area = Self {
            bytes,
            parts: Vec::new(),
            len: 0,
        };
        if named.is_empty() {
            area.push(start, start, end, given);
            return area;
        }
        let first = named.partition_point(|range| range.end().0 <= start);
        let inside = named
            .iter()
            .skip(first)
            .take_while(|range| range.start().0 < end);
        for range in inside {
            area.push(
                start,
                range.start().0.max(start),
                range.end().0.min(end),
                given,
            );
        }
        area
    }

    /// Adds the sectors `first..last` of a request that begins at `start` and has `given` bytes.
    fn push(&mut self, start: u64, first: u64, last: u64, given: u64) {
        let from = (first - start) * SECTOR_BYTES;
        let to = ((last - start) * SECTOR_BYTES).min(given);
        if from < to {
            self.parts.push(Part {
                at: self.len,
                from,
                sector: first,
                len: to - from,
            });
            self.len += to - from;
        }
    }

    /// How many bytes it has.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Its stretches.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A byte, by its place in the area.
    pub(super) fn byte(&mut self, at: u64) -> Option<&mut u8> {
        let place = self.place(at)?;
        self.bytes.get_mut(place)
    }

    pub(super) fn get(&self, at: u64) -> Option<u8> {
        self.bytes.get(self.place(at)?).copied()
    }

    pub(super) fn set(&mut self, at: u64, value: u8) {
        if let Some(byte) = self.byte(at) {
            *byte = value;
        }
    }

    fn place(&self, at: u64) -> Option<usize> {
        let next = self.parts.partition_point(|part| part.at <= at);
        let part = self.parts.get(next.checked_sub(1)?)?;
        let offset = at - part.at;
        let place = usize::try_from(part.from + offset).ok()?;
        (offset < part.len).then_some(place)
    }

    /// The places in the area of bytes `from..to` of the device.
    pub(super) fn of_device(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        self.parts.iter().filter_map(move |part| {
            let start = part.sector.saturating_mul(SECTOR_BYTES);
            let (low, high) = (from.max(start), to.min(start.saturating_add(part.len)));
            (low < high).then(|| (part.at + (low - start), part.at + (high - start)))
        })
    }
}
