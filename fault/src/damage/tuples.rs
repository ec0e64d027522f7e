//! Damages protection information: one tag of one tuple, or of those of the rule's sectors.

use std::ops::Range;

use crate::action::{Action, PiTag};
use crate::draw::{Numbers, Stream};
use crate::request::Request;
use crate::ruleset::RuleSet;
use crate::sector::SECTOR_BYTES;
use crate::verdict::RuleIndex;

impl RuleSet {
    /// Makes protection information wrong by a rule with `pi` that the verdict of this very set names in
    /// `corrupt`, with its draw. `tuples` are those of the request's logical blocks, in order, each of
    /// `guard_bytes` of guard, two of application tag and six of reference tag with a guard of eight bytes,
    /// four with one of two (`struct t10_pi_tuple`, `struct crc64_pi_tuple`, include/linux/t10-pi.h).
    ///
    /// Of a rule with `lba` the tuples of its sectors are changed, else one that is drawn. Returns which bytes
    /// have changed.
    pub fn corrupt_tuples(
        &self,
        rule: RuleIndex,
        draw: u64,
        request: &Request,
        guard_bytes: usize,
        tuples: &mut [u8],
    ) -> Vec<Range<u32>> {
        let Some(compiled) = self.rules.get(rule.get()) else {
            return Vec::new();
        };
        let Action::Pi { tag } = compiled.rule.action else {
            return Vec::new();
        };
        let reference_bytes = if guard_bytes >= 8 { 6 } else { 4 };
        let tuple_bytes = guard_bytes + 2 + reference_bytes;
        let (start, len) = match tag {
            PiTag::Guard => (0, guard_bytes),
            PiTag::App => (guard_bytes, 2),
            PiTag::Ref => (guard_bytes + 2, reference_bytes),
        };
        let count = tuples.len() / tuple_bytes;
        let mut numbers = compiled.draw.many(Stream::Content, draw);
        let only = numbers.below(count as u64);
        let block_sectors =
            u64::from(self.facts.logical_block_bytes).max(SECTOR_BYTES) / SECTOR_BYTES;
        let is_meant = |block: u64| {
            if compiled.named.is_empty() {
                return block == only;
            }
            let first = request.sector.0.saturating_add(block * block_sectors);
            let last = first.saturating_add(block_sectors);
            let mut named = compiled.named.iter();
            named.any(|range| range.start().0 < last && range.end().0 > first)
        };
        let mut changed = Vec::new();
        for (block, tuple) in (0_u64..).zip(tuples.chunks_exact_mut(tuple_bytes)) {
            if is_meant(block)
                && let Some(bytes) = tuple.get_mut(start..start + len)
            {
                damage(bytes, &mut numbers);
                let at = usize::try_from(block).unwrap_or(0) * tuple_bytes + start;
                let range = u32::try_from(at).ok().zip(u32::try_from(at + len).ok());
                changed.extend(range.map(|(from, to)| from..to));
            }
        }
        changed
    }
}

/// Changes each byte, and keeps clear of the one value that says the tag is not to be checked.
fn damage(bytes: &mut [u8], numbers: &mut Numbers) {
    for byte in bytes.iter_mut() {
        *byte ^= u8::try_from(numbers.below(255) + 1).unwrap_or(1);
    }
    // All ones in the application tag switch the check off (`T10_PI_APP_ESCAPE`).
    if bytes.iter().all(|byte| *byte == 0xff)
        && let Some(first) = bytes.first_mut()
    {
        *first = 0x7f;
    }
}
