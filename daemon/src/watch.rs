//! Whether a client changes its memory while a write from it is under way. The payload is copied when the
//! request arrives, and held against the pages again just before it is answered.
//!
//! A copy rather than a checksum: it costs the same, one pass over the payload, and says which bytes.

use std::io;
use std::ops::Range;

use ublk::Request;
use ublk::memory::Mapping;

use crate::front::Front;

/// How many ranges are told of one request.
const MOST_RANGES: usize = 64;

/// One queue's copies.
#[derive(Debug)]
pub struct Watch {
    first: Mapping,
    again: Mapping,
    slot_bytes: usize,
    /// For each tag, how much of its copy is of the request that it has now.
    copied: Box<[u32]>,
}

impl Watch {
    /// Room for one payload of each tag of a queue; its pages are taken when they are first used.
    ///
    /// # Errors
    /// `mmap(2)`'s.
    pub fn new(depth: u16, max_io_bytes: u32) -> io::Result<Self> {
        let slot_bytes = max_io_bytes as usize;
        Ok(Self {
            first: Mapping::anonymous(slot_bytes * usize::from(depth))?,
            again: Mapping::anonymous(slot_bytes)?,
            slot_bytes,
            copied: vec![0; usize::from(depth)].into(),
        })
    }

    /// Copies what a source request supplies.
    pub fn arrived(&mut self, queue: &Front, request: &Request) {
        let tag = usize::from(request.tag());
        self.copied[tag] = 0;
        let Some(pages) = request.source() else {
            return;
        };
        let len = u32::try_from(request.len_bytes()).unwrap_or(0);
        let copy = self.first.bytes_mut(tag * self.slot_bytes, len as usize);
        // What cannot be copied cannot be watched; the request itself meets the same error.
        if queue.peek(pages, 0, copy).is_ok() {
            self.copied[tag] = len;
        }
    }

    /// Looks again, and says which bytes have changed.
    pub fn changes(&mut self, queue: &Front, request: &Request) -> Option<Vec<Range<u32>>> {
        let tag = usize::from(request.tag());
        let len = std::mem::take(&mut self.copied[tag]);
        let pages = request.source().filter(|_| len > 0)?;
        let again = self.again.bytes_mut(0, len as usize);
        queue.peek(pages, 0, again).ok()?;
        let first = self.first.bytes_mut(tag * self.slot_bytes, len as usize);
        // The usual case, at the speed of a comparison of memory.
        (first != again).then(|| differences(first, again))
    }
}

/// The ranges in which two payloads of one length differ.
fn differences(one: &[u8], other: &[u8]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    let differ = one.iter().zip(other).map(|(a, b)| a != b);
    for at in (0..)
        .zip(differ)
        .filter_map(|(at, differs)| differs.then_some(at))
    {
        let is_full = ranges.len() == MOST_RANGES;
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ if is_full => break,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_bytes_are_one_range() {
        let (one, mut other) = ([0; 4096], [0; 4096]);
        assert_eq!(differences(&one, &other), []);
        other[5..9].fill(1);
        other[10] = 1;
        other[4095] = 1;
        assert_eq!(differences(&one, &other), [5..9, 10..11, 4095..4096]);
    }

    #[test]
    fn only_so_many_ranges_are_told() {
        let one = [0_u8; 4096];
        let other: Vec<u8> = (0..4096).map(|n| u8::from(n % 2 == 0)).collect();
        assert_eq!(differences(&one, &other).len(), MOST_RANGES);
    }
}
