//! What must be true of a vector that was done.

use std::io;

use super::{Problem, Vector};
use crate::Direction;
use crate::fuzz::vector::{MEMORY_BYTES, Wrong};
use crate::sys::PAGE_BYTES;
use crate::sys::buffer::Buffer;

/// No more is moved than there is before the first page that must not be used.
pub(super) fn size(vector: &Vector, moved: &io::Result<usize>) -> Option<Problem> {
    let (moved, most) = (*moved.as_ref().ok()?, vector.good_bytes());
    (moved > most).then_some(Problem::TooMuch { moved, most })
}

/// A vector with nothing wrong is taken whole.
pub(super) fn refusal(vector: &Vector, moved: &io::Result<usize>, block: u64) -> Option<Problem> {
    if !vector.is_faultless(block) {
        return None;
    }
    let result = match moved {
        Ok(moved) if *moved == vector.bytes() => return None,
        Ok(moved) => i64::try_from(*moved).unwrap_or(i64::MAX),
        Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    Some(Problem::Refused { result })
}

/// Memory holds what it held before, but for the segments of a destination, which begin with `data`.
/// What the rest of them holds is not known: a request that failed may have stored a part.
pub(super) fn memory(
    vector: &Vector,
    buffer: &Buffer,
    before: &[u8],
    data: &[u8],
) -> Option<Problem> {
    let mut wanted = before.to_vec();
    let mut free: Vec<(usize, usize)> = Vec::new();
    if vector.direction == Direction::Destination {
        let mut data = data;
        for segment in vector.submitted() {
            let (now, rest) = data.split_at(segment.bytes.min(data.len()));
            wanted[segment.at..segment.at + now.len()].copy_from_slice(now);
            free.push((segment.at + now.len(), segment.at + segment.bytes));
            data = rest;
        }
    }
    for page in 0..MEMORY_BYTES / PAGE_BYTES {
        let readable = vector
            .spoilt
            .iter()
            .all(|spoilt| spoilt.page != page || spoilt.wrong == Wrong::ReadOnly);
        if !readable {
            continue;
        }
        let start = page * PAGE_BYTES;
        let found = buffer.load(start, PAGE_BYTES);
        if found == wanted[start..start + PAGE_BYTES] {
            continue;
        }
        let wrong = (start..start + PAGE_BYTES).find(|at| {
            let is_free = free.iter().any(|(from, upto)| (*from..*upto).contains(at));
            // A page that may only be read must stay as it is even where a segment says otherwise.
            let may_change = is_free && !vector.is_bad(page);
            found[at - start] != wanted[*at] && !may_change
        });
        if let Some(at) = wrong {
            let stored = vector.direction == Direction::Destination
                && vector
                    .submitted()
                    .iter()
                    .any(|piece| (piece.at..piece.at + piece.bytes).contains(&at));
            return Some(Problem::Memory { at, stored });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;
    use crate::fuzz::execute::gathered;
    use crate::fuzz::vector::{How, Segment, Spoilt};

    fn vector(direction: Direction) -> Vector {
        Vector {
            direction,
            how: How::Sync,
            memory: Memory::Malloc,
            segments: vec![
                Segment {
                    at: 4096,
                    bytes: 512,
                },
                Segment { at: 0, bytes: 512 },
            ],
            spoilt: vec![Spoilt {
                page: 3,
                wrong: Wrong::ReadOnly,
            }],
            kernel_segment: None,
            offset: 0,
        }
    }

    #[test]
    fn data_in_the_order_of_the_segments_are_right_and_any_other_byte_is_not() {
        let buffer = Buffer::new(Memory::Malloc, MEMORY_BYTES, None).unwrap();
        let before = vec![0xa5; MEMORY_BYTES];
        buffer.store(0, &before);
        let vector = vector(Direction::Destination);
        let data: Vec<u8> = (0..=255).cycle().take(700).collect();
        buffer.store(4096, &data[..512]);
        buffer.store(0, &data[512..]);
        assert_eq!(memory(&vector, &buffer, &before, &data), None);
        // The rest of a segment is free to change.
        buffer.store(300, &[1]);
        assert_eq!(memory(&vector, &buffer, &before, &data), None);
        for (at, stored) in [(4100, true), (513, false), (9000, false)] {
            let good = buffer.load(at, 1);
            buffer.store(at, &[!good[0]]);
            let found = memory(&vector, &buffer, &before, &data);
            assert_eq!(found, Some(Problem::Memory { at, stored }));
            buffer.store(at, &good);
        }
    }

    #[test]
    fn a_source_is_only_read() {
        let buffer = Buffer::new(Memory::Malloc, MEMORY_BYTES, None).unwrap();
        let before = vec![0xa5; MEMORY_BYTES];
        buffer.store(0, &before);
        let vector = vector(Direction::Source);
        assert_eq!(memory(&vector, &buffer, &before, &[]), None);
        buffer.store(4096, &[0]);
        let found = memory(&vector, &buffer, &before, &[]);
        assert_eq!(
            found,
            Some(Problem::Memory {
                at: 4096,
                stored: false
            })
        );
        assert_eq!(gathered(&vector, &before).len(), 1024);
    }

    #[test]
    fn sizes_and_refusals() {
        let mut vector = vector(Direction::Destination);
        assert_eq!(size(&vector, &Ok(1024)), None);
        assert_eq!(refusal(&vector, &Ok(1024), 512), None);
        assert_eq!(
            refusal(&vector, &Ok(512), 512),
            Some(Problem::Refused { result: 512 })
        );
        let refused = io::Error::from_raw_os_error(libc::EFAULT);
        assert_eq!(
            refusal(&vector, &Err(refused), 512),
            Some(Problem::Refused { result: -14 })
        );
        assert_eq!(
            refusal(&vector, &Ok(0), 4096),
            None,
            "not aligned for such a device"
        );
        vector.spoilt[0].page = 0;
        assert_eq!(
            size(&vector, &Ok(1024)),
            Some(Problem::TooMuch {
                moved: 1024,
                most: 512
            })
        );
        assert_eq!(refusal(&vector, &Ok(512), 512), None);
    }
}
