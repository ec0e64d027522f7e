//! Making a failing vector as short and as plain as it can be and still fail.

use super::vector::{How, MEMORY_BYTES, Segment, Vector};
use crate::Memory;
use crate::sys::PAGE_BYTES;

/// More than this many tries are not made: a vector that fails only now and then would go on for ever.
const MOST_TRIES: u32 = 400;

/// Bytes are moved between segments only where there are few.
const MOST_MERGED: usize = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortest {
    /// The vector.
    pub vector: Vector,
    /// How many were tried.
    pub tries: u32,
}

/// The shortest vector that `fails`, found by taking away and simplifying one thing after the other for
/// as long as that works. `vector` itself is known to fail.
pub fn shortest(vector: &Vector, mut fails: impl FnMut(&Vector) -> bool) -> Shortest {
    let mut found = Shortest {
        vector: vector.clone(),
        tries: 0,
    };
    loop {
        let mut better = None;
        for candidate in candidates(&found.vector) {
            if found.tries >= MOST_TRIES {
                return found;
            }
            found.tries += 1;
            if fails(&candidate) {
                better = Some(candidate);
                break;
            }
        }
        match better {
            Some(vector) => found.vector = vector,
            None => return found,
        }
    }
}

/// Vectors that are a step plainer, the boldest steps first.
fn candidates(vector: &Vector) -> Vec<Vector> {
    let mut all = halves(vector);
    all.extend(without_one(vector));
    all.extend(without_two(vector));
    let plainer = [
        Vector {
            spoilt: Vec::new(),
            ..vector.clone()
        },
        Vector {
            kernel_segment: None,
            ..vector.clone()
        },
        Vector {
            memory: Memory::Malloc,
            ..vector.clone()
        },
        Vector {
            how: How::Sync,
            ..vector.clone()
        },
        Vector {
            offset: 0,
            ..vector.clone()
        },
    ];
    all.extend(plainer);
    for number in 0..vector.spoilt.len() {
        let mut next = vector.clone();
        next.spoilt.remove(number);
        all.push(next);
    }
    all.extend(shorter_segments(vector));
    if vector.segments.len() <= MOST_MERGED {
        all.extend(merged(vector));
    }
    all.retain(|candidate| candidate != vector && !candidate.segments.is_empty());
    all
}

fn halves(vector: &Vector) -> Vec<Vector> {
    let middle = vector.segments.len() / 2;
    let (first, second) = vector.segments.split_at(middle);
    [first, second]
        .map(|segments| Vector {
            segments: segments.to_vec(),
            kernel_segment: vector
                .kernel_segment
                .filter(|number| *number < segments.len()),
            ..vector.clone()
        })
        .to_vec()
}

fn without_one(vector: &Vector) -> impl Iterator<Item = Vector> {
    (0..vector.segments.len()).map(|number| without(vector, number))
}

/// Two at a time: a transfer whose length is not a multiple of the block is refused before anything
/// happens, so that one alone can often not be spared.
fn without_two(vector: &Vector) -> Vec<Vector> {
    const MOST: usize = 16;
    let count = vector.segments.len();
    if count > MOST {
        return Vec::new();
    }
    let pairs = (0..count).flat_map(|second| (0..second).map(move |first| (first, second)));
    pairs
        .map(|(first, second)| without(&without(vector, second), first))
        .collect()
}

fn without(vector: &Vector, number: usize) -> Vector {
    let mut next = vector.clone();
    next.segments.remove(number);
    next.kernel_segment = match vector.kernel_segment {
        Some(kernel) if kernel > number => Some(kernel - 1),
        Some(kernel) if kernel == number => None,
        other => other,
    };
    next
}

