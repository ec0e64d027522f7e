//! The commands that make a device, start and stop it, and take it away.

use std::time::{Duration, Instant};

use libublk::sys;

use super::raw::{ENOTSUPP, is_unknown_command, no_queue, plain, struct_len, submit};
use super::unprivileged::most_devices;
use super::{DeviceInfo, info};
use crate::error::Error;
use crate::params::LATER_TYPES;
use crate::{Features, Params};

/// What ADD_DEV is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AddDevice {
    /// The number N of `/dev/ublkbN`; none lets the driver choose.
    pub id: Option<u32>,
    /// Queues.
    pub queues: u16,
    /// Tags of each queue, at most 4096.
    pub depth: u16,
    /// The longest read or write in bytes, at most 32 MiB.
    pub max_io_bytes: u32,
    /// Features that the device needs.
    pub flags: Features,
}

/// Makes `/dev/ublkcN` (`UBLK_U_CMD_ADD_DEV`).
///
/// # Errors
/// [`Error::Command`] with the driver's answer; [`Error::MissingFeature`] if the driver cleared a
/// flag, which it does silently for flags that it does not know (the device is deleted again).
pub fn add(request: AddDevice) -> Result<DeviceInfo, Error> {
    let mut raw = sys::ublksrv_ctrl_dev_info {
        dev_id: request.id.unwrap_or(u32::MAX),
        nr_hw_queues: request.queues,
        queue_depth: request.depth,
        max_io_buf_bytes: request.max_io_bytes,
        flags: request.flags.bits(),
        // The driver compares this with the pid that START_DEV names.
        ublksrv_pid: i32::try_from(std::process::id()).unwrap_or(0),
        ..Default::default()
    };
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: raw.dev_id,
        addr: (&raw mut raw) as u64,
        len: struct_len::<sys::ublksrv_ctrl_dev_info>(),
        ..no_queue()
    };
    let hint = match request.id {
        Some(_) => {
            "EEXIST: the number is taken, by a device or by one that was deleted while a client has it open; `bvecctl dev list` shows ours, leave --id out for a free one"
        }
        None => "EINVAL: a value is out of range; ENOMEM: the kernel lacks memory",
    };
    add_when_free(request.id, header, hint)?;
    let info = DeviceInfo::from_raw(&raw);
    super::wait_for_node(&format!("/dev/ublkc{}", info.id))?;
    if let Err(missing) = info.flags.require(request.flags) {
        delete(info.id)?;
        return Err(missing);
    }
    Ok(info)
}

/// How long an ADD waits for the number of a device that was deleted a moment ago.
const NUMBER_WAIT: Duration = Duration::from_millis(500);

/// Sends ADD_DEV. A number that no device answers to and that is yet taken belongs to a device on its
/// way out: its last file is being closed. The driver has no event for that, so it is asked again.
fn add_when_free(
    id: Option<u32>,
    header: sys::ublksrv_ctrl_cmd,
    hint: &'static str,
) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        let Err(error) = submit("ADD_DEV", sys::UBLK_U_CMD_ADD_DEV, header, Some(hint)) else {
            return Ok(());
        };
        // Before Linux 6.4 commands are not encoded as ioctls, and the driver does not know ours.
        if [Some(libc::EOPNOTSUPP), Some(ENOTSUPP)].contains(&error.errno()) {
            return Err(Error::MissingFeature {
                feature: "CMD_IOCTL_ENCODE",
                since: "6.4",
            });
        }
        // The one cause of this answer (`ublk_ctrl_add_dev`).
        if error.errno() == Some(libc::EACCES) {
            return Err(Error::TooMany {
                most: most_devices(),
            });
        }
        let taken = error.errno() == Some(libc::EEXIST);
        let Some(id) = id.filter(|_| taken && begin.elapsed() < NUMBER_WAIT) else {
            return Err(error);
        };
        if info(id)?.is_some() {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sets the device's limits (`UBLK_U_CMD_SET_PARAMS`); only before it starts.
///
/// # Errors
/// [`Error::Command`] with the driver's answer; [`Error::MissingFeature`] if the driver dropped a kind of
/// parameters, which it does silently for kinds that it does not know.
pub fn set_params(id: u32, params: &Params) -> Result<(), Error> {
    let mut raw = params.to_raw();
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        addr: (&raw mut raw) as u64,
        len: u16::try_from(raw.len).unwrap_or(u16::MAX),
        ..no_queue()
    };
    let hint = "EINVAL: block sizes, limits or the size do not fit together";
    submit("SET_PARAMS", sys::UBLK_U_CMD_SET_PARAMS, header, Some(hint))?;
    let wanted = raw.types;
    submit("GET_PARAMS", sys::UBLK_U_CMD_GET_PARAMS, header, None)?;
    let dropped = wanted & !raw.types;
    match LATER_TYPES.iter().find(|(kind, ..)| dropped & kind != 0) {
        None => Ok(()),
        Some(&(_, feature, since)) => Err(Error::MissingFeature { feature, since }),
    }
}

/// Makes `/dev/ublkbN` (`UBLK_U_CMD_START_DEV`). Waits until every tag of every queue was fetched,
/// so it must not be called before the queue threads run.
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn start(id: u32) -> Result<(), Error> {
    let pid = u64::from(std::process::id());
    let hint = "EEXIST: a client still has the block device of an earlier start open";
    plain("START_DEV", sys::UBLK_U_CMD_START_DEV, id, pid, Some(hint))
}

/// Removes `/dev/ublkbN` (`UBLK_U_CMD_STOP_DEV`). Waits, uninterruptibly, for every request of the
/// device: whatever is held must have been released before.
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn stop(id: u32) -> Result<(), Error> {
    plain("STOP_DEV", sys::UBLK_U_CMD_STOP_DEV, id, 0, None)
}

/// As [`stop`], unless a client has the block device open (`UBLK_U_CMD_TRY_STOP_DEV`, since Linux 7.0).
/// From then on nobody can open it, so no client can come in between (`ublk_ctrl_try_stop_dev`).
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `EBUSY` while it is open, `ENODEV` without a block device.
pub fn stop_if_closed(id: u32) -> Result<(), Error> {
    plain("TRY_STOP_DEV", sys::UBLK_U_CMD_TRY_STOP_DEV, id, 0, None)
}

/// Removes `/dev/ublkcN` and frees the number.
///
/// The number stays taken until the last client has closed the block device. `DEL_DEV` would wait for
/// that, uninterruptibly (`ublk_ctrl_del_dev`); `DEL_DEV_ASYNC` does not, so it is used wherever the
/// kernel has it (since Linux 6.7).
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn delete(id: u32) -> Result<(), Error> {
    match plain("DEL_DEV_ASYNC", sys::UBLK_U_CMD_DEL_DEV_ASYNC, id, 0, None) {
        Err(error) if is_unknown_command(&error) => {
            plain("DEL_DEV", sys::UBLK_U_CMD_DEL_DEV, id, 0, None)
        }
        other => other,
    }
}

/// Changes the size of the running block device (`UBLK_U_CMD_UPDATE_SIZE`, since Linux 6.16).
///
/// The driver takes any number of sectors (`ublk_ctrl_set_size`); that they are whole logical blocks is
/// for the caller to see to. Requests that are under way are not looked at.
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `ENODEV` without a block device.
pub fn resize(id: u32, sectors: u64) -> Result<(), Error> {
    plain(
        "UPDATE_SIZE",
        sys::UBLK_U_CMD_UPDATE_SIZE,
        id,
        sectors,
        None,
    )
}
