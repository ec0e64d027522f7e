//! The second front door: the kernel's NBD client (`drivers/block/nbd.c`), for kernels without ublk.
//!
//! The client sends requests over a socket, in the transmission phase of the NBD protocol (doc/proto.md of the
//! NBD project). Both ends of the socket are here: one is given to `/dev/nbdN` ([`client`]), at the other one
//! thread takes requests as [`crate::Queue`] does ([`Queue`]). What a server sees is data path `copy`: the data of a
//! source request comes with it, as it was when it was sent; that of a destination request reaches its
//! pages with the answer.
//!
//! | | ublk | NBD |
//! |---|---|---|
//! | errno of a failure | the server's | always `EIO` (`nbd_handle_reply`) |
//! | fewer bytes than asked for | possible | not in the protocol |
//! | queues, requests in flight | as many as asked for | one, 128 (`nbd_dev_add`) |
//! | tag | the block layer's | a number of this server's own: the client's handle is opaque |
//! | pages of a request under way | within reach | never |
//! | without its server | gone, or kept for the next | gone |

pub mod client;
mod queue;
mod staging;
mod wire;

pub use client::{Client, Limits, Settings, is_there};
pub use queue::{Queue, QueueConfig};

/// Requests that the kernel's client has in flight at most on one socket (`nbd_dev_add`).
pub const DEPTH: u16 = 128;

/// The longest read or write that the kernel's client sends, in bytes (`max_hw_sectors` in `nbd_dev_add`).
pub const MAX_IO_BYTES: u32 = 32 << 20;
