//! A disk as a vector of bytes: what a device must behave like.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An operation on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Read { offset: u64, len: usize },
    Write { offset: u64, len: usize, fill: u64 },
    Flush,
    Discard { offset: u64, len: u64 },
    Zero { offset: u64, len: u64 },
}

/// A disk that never fails.
pub(crate) struct Model {
    bytes: Vec<u8>,
    random: ChaCha8Rng,
}

impl Model {
    pub(crate) fn new(size: usize, seed: u64) -> Self {
        Self {
            bytes: vec![0; size],
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The next operation: random place, length and kind, aligned to 4 KiB for the kinds that zero and
    /// to 512 B for the others.
    pub(crate) fn next_step(&mut self) -> Step {
        let kind = self.below(16);
        let (unit, most) = if kind < 12 { (512, 256) } else { (4096, 64) };
        let units = self.bytes.len() as u64 / unit;
        let count = 1 + self.below(most.min(units));
        let offset = self.below(units - count + 1) * unit;
        let len = count * unit;
        match kind {
            0..5 => Step::Read {
                offset,
                len: usize::try_from(len).unwrap(),
            },
            5..11 => {
                let fill = self.random.next_u64();
                Step::Write {
                    offset,
                    len: usize::try_from(len).unwrap(),
                    fill,
                }
            }
            11 => Step::Flush,
            12 | 13 => Step::Discard { offset, len },
            _ => Step::Zero { offset, len },
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }

    /// Does a step that changes the disk.
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Write { offset, len, fill } => {
                self.part_mut(offset, len)
                    .copy_from_slice(&pattern(fill, len));
            }
            Step::Discard { offset, len } | Step::Zero { offset, len } => {
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
    let mut random = ChaCha8Rng::seed_from_u64(fill);
    let mut bytes = vec![0; len];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Where two disks first differ.
pub(crate) fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    left.iter()
        .zip(right)
        .position(|(left, right)| left != right)
}
