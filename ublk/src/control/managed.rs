//! The commands that go through libublk: query, stop, delete, queue affinity.
//!
//! Each call makes a fresh handle on a thread of its own: libublk's control ring is a thread local,
//! and a handle that moves to another thread panics there.

use std::io;

use libublk::UblkError;
use libublk::ctrl::{UblkCtrl, UblkQueueAffinity};

use super::{DeviceInfo, on_control_thread};
use crate::error::Error;

/// Asks the driver about a device; none if there is no such device.
///
/// # Errors
/// The driver's answer, other than that there is no such device.
pub fn info(id: u32) -> Result<Option<DeviceInfo>, Error> {
    super::check_access()?;
    let answer = on_control_thread(|| handle(id).map(|control| control.dev_info()));
    match answer {
        Ok(raw) => Ok(Some(DeviceInfo::from_raw(&raw))),
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(command_error("GET_DEV_INFO", id, &error)),
    }
}

/// Removes `/dev/ublkbN` (`UBLK_U_CMD_STOP_DEV`). Waits, uninterruptibly, for every request of the
/// device: whatever is held must have been released before.
///
/// # Errors
/// The driver's answer.
pub fn stop(id: u32) -> Result<(), Error> {
    on_control_thread(|| handle(id).and_then(|control| control.kill_dev()))
        .map(drop)
        .map_err(|error| command_error("STOP_DEV", id, &error))
}

/// Removes `/dev/ublkcN` and frees the number (`UBLK_U_CMD_DEL_DEV`). Waits until the character
/// device is closed, so the queues must be gone.
///
/// # Errors
/// The driver's answer.
pub fn delete(id: u32) -> Result<(), Error> {
    on_control_thread(|| handle(id).and_then(|control| control.del_dev()))
        .map(drop)
        .map_err(|error| command_error("DEL_DEV", id, &error))
}

/// The CPUs whose requests come to each of the device's queues (`UBLK_U_CMD_GET_QUEUE_AFFINITY`).
///
/// # Errors
/// The driver's answer.
pub fn queue_cpus(id: u32, queues: u16) -> Result<Vec<Vec<usize>>, Error> {
    on_control_thread(|| {
        let control = handle(id)?;
        (0..queues)
            .map(|queue| {
                let mut mask = UblkQueueAffinity::new();
                control.get_queue_affinity(u32::from(queue), &mut mask)?;
                Ok(mask.to_bits_vec())
            })
            .collect::<Result<_, UblkError>>()
    })
    .map_err(|error| command_error("GET_QUEUE_AFFINITY", id, &error))
}

fn handle(id: u32) -> Result<UblkCtrl, UblkError> {
    UblkCtrl::new_simple(i32::try_from(id).map_err(|_| UblkError::InvalidVal)?)
}

fn errno(error: &UblkError) -> Option<i32> {
    match error {
        UblkError::UringIOError(code) | UblkError::OtherError(code) => Some(code.abs()),
        UblkError::IOError(source) => source.raw_os_error(),
        _ => None,
    }
}

fn command_error(command: &'static str, id: u32, error: &UblkError) -> Error {
    let source = match errno(error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    };
    Error::Command {
        command,
        device: id.to_string(),
        source,
        hint: None,
    }
}
