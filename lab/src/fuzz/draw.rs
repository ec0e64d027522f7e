//! How vectors are drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::vector::{How, MEMORY_BYTES, Segment, Spoilt, Vector, WINDOW_BYTES, Wrong};
use crate::sys::PAGE_BYTES;
use crate::{Direction, Memory};

/// What vectors are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The seed.
    pub seed: u64,
    /// Whether there are huge pages.
    pub hugetlb: bool,
    /// Whether only destinations are drawn.
    pub destinations_only: bool,
}

/// The most segments of one vector in most draws, and in the few long ones.
const SEGMENTS: u64 = 8;
const MANY_SEGMENTS: u64 = 200;

impl Draw {
    /// Vector `number`: always the same one.
    #[must_use]
    pub fn vector(self, number: u64) -> Vector {
        let mut dice = Dice::new(self.seed, number);
        let direction = if self.destinations_only || dice.one_in(2) {
            Direction::Destination
        } else {
            Direction::Source
        };
        let how = dice.pick(&[How::Sync, How::Sync, How::Aio, How::IoUring, How::Fixed]);
        let memory = self.memory(&mut dice);
        let segments = segments(&mut dice);
        let spoilt = spoilt(&mut dice, memory, &segments);
        let kernel_segment = dice
            .one_in(40)
            .then(|| dice.below_usize(segments.len().max(1)))
            .filter(|_| how != How::Fixed);
        let mut vector = Vector {
            direction,
            how,
            memory,
            segments,
            spoilt,
            kernel_segment,
            offset: 0,
        };
        let room = (WINDOW_BYTES - vector.bytes()) as u64;
        let offset = dice.below(room + 1);
        let step = dice.pick(&[4096, 4096, 512, 512, 1]);
        vector.offset = offset / step * step;
        vector
    }

    fn memory(self, dice: &mut Dice) -> Memory {
        let memory = dice.pick(&[
            Memory::Malloc,
            Memory::Malloc,
            Memory::Malloc,
            Memory::SharedAnonymous,
            Memory::Thp,
            Memory::Hugetlb,
            Memory::Memfd,
            Memory::FileShared,
            Memory::FilePrivate,
        ]);
        match memory {
            Memory::Hugetlb if !self.hugetlb => Memory::Thp,
            memory => memory,
        }
    }
}

/// Segments that do not overlap, laid out from the start of the memory on and then shuffled.
fn segments(dice: &mut Dice) -> Vec<Segment> {
    let most = if dice.one_in(16) {
        MANY_SEGMENTS
    } else {
        SEGMENTS
    };
    let count = dice.below(most) + 1;
    // How everything of this vector is aligned: one that is odd throughout is refused at once and tests
    // little.
    let grain = dice.pick(&[4096, 4096, 4096, 512, 512, 512, 64, 4, 1]);
    let mut at = dice.below_usize(3) * grain;
    let mut segments = Vec::new();
    for _ in 0..count {
        // Touching its neighbour half of the time: pages are then shared, or merged into one bvec.
        if dice.one_in(2) {
            at += dice.below_usize(9) * grain;
        }
        let longest = if count > SEGMENTS { 2 } else { 16 };
        let mut bytes = (dice.below_usize(longest) + 1) * grain.max(512);
        if dice.one_in(24) {
            bytes = dice.below_usize(3) * dice.below_usize(700);
        }
        if at + bytes > MEMORY_BYTES {
            break;
        }
        segments.push(Segment { at, bytes });
        at += bytes;
    }
    if dice.one_in(3) {
        for last in (1..segments.len()).rev() {
            let other = dice.below_usize(last + 1);
            segments.swap(last, other);
        }
    }
    segments
}

/// In a third of the vectors some pages that segments lie in are spoilt.
fn spoilt(dice: &mut Dice, memory: Memory, segments: &[Segment]) -> Vec<Spoilt> {
    // A page of a huge page of hugetlb cannot be treated apart.
    if memory == Memory::Hugetlb || segments.is_empty() || !dice.one_in(3) {
        return Vec::new();
    }
    let mut spoilt: Vec<Spoilt> = Vec::new();
    for _ in 0..=dice.below(3) {
        let segment = segments[dice.below_usize(segments.len())];
        let page = (segment.at + dice.below_usize(segment.bytes.max(1))) / PAGE_BYTES;
        let wrong = dice.pick(&[
            Wrong::ReadOnly,
            Wrong::NoAccess,
            Wrong::Guard,
            Wrong::Unmapped,
        ]);
        if page < MEMORY_BYTES / PAGE_BYTES && spoilt.iter().all(|other| other.page != page) {
            spoilt.push(Spoilt { page, wrong });
        }
    }
    spoilt
}

/// Numbers of one vector.
struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64, number: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        Self(random)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    fn below_usize(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy, const N: usize>(&mut self, of: &[T; N]) -> T {
        of[self.below_usize(N)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw {
        seed: 1,
        hugetlb: true,
        destinations_only: false,
    };

    #[test]
    fn a_number_is_always_the_same_vector() {
        for number in 0..200 {
            assert_eq!(DRAW.vector(number), DRAW.vector(number));
        }
        assert_ne!(DRAW.vector(0), DRAW.vector(1));
        assert_ne!(DRAW.vector(0), Draw { seed: 2, ..DRAW }.vector(0));
    }

    #[test]
    fn vectors_stay_within_memory_and_window_and_do_not_overlap() {
        for vector in (0..5000).map(|number| DRAW.vector(number)) {
            let mut sorted = vector.segments.clone();
            sorted.sort_by_key(|segment| (segment.at, segment.bytes));
            for pair in sorted.windows(2) {
                assert!(pair[0].at + pair[0].bytes <= pair[1].at, "{vector:?}");
            }
            let end = sorted
                .last()
                .map_or(0, |segment| segment.at + segment.bytes);
            assert!(end <= MEMORY_BYTES);
            let offset = usize::try_from(vector.offset).unwrap();
            assert!(offset + vector.bytes() <= WINDOW_BYTES);
            assert!(vector.good_bytes() <= vector.bytes());
        }
    }

    #[test]
    fn every_kind_of_vector_is_drawn() {
        let all: Vec<Vector> = (0..3000).map(|number| DRAW.vector(number)).collect();
        let has = |test: &dyn Fn(&Vector) -> bool| all.iter().filter(|vector| test(vector)).count();
        for direction in Direction::BOTH {
            assert!(has(&|vector| vector.direction == direction) > 1000);
        }
        for how in [How::Sync, How::Aio, How::IoUring, How::Fixed] {
            assert!(has(&|vector| vector.how == how) > 300);
        }
        for wrong in [
            Wrong::ReadOnly,
            Wrong::NoAccess,
            Wrong::Guard,
            Wrong::Unmapped,
        ] {
            assert!(has(&|vector| vector.spoilt.iter().any(|page| page.wrong == wrong)) > 100);
        }
        assert!(has(&|vector| vector.segments.len() > 50) > 30);
        assert!(has(&|vector| vector.kernel_segment.is_some()) > 20);
        assert!(has(&|vector| vector.is_faultless(512)) > 500);
        assert!(has(&|vector| vector.good_bytes() < vector.bytes()) > 300);
    }
}
