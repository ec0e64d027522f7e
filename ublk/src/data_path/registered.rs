//! Requests' pages as fixed buffers of the ring, which both zero copies share: which slot a request is in,
//! how it is put there by hand and taken out again, and the entries that name it.
//!
//! A slot is filled by the driver with the request's own pages (`io_buffer_register_bvec`); no page is
//! pinned or referenced for it, only the uncommitted request keeps them. The address in an entry is an
//! offset into the request. The kernel refuses the wrong direction with `EFAULT` (`io_import_fixed`).
//!
//! Registering needs no step of its own: the driver does it when the entry is issued, and entries are
//! issued in their order, so the operation behind it in the same system call finds the slot filled.

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use libublk::sys;

use crate::backing_op::BACKING_FILE;
use crate::command;
use crate::direction::Part;
use crate::ring::Token;

/// What is in a tag's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Nothing of ours, or what the driver put there itself.
    Driver,
    /// Nothing yet: the first operation on the payload registers it by hand.
    Wanted,
    /// The request's pages, registered by hand.
    ByHand,
    /// Nothing: the driver refused, with this negative errno.
    Refused(i32),
}

/// The buffer table of one queue's ring.
#[derive(Debug)]
pub(crate) struct Registered {
    queue: u16,
    slots: Vec<Slot>,
    /// The slot of tag 0 when it is registered by hand. Where the driver registers, its own slots are left
    /// alone: one that it could not fill may be in use.
    first_by_hand: u16,
}

impl Registered {
    pub(crate) fn new(queue: u16, depth: u16, first_by_hand: u16) -> Self {
        Self {
            queue,
            slots: vec![Slot::Driver; usize::from(depth)],
            first_by_hand,
        }
    }

    /// A request that the driver has not registered.
    #[inline]
    pub(crate) fn want(&mut self, tag: u16) {
        self.slots[usize::from(tag)] = Slot::Wanted;
    }

    /// The entry to be sent before an operation on the payload, if one is needed.
    #[inline]
    pub(crate) fn register(&mut self, tag: u16) -> Option<Entry> {
        let slot = &mut self.slots[usize::from(tag)];
        if *slot != Slot::Wanted {
            return None;
        }
        *slot = Slot::ByHand;
        Some(self.command(sys::UBLK_U_IO_REGISTER_IO_BUF, tag))
    }

    /// The entry to be sent before the commit, if one is needed.
    #[inline]
    pub(crate) fn unregister(&mut self, tag: u16) -> Option<Entry> {
        let slot = &mut self.slots[usize::from(tag)];
        let was = std::mem::replace(slot, Slot::Driver);
        (was == Slot::ByHand).then(|| self.command(sys::UBLK_U_IO_UNREGISTER_IO_BUF, tag))
    }

    /// The driver refused to register a request.
    pub(crate) fn refused(&mut self, tag: u16, result: i32) {
        self.slots[usize::from(tag)] = Slot::Refused(result);
    }

    /// The result of an operation on the payload: the reason for which the request was not registered
    /// rather than `EFAULT`, which names none.
    #[inline]
    pub(crate) fn outcome(&self, tag: u16, result: i32) -> i32 {
        match self.slots[usize::from(tag)] {
            Slot::Refused(reason) => reason,
            _ => result,
        }
    }

    #[inline]
    fn index(&self, tag: u16) -> u16 {
        match self.slots[usize::from(tag)] {
            Slot::Driver => tag,
            _ => self.first_by_hand + tag,
        }
    }

    fn command(&self, code: u32, tag: u16) -> Entry {
        command::about_tag(
            code,
            self.queue,
            tag,
            0,
            u64::from(self.first_by_hand + tag),
        )
        // Only a refusal is told.
        .flags(Flags::SKIP_SUCCESS)
        .user_data(Token::Registration(tag).pack())
    }

    #[inline]
    pub(crate) fn destination_entry(&self, tag: u16, part: Part) -> Entry {
        let offset = part.request_offset_bytes() as usize as *mut u8;
        let (file, index) = (types::Fixed(BACKING_FILE), self.index(tag));
        opcode::ReadFixed::new(file, offset, part.len_bytes(), index)
            .offset(part.backing_offset_bytes())
            .build()
    }

    #[inline]
    pub(crate) fn source_entry(&self, tag: u16, part: Part) -> Entry {
        let offset = part.request_offset_bytes() as usize as *const u8;
        let (file, index) = (types::Fixed(BACKING_FILE), self.index(tag));
        opcode::WriteFixed::new(file, offset, part.len_bytes(), index)
            .offset(part.backing_offset_bytes())
            .rw_flags(part.rw_flags())
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_registered_once_and_taken_out_once() {
        let mut table = Registered::new(0, 4, 4);
        assert!(table.register(2).is_none(), "the driver has registered it");
        assert_eq!(table.index(2), 2);
        table.want(2);
        assert!(table.register(2).is_some());
        assert!(table.register(2).is_none(), "a second operation needs none");
        assert_eq!(table.index(2), 6);
        assert!(table.unregister(2).is_some());
        assert!(table.unregister(2).is_none());
        assert_eq!(table.index(2), 2);
    }

    #[test]
    fn a_request_that_needed_no_operation_is_not_registered() {
        let mut table = Registered::new(0, 1, 0);
        table.want(0);
        assert!(table.unregister(0).is_none());
    }

    #[test]
    fn a_refusal_is_the_outcome_and_leaves_nothing_to_take_out() {
        let mut table = Registered::new(0, 1, 0);
        table.want(0);
        assert!(table.register(0).is_some());
        table.refused(0, -libc::ENOMEM);
        assert_eq!(table.outcome(0, -libc::EFAULT), -libc::ENOMEM);
        assert!(table.unregister(0).is_none());
        assert_eq!(table.outcome(0, 4096), 4096);
    }
}
