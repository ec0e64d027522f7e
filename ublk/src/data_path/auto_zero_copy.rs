//! Data path `auto-zero-copy`: the driver puts the request's pages into slot `tag` of the ring's
//! buffer table before it delivers the request, and takes them out at the commit
//! (`ublk_auto_buf_register`). Reads and writes on the backing then name the slot; their address is
//! an offset into the request. No page is pinned or referenced for it: only the uncommitted request
//! keeps them.

use io_uring::squeue::Entry;
use io_uring::{opcode, types};
use libublk::sys;

use crate::direction::Part;
use crate::queue::BACKING_FILE;

/// Requests' pages as fixed buffers; slot = tag.
#[derive(Debug)]
pub(crate) struct AutoZeroCopy;

impl AutoZeroCopy {
    /// What FETCH and COMMIT carry in `sqe->addr`: the slot for the tag's next request.
    #[inline]
    pub(crate) fn registration(&self, tag: u16) -> u64 {
        let registration = sys::ublk_auto_buf_reg {
            index: tag,
            ..Default::default()
        };
        sys::ublk_auto_buf_reg_to_sqe_addr(&registration)
    }

    #[inline]
    pub(crate) fn destination_entry(&self, tag: u16, part: Part) -> Entry {
        let offset = part.request_offset_bytes() as usize as *mut u8;
        opcode::ReadFixed::new(types::Fixed(BACKING_FILE), offset, part.len_bytes(), tag)
            .offset(part.backing_offset_bytes())
            .build()
    }

    #[inline]
    pub(crate) fn source_entry(&self, tag: u16, part: Part) -> Entry {
        let offset = part.request_offset_bytes() as usize as *const u8;
        opcode::WriteFixed::new(types::Fixed(BACKING_FILE), offset, part.len_bytes(), tag)
            .offset(part.backing_offset_bytes())
            .rw_flags(part.rw_flags())
            .build()
    }
}
