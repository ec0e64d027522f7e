//! Protection information: eight bytes for each logical block, in the form of T10 type 1, checked on the way
//! in and on the way out.
//!
//! Each tuple has a guard tag (a checksum of the block), an application tag (the client's own, kept and given
//! back) and a reference tag (the low half of the block's number). An application tag of 0xffff means that
//! the block is not checked, as for the block layer (`t10_pi_verify`, block/t10-pi.c).

mod store;
mod tuple;

use std::io;
use std::ops::Range;
use std::sync::Arc;

pub use store::TagStore;
use tuple::{TUPLE_BYTES, Tuple};

/// A tag that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// The first sector (512 B) of the block.
    pub sector: u64,
    /// Which tag.
    pub tag: api::ProtectionTag,
    /// What it must be.
    pub expected: u32,
    /// What it is.
    pub found: u32,
}

/// One queue's view of a device's protection information.
#[derive(Debug)]
pub struct Integrity {
    store: Arc<TagStore>,
    block_bytes: usize,
    /// The tuples of the request that is being looked at.
    tuples: Vec<u8>,
}

impl Integrity {
    /// For requests of at most `max_io_bytes` on a device with these logical blocks.
    #[must_use]
    pub fn new(store: Arc<TagStore>, block_bytes: u32, max_io_bytes: u32) -> Self {
        let blocks = (max_io_bytes / block_bytes) as usize;
        Self {
            store,
            block_bytes: block_bytes as usize,
            tuples: vec![0; blocks * TUPLE_BYTES],
        }
    }

    /// Room for the tuples of a payload of `len_bytes`.
    pub fn tuples_mut(&mut self, len_bytes: usize) -> &mut [u8] {
        let blocks = len_bytes / self.block_bytes;
        &mut self.tuples[..blocks * TUPLE_BYTES]
    }

    /// Makes the tuples of a payload that begins at this sector.
    pub fn generate(&mut self, sector: u64, data: &[u8]) {
        let first = self.block_of(sector);
        let tuples = self.tuples.chunks_exact_mut(TUPLE_BYTES);
        for ((block, data), into) in (first..)
            .zip(data.chunks_exact(self.block_bytes))
            .zip(tuples)
        {
            into.copy_from_slice(&Tuple::of(block, data).to_bytes());
        }
    }

    /// Holds a payload that begins at this sector against its tuples.
    ///
    /// # Errors
    /// The first mismatch.
    pub fn verify(&self, sector: u64, data: &[u8]) -> Result<(), Mismatch> {
        let first = self.block_of(sector);
        let tuples = self.tuples.chunks_exact(TUPLE_BYTES);
        for ((block, data), found) in (first..)
            .zip(data.chunks_exact(self.block_bytes))
            .zip(tuples)
        {
            let wrong = Tuple::from_bytes(found).differs(&Tuple::of(block, data));
            if let Some((tag, expected, found)) = wrong {
                let sector = block * (self.block_bytes as u64 >> 9);
                return Err(Mismatch {
                    sector,
                    tag,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Reads the tuples of a payload from where they are kept. Returns false if they are kept nowhere.
    ///
    /// # Errors
    /// The system's.
    pub fn load(&mut self, sector: u64, len_bytes: usize) -> io::Result<bool> {
        let block = self.block_of(sector);
        let store = Arc::clone(&self.store);
        store.load(block, self.tuples_mut(len_bytes))
    }

    /// Keeps the tuples of a payload. They are not to be used afterwards.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&mut self, sector: u64, len_bytes: usize) -> io::Result<()> {
        let block = self.block_of(sector);
        let store = Arc::clone(&self.store);
        store.keep(block, self.tuples_mut(len_bytes))
    }

    /// Keeps the tuples of those blocks of a payload that lie in this range of its bytes as a whole, for a
    /// payload that begins at this sector.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_part(&mut self, sector: u64, range: Range<u32>) -> io::Result<()> {
        let first = (range.start as usize).div_ceil(self.block_bytes);
        let end = range.end as usize / self.block_bytes;
        if first >= end {
            return Ok(());
        }
        // The store spoils what it is given.
        let mut part = self.tuples[first * TUPLE_BYTES..end * TUPLE_BYTES].to_vec();
        self.store
            .keep(self.block_of(sector) + first as u64, &mut part)
    }

    /// Forgets the tuples of a range: its blocks are not checked until they are written.
    ///
    /// # Errors
    /// The system's.
    pub fn forget(&self, sector: u64, len_bytes: u64) -> io::Result<()> {
        self.store
            .forget(self.block_of(sector), len_bytes / self.block_bytes as u64)
    }

    /// Makes what is kept durable.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        self.store.sync()
    }

    fn block_of(&self, sector: u64) -> u64 {
        (sector << 9) / self.block_bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use api::ProtectionTag;

    use super::*;

    fn integrity() -> Integrity {
        let store = TagStore::in_memory(64).unwrap();
        Integrity::new(Arc::new(store), 512, 4096)
    }

    #[test]
    fn what_was_kept_is_verified_and_a_flipped_bit_is_named() {
        let mut integrity = integrity();
        let mut data = vec![7; 2048];
        data[512..1024].fill(9);
        integrity.generate(8, &data);
        assert_eq!(integrity.verify(8, &data), Ok(()));
        integrity.keep(8, data.len()).unwrap();
        assert!(integrity.load(8, data.len()).unwrap());
        assert_eq!(integrity.verify(8, &data), Ok(()));
        data[600] ^= 1;
        let wrong = integrity.verify(8, &data).unwrap_err();
        assert_eq!((wrong.sector, wrong.tag), (9, ProtectionTag::Guard));
        assert_ne!(wrong.expected, wrong.found);
    }

    #[test]
    fn a_block_in_another_place_has_the_wrong_reference() {
        let mut integrity = integrity();
        let data = vec![7; 1024];
        integrity.generate(8, &data);
        let wrong = integrity.verify(10, &data).unwrap_err();
        assert_eq!(wrong.tag, ProtectionTag::Reference);
        assert_eq!((wrong.expected, wrong.found), (10, 8));
    }

    #[test]
    fn only_whole_blocks_of_a_part_are_kept() {
        let mut integrity = integrity();
        integrity.generate(0, &[1; 2048]);
        integrity.keep(0, 2048).unwrap();
        integrity.generate(0, &[2; 2048]);
        integrity.keep_part(0, 100..1600).unwrap();
        integrity.keep_part(0, 1700..1800).unwrap();
        integrity.load(0, 2048).unwrap();
        let mut data = vec![1; 2048];
        data[512..1536].fill(2);
        assert_eq!(integrity.verify(0, &data), Ok(()));
    }

    #[test]
    fn what_was_never_written_or_is_forgotten_is_not_checked() {
        let mut integrity = integrity();
        integrity.load(0, 1024).unwrap();
        assert_eq!(integrity.verify(0, &[3; 1024]), Ok(()));
        integrity.generate(0, &[3; 1024]);
        integrity.keep(0, 1024).unwrap();
        integrity.load(0, 1024).unwrap();
        assert!(integrity.verify(0, &[4; 1024]).is_err());
        integrity.forget(0, 512).unwrap();
        integrity.load(0, 1024).unwrap();
        let wrong = integrity.verify(0, &[4; 1024]).unwrap_err();
        assert_eq!(wrong.sector, 1, "only the first block was forgotten");
    }
}
