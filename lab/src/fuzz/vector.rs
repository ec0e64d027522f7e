//! A vector of direct I/O.

use serde::{Deserialize, Serialize};

use crate::sys::PAGE_BYTES;
use crate::{Direction, Memory};

/// Length of the memory that a vector's segments lie in, in bytes.
pub const MEMORY_BYTES: usize = 256 << 10;
/// Length of the part of the medium that vectors touch, in bytes.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Where that part begins.
pub const WINDOW_START: u64 = 1 << 20;

/// How a vector is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// preadv(2), pwritev(2).
    Sync,
    /// The kernel's AIO.
    Aio,
    /// io_uring.
    IoUring,
    /// io_uring with the memory registered; of the first segment only.
    Fixed,
}

/// A piece of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it begins in the memory, in bytes.
    pub at: usize,
    /// Its length.
    pub bytes: usize,
}

/// What is wrong with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// It may only be read: bad for a destination.
    ReadOnly,
    /// It may not be accessed.
    NoAccess,
    /// It is a guard region.
    Guard,
    /// It is not mapped.
    Unmapped,
}

/// A page of the memory that is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoilt {
    /// Its number in the memory.
    pub page: usize,
    /// How.
    pub wrong: Wrong,
}

/// One vector with its memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// Which way the data go.
    pub direction: Direction,
    /// How it is submitted.
    pub how: How,
    /// Where the memory comes from.
    pub memory: Memory,
    /// The segments, in the order of the data.
    pub segments: Vec<Segment>,
    /// Pages with something wrong.
    pub spoilt: Vec<Spoilt>,
    /// The number of the segment whose address is one of the kernel's, if one is.
    pub kernel_segment: Option<usize>,
    /// Where the data begin on the medium, in bytes from [`WINDOW_START`].
    pub offset: u64,
}

impl Vector {
    /// Bytes of what is submitted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.submitted().iter().map(|segment| segment.bytes).sum()
    }

    /// The segments that are submitted: with a registered buffer only one can be.
    #[must_use]
    pub fn submitted(&self) -> &[Segment] {
        match self.how {
            How::Fixed => &self.segments[..self.segments.len().min(1)],
            _ => &self.segments,
        }
    }

    /// Whether a page must not be used for this direction.
    #[must_use]
    pub fn is_bad(&self, page: usize) -> bool {
        self.spoilt.iter().any(|spoilt| {
            spoilt.page == page
                && (spoilt.wrong != Wrong::ReadOnly || self.direction == Direction::Destination)
        })
    }

    /// How many bytes there are before the first that must not be used.
    #[must_use]
    pub fn good_bytes(&self) -> usize {
        let mut good = 0;
        for (number, segment) in self.submitted().iter().enumerate() {
            if segment.bytes > 0 && self.kernel_segment == Some(number) {
                return good;
            }
            let mut at = segment.at;
            let end = segment.at + segment.bytes;
            while at < end {
                if self.is_bad(at / PAGE_BYTES) {
                    return good;
                }
                let next = (at / PAGE_BYTES + 1) * PAGE_BYTES;
                good += next.min(end) - at;
                at = next;
            }
        }
        good
    }

    /// Whether nothing about it is out of order on a device of these blocks, so that it must be taken.
    #[must_use]
    pub fn is_faultless(&self, logical_block_bytes: u64) -> bool {
        let block = usize::try_from(logical_block_bytes)
            .unwrap_or(PAGE_BYTES)
            .max(512);
        let aligned = |number: usize| number.is_multiple_of(block);
        self.good_bytes() == self.bytes()
            && self.bytes() > 0
            && self.offset.is_multiple_of(logical_block_bytes)
            && self
                .submitted()
                .iter()
                .all(|segment| aligned(segment.at) && aligned(segment.bytes))
            // Registering needs every page of the memory, and long-term pins of file pages are refused
            // by some file systems.
            && (self.how != How::Fixed
                || self.spoilt.is_empty()
                    && !matches!(self.memory, Memory::FileShared | Memory::FilePrivate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_before_a_bad_page_are_counted_in_the_order_of_the_data() {
        let vector = Vector {
            direction: Direction::Destination,
            how: How::Sync,
            memory: Memory::Malloc,
            segments: vec![
                Segment {
                    at: 8192,
                    bytes: 4096,
                },
                Segment {
                    at: 3584,
                    bytes: 1024,
                },
            ],
            spoilt: vec![Spoilt {
                page: 1,
                wrong: Wrong::ReadOnly,
            }],
            kernel_segment: None,
            offset: 0,
        };
        assert_eq!(vector.good_bytes(), 4096 + 512);
        let source = Vector {
            direction: Direction::Source,
            ..vector.clone()
        };
        assert_eq!(source.good_bytes(), source.bytes());
        let kernel = Vector {
            kernel_segment: Some(0),
            ..vector
        };
        assert_eq!(kernel.good_bytes(), 0);
    }
}
