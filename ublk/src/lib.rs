//! The kernel's ublk interface: control, queues, requests and data paths; and its NBD client as a second way to
//! the same requests. It knows no targets and no faults.
//!
//! # Model
//!
//! A ublk device has a *control* side (`/dev/ublk-control`: [`control`]), a *character device*
//! (`/dev/ublkcN`) through which a server takes requests, and the *block device* (`/dev/ublkbN`)
//! that clients see. Each queue of the device is served by one thread with one io_uring
//! ([`Queue`]): for every tag it sends FETCH once, and from then on one COMMIT_AND_FETCH per
//! request, or the same for many tags at once ([`transport`]). A request that has arrived and was not committed is *in flight* for the client, for as
//! long as the server likes: that is what holding a request means.
//!
//! # What is where
//!
//! | module | provides |
//! |---|---|
//! | [`features`] | what the driver offers, and since which kernel |
//! | [`control`] | add, parameterise, start, stop, delete, recover, query |
//! | [`char_device`] | where a server takes requests |
//! | [`params`] | the limits of a device, typed |
//! | [`queue`] | completions in, commits out |
//! | [`answer`] | what a request is answered with |
//! | [`request`] | one block request, consumed by committing it |
//! | [`direction`] | destination and source, as types |
//! | [`transport`] | how requests are fetched and answered, one way a file |
//! | [`data_path`] | how a request's payload moves, one way a file |
//! | [`shared_buffers`] | memory that clients share with the server |
//! | [`nbd`] | the second front door: the kernel's NBD client, for kernels without ublk |
//! | [`Stage`] | memory for a payload that leaves the fast path |
//! | [`memory`] | mappings whose lifetime the kernel relies on |
//!
//! # Source of the facts
//!
//! `drivers/block/ublk_drv.c` and `include/uapi/linux/ublk_cmd.h` of Linux 7.2. The binary interface
//! is the one that `libublk::sys` generates from its copy of that header.
#![expect(
    unsafe_code,
    reason = "ring memory, mappings and raw commands are this crate's subject"
)]

pub mod answer;
mod backing_op;
pub mod char_device;
mod command;
pub mod control;
pub mod data_path;
pub mod direction;
mod error;
pub mod features;
pub mod memory;
pub mod nbd;
pub mod params;
pub mod queue;
pub mod request;
mod ring;
pub mod shared_buffers;
mod stage;
pub mod transport;

pub use answer::{Answer, Errno, Short};
pub use backing_op::BackingOp;
pub use control::{DeviceInfo, DeviceState};
pub use data_path::DataPathKind;
pub use direction::{Destination, Payload, Source};
pub use error::Error;
pub use features::Features;
pub use params::Params;
pub use queue::{Completion, Queue, QueueConfig, Submitted};
pub use request::{Op, Request, RequestFlags};
pub use shared_buffers::{BufferError, SharedBuffer, SharedBuffers, SharedCounts, SharedQueue};
pub use stage::{Stage, Transfer};
pub use transport::TransportKind;

/// Marks the calling thread as one that cleans memory (`PR_SET_IO_FLUSHER`, Linux 5.6), so that its
/// own allocations never wait for the device that it serves.
///
/// # Errors
/// `EPERM` without CAP_SYS_RESOURCE.
pub fn set_io_flusher() -> std::io::Result<()> {
    /// `linux/prctl.h`; the libc crate does not have it.
    const PR_SET_IO_FLUSHER: i32 = 57;
    // SAFETY: this prctl takes plain integers and changes only a flag of the calling thread.
    match unsafe { libc::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Gives the calling thread the policy `SCHED_BATCH` (sched(7)): when it is woken it does not preempt
/// what runs on its CPU.
///
/// A client that sends many requests at once then gets to send them all before its server runs, instead
/// of being interrupted after the first one; the server finds them together and answers them in one
/// system call. On an idle CPU nothing changes. Workers that the thread's io_uring starts inherit it.
///
/// # Errors
/// `EPERM` where a policy is refused, for example in a container.
pub fn set_batch_scheduling() -> std::io::Result<()> {
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure lives until the call returns, and 0 names the calling thread only.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const no_priority) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
