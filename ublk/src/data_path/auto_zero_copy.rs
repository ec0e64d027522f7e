//! Data path `auto-zero-copy`: the driver puts the request's pages into slot `tag` of the ring's
//! buffer table before it delivers the request, and takes them out at the commit
//! (`ublk_auto_buf_register`). Reads and writes on the backing then name the slot. A request that the
//! driver could not register comes marked, and is registered by hand in the upper half of the table.

use super::Pages;
use super::registered::Registered;
use crate::command::Provision;
use crate::request::{Request, RequestFlags};

/// One queue's requests as fixed buffers; slot = tag.
#[derive(Debug)]
pub(crate) struct AutoZeroCopy {
    pub(crate) registered: Registered,
    /// For what registering cannot do: looking at a payload, and changing it.
    pub(crate) pages: Pages,
    /// Tags from here on name a slot that the table does not have.
    automatic_tags: u16,
    depth: u16,
}

impl AutoZeroCopy {
    pub(crate) fn new(pages: Pages, queue: u16, depth: u16, automatic_tags: u16) -> Self {
        Self {
            pages,
            registered: Registered::new(queue, depth, depth),
            automatic_tags,
            depth,
        }
    }

    /// How many slots the table needs: one for the driver and one for us, for each of `depth` tags.
    pub(crate) fn slots(depth: u16) -> u32 {
        u32::from(depth) * 2
    }

    /// The slot for the tag's next request.
    #[inline]
    pub(crate) fn provision(&self, tag: u16) -> Provision {
        if tag < self.automatic_tags {
            Provision::Slot(tag)
        } else {
            Provision::Slot(self.depth * 2 + tag)
        }
    }

    #[inline]
    pub(crate) fn arrived(&mut self, request: &Request) {
        if request.flags().contains(RequestFlags::NEED_REG_BUF) {
            self.registered.want(request.tag());
        }
    }
}
