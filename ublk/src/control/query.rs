//! The commands that ask.

use libublk::sys;

use super::DeviceInfo;
use super::raw::{is_unknown_command, no_queue, struct_len, submit};
use crate::Features;
use crate::error::Error;

/// Asks the driver for its features (`UBLK_U_CMD_GET_FEATURES`, since Linux 6.5); none where it does not
/// know the question.
///
/// # Errors
/// [`Error::Command`] with the driver's answer, other than that it does not know the command.
pub fn features() -> Result<Features, Error> {
    let mut mask = 0_u64;
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: u32::MAX,
        addr: (&raw mut mask) as u64,
        len: struct_len::<u64>(),
        ..no_queue()
    };
    match submit("GET_FEATURES", sys::UBLK_U_CMD_GET_FEATURES, header, None) {
        Ok(_) => Ok(Features::from_bits_retain(mask)),
        Err(error) if is_unknown_command(&error) => Ok(Features::empty()),
        Err(error) => Err(error),
    }
}

/// Asks the driver about a device (`UBLK_U_CMD_GET_DEV_INFO`); none if there is no such device.
///
/// # Errors
/// [`Error::Command`] with the driver's answer, other than that there is no such device.
pub fn info(id: u32) -> Result<Option<DeviceInfo>, Error> {
    let mut raw = sys::ublksrv_ctrl_dev_info::default();
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        addr: (&raw mut raw) as u64,
        len: struct_len::<sys::ublksrv_ctrl_dev_info>(),
        ..no_queue()
    };
    match submit("GET_DEV_INFO", sys::UBLK_U_CMD_GET_DEV_INFO, header, None) {
        Ok(_) => Ok(Some(DeviceInfo::from_raw(&raw))),
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The CPUs whose requests come to a queue (`UBLK_U_CMD_GET_QUEUE_AFFINITY`).
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn queue_cpus(id: u32, queue: u16) -> Result<Vec<usize>, Error> {
    // The driver wants room for every possible CPU; 8192 is the most that a distribution builds for.
    let mut mask = [0_u64; 128];
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        addr: mask.as_mut_ptr() as u64,
        len: struct_len::<[u64; 128]>(),
        // The queue goes where other commands have their inline data (`ublk_ctrl_get_queue_affinity`).
        data: [u64::from(queue)],
        ..no_queue()
    };
    submit(
        "GET_QUEUE_AFFINITY",
        sys::UBLK_U_CMD_GET_QUEUE_AFFINITY,
        header,
        None,
    )?;
    let is_set = |cpu: &usize| mask[cpu / 64] & (1 << (cpu % 64)) != 0;
    Ok((0..64 * mask.len()).filter(is_set).collect())
}