/// One segment less, whose bytes another gets, so that the whole stays as long as it was.
fn merged(vector: &Vector) -> Vec<Vector> {
    let mut all = Vec::new();
    for number in 0..vector.segments.len() {
        let gone = vector.segments[number].bytes;
        let mut next = without(vector, number);
        for heir in 0..next.segments.len() {
            let bytes = next.segments[heir].bytes;
            let end = next.segments[heir].at + bytes + gone;
            let is_free = next.segments.iter().enumerate().all(|(other, taken)| {
                other == heir || taken.at >= end || taken.at < next.segments[heir].at
            });
            if is_free && end <= MEMORY_BYTES {
                next.segments[heir].bytes = bytes + gone;
                all.push(next.clone());
                next.segments[heir].bytes = bytes;
            }
        }
    }
    all
}

fn shorter_segments(vector: &Vector) -> Vec<Vector> {
    let mut all = Vec::new();
    for (number, segment) in vector.segments.iter().enumerate() {
        let mut with = |changed: Segment| {
            let mut next = vector.clone();
            next.segments[number] = changed;
            all.push(next);
        };
        let half = segment.bytes / 2;
        for bytes in [512, half - half % 512] {
            if bytes > 0 && bytes < segment.bytes {
                with(Segment { bytes, ..*segment });
            }
        }
        // At the start of a page of its own, if that is free and keeps it on its page.
        let start = segment.at - segment.at % PAGE_BYTES;
        let moved = Segment {
            at: start,
            ..*segment
        };
        let is_free = vector.segments.iter().enumerate().all(|(other, taken)| {
            other == number || taken.at >= start + segment.bytes || taken.at + taken.bytes <= start
        });
        if start != segment.at && is_free && start + segment.bytes <= MEMORY_BYTES {
            with(moved);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;
    use crate::fuzz::draw::Draw;
    use crate::fuzz::vector::{Spoilt, Wrong};

    fn first(test: impl Fn(&Vector) -> bool) -> Vector {
        let draw = Draw {
            seed: 3,
            hugetlb: true,
            destinations_only: false,
        };
        (0..)
            .map(|number| draw.vector(number))
            .find(|vector| test(vector))
            .unwrap()
    }

    #[test]
    fn only_what_matters_is_left() {
        let fails = |vector: &Vector| vector.segments.len() >= 2;
        let vector = first(|vector| vector.segments.len() > 20 && !vector.spoilt.is_empty());
        let shortest = shortest(&vector, fails).vector;
        assert_eq!(shortest.segments.len(), 2);
        assert!(shortest.spoilt.is_empty() && shortest.kernel_segment.is_none());
        assert_eq!((shortest.how, shortest.memory), (How::Sync, Memory::Malloc));
        assert_eq!(shortest.offset, 0);
    }

    #[test]
    fn what_matters_is_kept() {
        let fails = |vector: &Vector| {
            vector.direction == Direction::Source
                && vector.bytes() > 5000
                && vector.spoilt.iter().any(|page| page.wrong == Wrong::Guard)
                && vector.memory == Memory::Thp
        };
        let shortest = shortest(&first(fails), fails).vector;
        assert!(fails(&shortest));
        assert!(matches!(
            shortest.spoilt.as_slice(),
            [Spoilt {
                wrong: Wrong::Guard,
                ..
            }]
        ));
        assert!(shortest.bytes() < 10_300, "{shortest:?}");
    }

    #[test]
    fn a_length_that_must_stay_aligned_is_no_obstacle() {
        let fails = |vector: &Vector| {
            vector.bytes().is_multiple_of(4096)
                && vector.bytes() > 0
                && vector.segments.len() >= 2
                && !vector.segments[0].bytes.is_multiple_of(4096)
        };
        let vector = first(|vector| fails(vector) && (4..8).contains(&vector.segments.len()));
        let shortest = shortest(&vector, fails).vector;
        assert_eq!(shortest.segments.len(), 2, "{shortest:?}");
    }

    #[test]
    fn it_ends_where_failure_is_a_matter_of_luck() {
        let mut tries = 0_u32;
        let vector = first(|vector| vector.segments.len() > 100);
        let found = shortest(&vector, |_| {
            tries += 1;
            tries.is_multiple_of(50)
        });
        assert!(found.tries <= MOST_TRIES);
    }
}
