//! One tuple (`struct t10_pi_tuple`, include/linux/t10-pi.h): big-endian guard, application and reference
//! tags.

use api::ProtectionTag;
use crc::{CRC_16_T10_DIF, Crc, Table};

pub(super) const TUPLE_BYTES: usize = 8;

/// The application tag of a block that is not checked (`T10_PI_APP_ESCAPE`).
const NOT_CHECKED: u16 = 0xffff;

const GUARD: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_T10_DIF);

/// The tags of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuple {
    guard: u16,
    application: u16,
    reference: u32,
}

impl Tuple {
    /// What the block layer makes for block number `block` with this content (`t10_pi_generate`).
    pub(super) fn of(block: u64, data: &[u8]) -> Self {
        Self {
            guard: GUARD.checksum(data),
            application: 0,
            // Type 1 has the low half of the number; the mask leaves 32 bits.
            reference: u32::try_from(block & u64::from(u32::MAX)).unwrap_or(0),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; TUPLE_BYTES] {
        let mut bytes = [0; TUPLE_BYTES];
        bytes[..2].copy_from_slice(&self.guard.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.application.to_be_bytes());
        bytes[4..].copy_from_slice(&self.reference.to_be_bytes());
        bytes
    }

    /// `bytes` has the length of a tuple.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let two = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Self {
            guard: two(0),
            application: two(2),
            reference: u32::from(two(4)) << 16 | u32::from(two(6)),
        }
    }

    /// The first tag that differs from what it must be: which, what it must be, what it is.
    pub(super) fn differs(self, must: &Self) -> Option<(ProtectionTag, u32, u32)> {
        if self.application == NOT_CHECKED {
            return None;
        }
        if self.reference != must.reference {
            return Some((ProtectionTag::Reference, must.reference, self.reference));
        }
        (self.guard != must.guard)
            .then(|| (ProtectionTag::Guard, must.guard.into(), self.guard.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_kernels() {
        // The check value of CRC-16/T10-DIF, and zeroes, of which `crc_t10dif` makes zero.
        assert_eq!(GUARD.checksum(b"123456789"), 0xd0db);
        assert_eq!(Tuple::of(0, &[0; 512]).guard, 0);
    }

    #[test]
    fn a_tuple_is_big_endian() {
        let tuple = Tuple {
            guard: 0x0102,
            application: 0x0304,
            reference: 0x0506_0708,
        };
        assert_eq!(tuple.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Tuple::from_bytes(&tuple.to_bytes()), tuple);
    }

    #[test]
    fn the_reference_is_the_low_half_of_the_number() {
        assert_eq!(Tuple::of(0x1_0000_0002, &[0; 512]).reference, 2);
    }
}
