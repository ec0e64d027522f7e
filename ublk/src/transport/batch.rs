//! Transport `batch` (`UBLK_F_BATCH_IO`): the queue's tags are prepared once, one command that stays
//! brings the tags of requests many at a time, and one command a round answers all that are done.

use std::io;

use io_uring::cqueue;
use libublk::sys;

use super::tag_buffers::{GROUP, TagBuffers};
use super::{ABORTED, Heard, submit_and_check};
use crate::command::{self, Provision};
use crate::data_path::DataPath;
use crate::ring::{Event, Ring, Token};

/// One queue's commands.
#[derive(Debug)]
pub(crate) struct Batch {
    queue: u16,
    depth: u16,
    tags: TagBuffers,
    /// Answers to be sent.
    noted: Elements,
    /// Answers that the driver has been sent and has not yet confirmed. It reads them while the command is
    /// issued, but may take only a part.
    sent: Elements,
    /// Whether the fetching command must be sent again: it ends when it finds no buffer.
    fetch: bool,
    /// Whether the driver still sends requests.
    fetching: bool,
    /// Requests that have arrived and were not answered.
    in_flight: u16,
}

impl Batch {
    pub(super) fn new(queue: u16, depth: u16, ring: &Ring) -> io::Result<Self> {
        Ok(Self {
            queue,
            depth,
            tags: TagBuffers::new(ring)?,
            noted: Elements::new(depth),
            sent: Elements::new(depth),
            fetch: true,
            fetching: true,
            in_flight: 0,
        })
    }

