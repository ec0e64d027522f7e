//! `/dev/ublk-control`: the life of a device.
//!
//! The binary interface is libublk's. Its release 0.4.8 refuses flags that we need at ADD, knows only a
//! part of the parameters, and prints to stderr whenever a handle is made for a device that it did not
//! add itself, so the commands are our own, always, rather than chosen flag by flag: [`life`], [`recovery`]
//! and [`query`] say which, [`raw`] sends them. docs/design/libublk.md has the reasons; they can go when libublk learns these.

pub(crate) mod buffers;
mod life;
mod query;
mod raw;
mod read_only;
mod recovery;
mod unprivileged;

use std::fs::OpenOptions;
use std::io;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

pub use life::{AddDevice, add, delete, resize, set_params, start, stop, stop_if_closed};
pub use query::{features, info, queue_cpus};
pub use read_only::set_read_only;
pub use recovery::{end_recovery, quiesce, start_recovery, wait_until_closed};

pub use unprivileged::{info_by_node, is_privileged, wait_for_node};

use crate::error::Error;

/// The driver's control device.
pub const CONTROL_DEVICE: &str = "/dev/ublk-control";

/// What the kernel knows of a device (`struct ublksrv_ctrl_dev_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The number N of `/dev/ublkbN`.
    pub id: u32,
    /// Queues; the driver lowers what was asked for to the number of possible CPUs, silently.
    pub queues: u16,
    /// Tags of each queue.
    pub depth: u16,
    /// The longest read or write in bytes.
    pub max_io_bytes: u32,
    /// The device's state.
    pub state: DeviceState,
    /// The process that serves the device.
    pub server_pid: i32,
    /// Feature flags that the device runs with.
    pub flags: crate::Features,
    /// The user that made it.
    pub owner_uid: u32,
    /// The group of the user that made it.
    pub owner_gid: u32,
}

/// The kernel's device states (`UBLK_S_DEV_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Added, or its server is gone: there is no block device.
    Dead,
    /// Serving.
    Live,
    /// Waiting for a server; requests wait too.
    Quiesced,
    /// Waiting for a server; requests fail meanwhile.
    FailIo,
    /// A state of a later kernel.
    Unknown(u16),
}

impl DeviceInfo {
    fn from_raw(raw: &libublk::sys::ublksrv_ctrl_dev_info) -> Self {
        Self {
            id: raw.dev_id,
            queues: raw.nr_hw_queues,
            depth: raw.queue_depth,
            max_io_bytes: raw.max_io_buf_bytes,
            state: match raw.state {
                0 => DeviceState::Dead,
                1 => DeviceState::Live,
                2 => DeviceState::Quiesced,
                3 => DeviceState::FailIo,
                other => DeviceState::Unknown(other),
            },
            server_pid: raw.ublksrv_pid,
            flags: crate::Features::from_bits_retain(raw.flags),
            owner_uid: raw.owner_uid,
            owner_gid: raw.owner_gid,
        }
    }
}

/// Opens the control device and closes it again, to tell a missing driver from a missing right
/// before anything is attempted.
///
/// # Errors
/// [`Error::NoDriver`], [`Error::Denied`], or the system's own.
pub fn check_access() -> Result<(), Error> {
    match OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONTROL_DEVICE)
    {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Err(Error::NoDriver),
            io::ErrorKind::PermissionDenied => Err(Error::Denied),
            _ => Err(Error::system(format!("open {CONTROL_DEVICE}"))(error)),
        },
    }
}

/// Runs `work` on a thread of its own, with every signal blocked, and waits for it.
///
/// A control command waits for the driver, some of them until the device has answered its requests; a
/// signal meanwhile is for the server's thread.
pub fn on_control_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("ublk-control".into())
            .spawn_scoped(scope, || {
                block_signals();
                work()
            });
        match handle.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No thread can be had: the process is out of resources, and so is its caller.
            Err(error) => panic!("failed to start a control thread: {error}"),
        }
    })
}

/// Blocks every signal on the calling thread, so that signals go to the server's thread only.
pub fn block_signals() {
    // Fails only for an invalid `how`.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
}
