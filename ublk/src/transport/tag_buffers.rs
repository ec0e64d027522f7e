//! Where the driver writes the tags of requests that have arrived: buffers that the ring picks from by
//! itself (`io_uring_register_buf_ring(3)`), and that are given back once they have been read.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::memory::Mapping;
use crate::ring::Ring;

/// The ring's number for this group of buffers; it has no other.
pub(super) const GROUP: u16 = 0;

/// A power of two. Each takes the tags of one dispatch, so more than a few are used only when requests
/// come faster than they are read.
const BUFFERS: u16 = 16;

/// The driver writes at most 128 tags at once (`MAX_NR_TAG`, ublk_drv.c).
const TAGS: usize = 128;

const BUFFER_BYTES: usize = TAGS * size_of::<u16>();

/// The buffers begin one page behind the ring's own entries, which must be page aligned.
const FIRST_BUFFER: usize = 4096;

/// Buffers full of tags.
#[derive(Debug)]
pub(super) struct TagBuffers {
    memory: Mapping,
    tail: u16,
    /// The buffer that is being read, the next tag in it, and how many it has.
    reading: Option<(u16, usize, usize)>,
}

impl TagBuffers {
    /// Buffers that this ring picks from.
    pub(super) fn new(ring: &Ring) -> io::Result<Self> {
        let len = FIRST_BUFFER + usize::from(BUFFERS) * BUFFER_BYTES;
        let mut buffers = Self {
            memory: Mapping::anonymous(len)?,
            tail: 0,
            reading: None,
        };
        let address = buffers.memory.as_ptr() as u64;
        let submitter = ring.io_uring().submitter();
        // SAFETY: the memory is page aligned and holds the entries, and its owner, the transport, is
        // dropped after the ring.
        unsafe { submitter.register_buf_ring_with_flags(address, BUFFERS, GROUP, 0) }?;
        for buffer in 0..BUFFERS {
            buffers.give(buffer);
        }
        Ok(buffers)
    }

    /// A completion has filled the first `bytes` of a buffer.
    #[inline]
    pub(super) fn read(&mut self, buffer: u16, bytes: usize) {
        let buffer = buffer % BUFFERS;
        self.reading = Some((buffer, 0, (bytes / size_of::<u16>()).min(TAGS)));
    }

    /// The next tag of the buffer that is being read, which is given back after its last.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u16> {
        let (buffer, next, count) = self.reading?;
        if next == count {
            self.reading = None;
            self.give(buffer);
            return None;
        }
        self.reading = Some((buffer, next + 1, count));
        let place = self.place(buffer) + next * size_of::<u16>();
        let tag = self.memory.span(place, size_of::<u16>()).as_ptr();
        // SAFETY: the span covers one aligned tag, which the kernel has written before the completion.
        Some(unsafe { tag.cast::<u16>().read_volatile() })
    }

    fn place(&self, buffer: u16) -> usize {
        FIRST_BUFFER + usize::from(buffer) * BUFFER_BYTES
    }

    /// Gives a buffer to the kernel.
    fn give(&mut self, buffer: u16) {
        let address = self.memory.span(self.place(buffer), BUFFER_BYTES).as_ptr() as u64;
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the index is below the number of entries, all of which lie in the mapping; the kernel does
        // not look at an entry that it has consumed until the tail has passed it again. Only the three
        // fields are written: the tail shares the first entry's fourth.
        unsafe {
            let entry = &mut *entries.add(usize::from(self.tail % BUFFERS));
            entry.set_addr(address);
            // 256 bytes.
            entry.set_len(u32::try_from(BUFFER_BYTES).unwrap_or(0));
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, is aligned, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        // Release: the entry must be there before the kernel sees it.
        tail.store(self.tail, Ordering::Release);
    }
}
