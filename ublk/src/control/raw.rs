//! The control commands, each on a ring of its own with 128-byte entries.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use libublk::sys;

use super::unprivileged::{is_for_unprivileged, most_devices, needs_path, with_path};
use super::{CONTROL_DEVICE, DeviceInfo};
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
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        data: [u64::from(std::process::id())],
        ..no_queue()
    };
    submit("START_DEV", sys::UBLK_U_CMD_START_DEV, header, None).map(drop)
}

/// Removes `/dev/ublkbN` (`UBLK_U_CMD_STOP_DEV`). Waits, uninterruptibly, for every request of the
/// device: whatever is held must have been released before.
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn stop(id: u32) -> Result<(), Error> {
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        ..no_queue()
    };
    submit("STOP_DEV", sys::UBLK_U_CMD_STOP_DEV, header, None).map(drop)
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
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        ..no_queue()
    };
    match submit("DEL_DEV_ASYNC", sys::UBLK_U_CMD_DEL_DEV_ASYNC, header, None) {
        Err(error) if is_unknown_command(&error) => {
            submit("DEL_DEV", sys::UBLK_U_CMD_DEL_DEV, header, None).map(drop)
        }
        other => other.map(drop),
    }
}

fn is_unknown_command(error: &Error) -> bool {
    [Some(libc::EOPNOTSUPP), Some(libc::EINVAL), Some(ENOTSUPP)].contains(&error.errno())
}

/// The kernel's own errno for a command that it does not know; user space has no name for it.
const ENOTSUPP: i32 = 524;

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

pub(super) fn no_queue() -> sys::ublksrv_ctrl_cmd {
    sys::ublksrv_ctrl_cmd {
        queue_id: u16::MAX,
        ..Default::default()
    }
}

pub(super) fn struct_len<T>() -> u16 {
    // Every structure of this interface is shorter than two pages.
    u16::try_from(size_of::<T>()).unwrap_or(u16::MAX)
}

pub(super) fn submit(
    name: &'static str,
    code: u32,
    header: sys::ublksrv_ctrl_cmd,
    hint: Option<&'static str>,
) -> Result<i32, Error> {
    let file = open()?;
    let failed = || Error::system(format!("send {name} to the driver"));
    let by_node = || {
        super::on_control_thread(|| with_path(header, |header| run(&file, code, header)))
            .map_err(failed())
    };
    let answer = if needs_path(code) {
        by_node()?
    } else {
        let answer = super::on_control_thread(|| run(&file, code, header)).map_err(failed())?;
        let refused = answer == -libc::EINVAL && header.dev_id != u32::MAX;
        if refused && is_for_unprivileged(header.dev_id) {
            by_node()?
        } else {
            answer
        }
    };
    if answer >= 0 {
        return Ok(answer);
    }
    let device = if header.dev_id == u32::MAX {
        "(new)".into()
    } else {
        header.dev_id.to_string()
    };
    let source = io::Error::from_raw_os_error(-answer);
    Err(Error::Command {
        command: name,
        device,
        source,
        hint,
    })
}

/// Opens the control device.
pub(super) fn open() -> Result<File, Error> {
    super::check_access()?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONTROL_DEVICE)
        .map_err(Error::system(format!("open {CONTROL_DEVICE}")))
}

pub(super) fn run(file: &File, code: u32, header: sys::ublksrv_ctrl_cmd) -> io::Result<i32> {
    let mut ring: IoUring<squeue::Entry128, cqueue::Entry> = IoUring::builder().build(4)?;
    let mut command = [0_u8; 80];
    // SAFETY: the header is a plain C structure of integers without padding.
    let bytes = unsafe {
        std::slice::from_raw_parts((&raw const header).cast::<u8>(), size_of_val(&header))
    };
    command[..bytes.len()].copy_from_slice(bytes);
    let entry = opcode::UringCmd80::new(types::Fd(file.as_raw_fd()), code)
        .cmd(command)
        .build();
    // SAFETY: the structure that the header points to lives in the caller's frame, and we do not
    // return before the command has completed.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(completion) = ring.completion().next() {
            return Ok(completion.result());
        }
    }
}
