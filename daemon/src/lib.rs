//! bvecd: serves block devices through ublk, and does to their requests what the rules say.
//!
//! Start reading in [`queue`]: the loop that every request passes. Around it:
//!
//! | module | provides |
//! |---|---|
//! | [`queue`] | the loop: request, verdict, target, commit |
//! | [`front`] | where requests come from: ublk, or the NBD client |
//! | [`fault_steps`] | the steps of a request whose way a rule changes, pure |
//! | [`watch`] | whether clients change their memory while a write is under way |
//! | [`target`] | what backs a device: `loop`, `ram`, `null` |
//! | [`backing`], [`backing_errors`] | the file behind a `loop` device, opened and checked; its errors |
//! | [`kept_memory`] | memory that outlives the daemon |
//! | [`parked`], [`holds`] | requests that are not to be committed yet |
//! | [`mailbox`] | how the server reaches a queue |
//! | [`shared`], [`stats`], [`latency`], [`events`] | what queues and server share |
//! | [`device`], [`devices`] | a device's life, and all devices |
//! | [`state`] | what is on file about the devices, for the next daemon |
//! | [`openers`] | who has a block device open |
//! | [`server`], [`service`] | the API on a Unix socket, metrics on the [`loopback`], signals, shutdown |
//! | [`owner`] | whose an unprivileged device is, for udev |
//! | [`process`] | files, locked memory, a mount namespace |

pub mod backing;
pub mod backing_errors;
mod clock;
pub mod config;
pub mod device;
pub mod devices;
pub mod events;
pub mod fault_steps;
pub mod front;
pub mod holds;
pub mod integrity;
pub mod kept_memory;
pub mod latency;
pub mod logging;
pub mod loopback;
pub mod mailbox;
pub mod openers;
pub mod owner;
pub mod parked;
pub mod process;
pub mod queue;
pub mod server;
pub mod service;
pub mod shared;
mod socket;
pub mod state;
pub mod stats;
pub mod target;
pub mod watch;
