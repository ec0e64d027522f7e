//! The rule of 2022, as it was argued out on the kernel lists.

use super::Flavour;
use crate::Direction;

/// Pins a page that the rule asks for at the time of the transfer, and why.
pub(super) fn of(flavour: Flavour, direction: Direction) -> (u64, &'static str) {
    match (flavour, direction) {
        (
            Flavour::Pread | Flavour::Preadv | Flavour::Aio | Flavour::IoUring,
            Direction::Destination,
        ) => (1, "destination of a user iovec: pinned when taken"),
        (Flavour::Pread | Flavour::Preadv | Flavour::Aio | Flavour::IoUring, Direction::Source) => {
            (0, "source: needs no pin")
        }
        (Flavour::IoUringFixed, _) => (0, "bvec: comes pinned, by the registration"),
        (Flavour::Splice | Flavour::Sendfile, Direction::Destination) => {
            (0, "pipe: only its own pages")
        }
        (Flavour::Splice | Flavour::Sendfile | Flavour::Vmsplice, _) => {
            (0, "bvec of the pipe's pages: source")
        }
        (Flavour::Mmap | Flavour::Buffered, Direction::Destination) => {
            (0, "page cache: comes locked")
        }
        (Flavour::Mmap | Flavour::Buffered, Direction::Source) => {
            (0, "page cache: under writeback")
        }
        (Flavour::Discard, _) => (0, "discard: no pages at all"),
    }
}
