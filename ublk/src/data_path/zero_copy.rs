//! Data path `zero-copy`: the server puts a request's pages into slot `tag` of the ring's buffer table
//! itself, when it needs them, and takes them out before the commit (`UBLK_U_IO_REGISTER_IO_BUF`,
//! `UBLK_U_IO_UNREGISTER_IO_BUF`). A request whose payload is not touched is not registered.

use super::Pages;
use super::registered::Registered;
use crate::request::{Op, Request};

/// One queue's requests as fixed buffers, registered by hand; slot = tag.
#[derive(Debug)]
pub(crate) struct ZeroCopy {
    pub(crate) registered: Registered,
    /// For what registering cannot do: looking at a payload, and changing it.
    pub(crate) pages: Pages,
}

impl ZeroCopy {
    pub(crate) fn new(pages: Pages, queue: u16, depth: u16) -> Self {
        Self {
            pages,
            registered: Registered::new(queue, depth, 0),
        }
    }

    #[inline]
    pub(crate) fn arrived(&mut self, request: &Request) {
        // The driver registers only what has a payload (`ublk_rq_has_data`).
        if matches!(request.op(), Op::Read | Op::Write) {
            self.registered.want(request.tag());
        }
    }
}