    pub(super) fn start(&mut self, ring: &mut Ring, path: &DataPath) -> io::Result<()> {
        for tag in 0..self.depth {
            self.noted.push(tag, 0, path.provision(tag));
        }
        self.send(ring, sys::UBLK_U_IO_PREP_IO_CMDS)?;
        submit_and_check(ring)?;
        self.sent.clear();
        self.flush(ring)?;
        ring.submit()?;
        // A device that is recovered has requests that waited, and they may be here already.
        while let Some(event) = ring.next() {
            if let Heard::Refused(_, result) = self.hear(event) {
                return Err(io::Error::from_raw_os_error(-result));
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn commit(&mut self, path: &DataPath, tag: u16, result: i32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.noted.push(tag, result, path.provision(tag));
    }

    #[inline]
    pub(super) fn flush(&mut self, ring: &mut Ring) -> io::Result<()> {
        if !self.noted.is_empty() && self.sent.is_empty() {
            self.send(ring, sys::UBLK_U_IO_COMMIT_IO_CMDS)?;
        }
        if self.fetch && self.fetching {
            self.fetch = false;
            let header = sys::ublk_batch_io {
                q_id: self.queue,
                elem_bytes: ELEMENT_OF_FETCH,
                ..Default::default()
            };
            let entry = command::about_many(sys::UBLK_U_IO_FETCH_IO_CMDS, header, 0);
            let entry = command::multishot(entry, GROUP).user_data(Token::Fetch.pack());
            // SAFETY: the entry names a registered file and the registered buffers, which outlive the ring.
            unsafe { ring.push(&entry) }?;
        }
        Ok(())
    }

    fn send(&mut self, ring: &mut Ring, code: u32) -> io::Result<()> {
        std::mem::swap(&mut self.noted, &mut self.sent);
        let header = self.sent.header(self.queue);
        let entry =
            command::about_many(code, header, self.sent.address()).user_data(Token::Commit.pack());
        // SAFETY: the entry names a registered file, and elements that are neither moved nor changed until
        // its completion; those name memory of the data path. Both outlive the ring.
        unsafe { ring.push(&entry) }
    }

    #[inline]
    pub(super) fn next_tag(&mut self) -> Option<u16> {
        let tag = self.tags.next()?;
        self.in_flight += 1;
        Some(tag)
    }

    pub(super) fn hear(&mut self, event: Event) -> Heard {
        match event.token {
            Token::Fetch => self.hear_fetch(event),
            Token::Commit => self.hear_commit(event.result),
            _ => Heard::Nothing,
        }
    }

    #[inline]
    fn hear_fetch(&mut self, event: Event) -> Heard {
        if !cqueue::more(event.flags) {
            self.fetch = true;
        }
        match (usize::try_from(event.result), event.result) {
            (Ok(bytes), _) => {
                if let Some(buffer) = cqueue::buffer_select(event.flags) {
                    self.tags.read(buffer, bytes);
                }
                Heard::Nothing
            }
            // Requests have filled every buffer; they are free again when the command is next sent.
            (Err(_), result) if result == -libc::ENOBUFS => Heard::Nothing,
            (Err(_), ABORTED) => {
                self.fetching = false;
                Heard::Nothing
            }
            (Err(_), refused) => Heard::Refused(None, refused),
        }
    }

    /// The driver took `bytes` of the elements, or none of them (a negative errno). It stops at the first
    /// that it refuses; what it did not take is sent again, so that the next answer tells why.
    #[inline]
    fn hear_commit(&mut self, result: i32) -> Heard {
        let Ok(bytes) = usize::try_from(result) else {
            return Heard::Refused(self.sent.first_tag(), result);
        };
        self.sent.forget(bytes);
        // Rare enough to be copied: the rest goes with the next round.
        self.noted.take_all(&mut self.sent);
        Heard::Nothing
    }

    pub(super) fn is_settled(&self) -> bool {
        self.noted.is_empty() && self.sent.is_empty()
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.fetching || self.in_flight > 0 || !self.is_settled()
    }
}

/// The length of a tag, which is all that a fetch brings.
const ELEMENT_OF_FETCH: u8 = 2;

/// Elements of a PREP or COMMIT (`struct ublk_elem_header` and, with `copy`, an address), in memory made
/// at the start.
#[derive(Debug)]
struct Elements {
    words: Vec<u64>,
    count: u16,
    with_memory: bool,
    with_slot: bool,
}

impl Elements {
    fn new(depth: u16) -> Self {
        Self {
            words: Vec::with_capacity(usize::from(depth) * 2),
            count: 0,
            with_memory: false,
            with_slot: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }

    fn address(&self) -> u64 {
        self.words.as_ptr() as u64
    }

    /// `tag`, `buf_index` and `result`, in the order of their bytes.
    #[inline]
    fn push(&mut self, tag: u16, result: i32, provision: Provision) {
        let slot = match provision {
            Provision::Slot(slot) => slot,
            _ => 0,
        };
        let ([t0, t1], [s0, s1]) = (tag.to_ne_bytes(), slot.to_ne_bytes());
        let [r0, r1, r2, r3] = result.to_ne_bytes();
        self.words
            .push(u64::from_ne_bytes([t0, t1, s0, s1, r0, r1, r2, r3]));
        if let Provision::Memory(address) = provision {
            self.words.push(address);
        }
        self.with_memory = matches!(provision, Provision::Memory(_));
        self.with_slot = matches!(provision, Provision::Slot(_));
        self.count += 1;
    }

    fn words_each(&self) -> usize {
        if self.with_memory { 2 } else { 1 }
    }

    fn header(&self, queue: u16) -> sys::ublk_batch_io {
        let mut flags = 0;
        if self.with_memory {
            flags |= sys::UBLK_BATCH_F_HAS_BUF_ADDR;
        }
        if self.with_slot {
            flags |= sys::UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK;
        }
        sys::ublk_batch_io {
            q_id: queue,
            // The constants are single low bits.
            flags: u16::try_from(flags).unwrap_or(0),
            nr_elem: self.count,
            elem_bytes: if self.with_memory { 16 } else { 8 },
            ..Default::default()
        }
    }

    fn first_tag(&self) -> Option<u16> {
        let [t0, t1, ..] = self.words.first()?.to_ne_bytes();
        Some(u16::from_ne_bytes([t0, t1]))
    }

    /// Drops the elements in the first `bytes`.
    #[inline]
    fn forget(&mut self, bytes: usize) {
        let elements = bytes / (self.words_each() * size_of::<u64>());
        if elements >= usize::from(self.count) {
            return self.clear();
        }
        self.words.drain(..elements * self.words_each());
        // Less than `count` by the test above.
        self.count -= u16::try_from(elements).unwrap_or(0);
    }

    /// Takes over what another has, which is often nothing.
    #[inline]
    fn take_all(&mut self, other: &mut Self) {
        if other.is_empty() {
            return;
        }
        self.words.append(&mut other.words);
        self.count += other.count;
        self.with_memory = other.with_memory;
        self.with_slot = other.with_slot;
        other.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three(memory: bool) -> Elements {
        let mut elements = Elements::new(3);
        for tag in [7, 8, 9] {
            let provision = if memory {
                Provision::Memory(0x1000 * u64::from(tag))
            } else {
                Provision::Slot(tag)
            };
            elements.push(tag, -5, provision);
        }
        elements
    }

    #[test]
    fn elements_are_laid_out_as_the_driver_reads_them() {
        let elements = three(true);
        let header = elements.header(1);
        assert_eq!((header.q_id, header.nr_elem, header.elem_bytes), (1, 3, 16));
        assert_eq!(u32::from(header.flags), sys::UBLK_BATCH_F_HAS_BUF_ADDR);
        // SAFETY: both are plain integers of eight bytes.
        let first = unsafe { std::mem::transmute::<u64, sys::ublk_elem_header>(elements.words[0]) };
        assert_eq!((first.tag, first.buf_index, first.result), (7, 0, -5));
        assert_eq!(elements.words[1], 0x7000);
        let slots = three(false);
        assert_eq!(slots.header(0).elem_bytes, 8);
        assert_eq!(
            u32::from(slots.header(0).flags),
            sys::UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK
        );
    }

    #[test]
    fn what_was_not_taken_is_kept_in_order() {
        for (memory, bytes) in [(true, 16), (false, 8)] {
            let mut sent = three(memory);
            sent.forget(bytes);
            assert_eq!((sent.count, sent.first_tag()), (2, Some(8)));
            let mut noted = Elements::new(3);
            noted.take_all(&mut sent);
            assert_eq!((noted.count, noted.first_tag()), (2, Some(8)));
            assert!(sent.is_empty());
            noted.forget(2 * bytes);
            assert!(noted.is_empty() && noted.words.is_empty());
        }
    }
}
