//! A disk as a vector of bytes: what a device must behave like.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How a read or write goes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// O_DIRECT.
    Direct,
    /// O_DIRECT and O_DSYNC: FUA, where the device has it.
    Durable,
    /// Through the page cache.
    Cached,
}

/// An operation on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Read {
        offset: u64,
        len: usize,
        way: Way,
    },
    Write {
        offset: u64,
        len: usize,
        fill: u64,
        way: Way,
    },
    Flush,
    Discard {
        offset: u64,
        len: u64,
    },
    /// Write zeroes; `keep` with NOUNMAP.
    Zero {
        offset: u64,
        len: u64,
        keep: bool,
    },
}

/// A disk, or a part of one, that never fails. Offsets count from the beginning of the part.
pub(crate) struct Model {
    bytes: Vec<u8>,
    block: u64,
    random: ChaCha8Rng,
}

impl Model {
    /// A part of `size` bytes, all zeroes, on a disk with this logical block.
    pub(crate) fn new(size: usize, block: u32, seed: u64) -> Self {
        Self {
            bytes: vec![0; size],
            block: u64::from(block),
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The next operation: random kind, place and length; short ones are more frequent.
    pub(crate) fn next_step(&mut self) -> Step {
        match self.below(32) {
            0..8 => self.read(Way::Direct),
            8..11 => self.read(Way::Cached),
            11..19 => self.write(Way::Direct),
            19..22 => self.write(Way::Durable),
            22..25 => self.write(Way::Cached),
            25 => Step::Flush,
            26..28 => {
                let (offset, len) = self.range(self.block);
                Step::Discard { offset, len }
            }
            kind => {
                let (offset, len) = self.range(self.block);
                let keep = kind % 2 == 0;
                Step::Zero { offset, len, keep }
            }
        }
    }

    fn read(&mut self, way: Way) -> Step {
        let (offset, len) = self.range(self.unit(way));
        let len = usize::try_from(len).unwrap();
        Step::Read { offset, len, way }
    }

    fn write(&mut self, way: Way) -> Step {
        let (offset, len) = self.range(self.unit(way));
        let len = usize::try_from(len).unwrap();
        let fill = self.random.next_u64();
        Step::Write {
            offset,
            len,
            fill,
            way,
        }
    }

    /// The page cache takes any byte, O_DIRECT whole blocks.
    fn unit(&self, way: Way) -> u64 {
        if way == Way::Cached { 1 } else { self.block }
    }

    /// A range of at most 128 KiB.
    fn range(&mut self, unit: u64) -> (u64, u64) {
        let most = 1 << self.below(18);
        let units = (self.bytes.len() as u64) / unit;
        let count = 1 + self.below((most / unit).clamp(1, units));
        let offset = self.below(units - count + 1) * unit;
        (offset, count * unit)
    }

    /// A number for what a step leaves open, such as where its memory begins.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }

    /// Does a step that changes the disk.
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Write {
                offset, len, fill, ..
            } => {
                self.part_mut(offset, len)
                    .copy_from_slice(&pattern(fill, len));
            }
            Step::Discard { offset, len } | Step::Zero { offset, len, .. } => {
                self.part_mut(offset, usize::try_from(len).unwrap()).fill(0);
            }
            Step::Read { .. } | Step::Flush => {}
        }
    }

    pub(crate) fn part(&self, offset: u64, len: usize) -> &[u8] {
        let start = usize::try_from(offset).unwrap();
        &self.bytes[start..start + len]
    }

    fn part_mut(&mut self, offset: u64, len: usize) -> &mut [u8] {
        let start = usize::try_from(offset).unwrap();
        &mut self.bytes[start..start + len]
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes in which every eight differ from every other eight: a misplaced or repeated piece shows.
pub(crate) fn pattern(fill: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut state = fill;
    for chunk in bytes.chunks_mut(8) {
        // splitmix64: a permutation of its counter, and cheap enough for an emulated machine.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// Where two disks first differ.
pub(crate) fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    if left == right {
        return None;
    }
    let both = left.iter().zip(right);
    Some(both.take_while(|(left, right)| left == right).count())
}
