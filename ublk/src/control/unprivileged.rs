//! Devices that an ordinary user owns (`UBLK_F_UNPRIVILEGED_DEV`). The driver decides by the character
//! device's node who may command such a device: the node's path stands before whatever else a
//! command's address points to (`ublk_ctrl_uring_cmd_permission`, drivers/block/ublk_drv.c).

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use libublk::sys;
use nix::unistd::{AccessFlags, access};

use super::DeviceInfo;
use crate::Features;
use crate::error::Error;

/// Where the driver says how many devices it allows. Since Linux 6.15 it counts unprivileged ones only.
const MOST_DEVICES: &str = "/sys/module/ublk_drv/parameters/ublks_max";

/// How long a node may take to be given to its owner: udev does that some time after it was made.
const NODE_WAIT: Duration = Duration::from_secs(5);

/// Whether this process has CAP_SYS_ADMIN, which is what the driver asks for.
#[must_use]
pub fn is_privileged() -> bool {
    /// `include/uapi/linux/capability.h`.
    const CAP_SYS_ADMIN: u32 = 21;
    static PRIVILEGED: OnceLock<bool> = OnceLock::new();
    *PRIVILEGED.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        effective.is_some_and(|set| set & (1 << CAP_SYS_ADMIN) != 0)
    })
}

/// How many devices the driver allows, if it says so.
pub(super) fn most_devices() -> Option<u32> {
    fs::read_to_string(MOST_DEVICES).ok()?.trim().parse().ok()
}

/// Whether a command of this process must name the node from the start.
pub(super) fn needs_path(code: u32) -> bool {
    let about_no_device = [sys::UBLK_U_CMD_ADD_DEV, sys::UBLK_U_CMD_GET_FEATURES];
    !is_privileged() && !about_no_device.contains(&code)
}

/// Sends a command with the path of its device's node before its payload, and brings back what the driver
/// writes into the payload.
pub(super) fn with_path(
    header: sys::ublksrv_ctrl_cmd,
    send: impl FnOnce(sys::ublksrv_ctrl_cmd) -> io::Result<i32>,
) -> io::Result<i32> {
    let path = format!("/dev/ublkc{}", header.dev_id).into_bytes();
    let payload = if header.addr == 0 {
        0
    } else {
        usize::from(header.len)
    };
    let mut memory = path.clone();
    memory.resize(path.len() + payload, 0);
    // The address is that of a structure of ours, exposed when the header was made.
    let address = usize::try_from(header.addr).map_err(io::Error::other)?;
    let theirs = std::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: where there is a payload, the header names `payload` bytes of the caller's, valid until the
    // command has ended, which is after this call; `memory` has room for them after the path.
    unsafe { std::ptr::copy_nonoverlapping(theirs, memory.as_mut_ptr().add(path.len()), payload) };
    let fits = |len: usize| u16::try_from(len).map_err(io::Error::other);
    let result = send(sys::ublksrv_ctrl_cmd {
        addr: memory.as_mut_ptr() as u64,
        len: fits(memory.len())?,
        dev_path_len: fits(path.len())?,
        ..header
    });
    // SAFETY: as above, the other way.
    unsafe { std::ptr::copy_nonoverlapping(memory.as_ptr().add(path.len()), theirs, payload) };
    result
}

/// Asks the driver about a device in the way that works for every kind of device
/// (`UBLK_U_CMD_GET_DEV_INFO2`, since Linux 6.3); none if there is no such device.
///
/// # Errors
/// [`Error::Command`] with the driver's answer; `EACCES` where the node is another user's.
pub fn info_by_node(id: u32) -> Result<Option<DeviceInfo>, Error> {
    const NAME: &str = "GET_DEV_INFO2";
    let mut raw = sys::ublksrv_ctrl_dev_info::default();
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: id,
        addr: (&raw mut raw) as u64,
        len: super::raw::struct_len::<sys::ublksrv_ctrl_dev_info>(),
        ..super::raw::no_queue()
    };
    let file = super::raw::open()?;
    let answer = super::on_control_thread(|| {
        with_path(header, |header| {
            super::raw::run(&file, sys::UBLK_U_CMD_GET_DEV_INFO2, header)
        })
    });
    let answer = answer.map_err(Error::system(format!("send {NAME} to the driver")))?;
    match answer {
        0.. => Ok(Some(DeviceInfo::from_raw(&raw))),
        answer if answer == -libc::ENODEV => Ok(None),
        answer => Err(Error::Command {
            command: NAME,
            device: id.to_string(),
            source: io::Error::from_raw_os_error(-answer),
            hint: None,
        }),
    }
}

/// Whether a refused command of a privileged process is to be sent again with the node's path: the
/// driver wants that of everybody where the device is an ordinary user's.
pub(super) fn is_for_unprivileged(id: u32) -> bool {
    matches!(info_by_node(id), Ok(Some(info)) if info.flags.contains(Features::UNPRIVILEGED_DEV))
}

/// Waits until an ordinary user who made a device may use its node: it is root's at first. A privileged
/// process does not wait.
///
/// # Errors
/// [`Error::System`], with what is missing if the node stays another's.
pub fn wait_for_node(path: &str) -> Result<(), Error> {
    let begin = Instant::now();
    while !is_privileged() {
        let Err(errno) = access(path, AccessFlags::R_OK | AccessFlags::W_OK) else {
            break;
        };
        if begin.elapsed() >= NODE_WAIT {
            let what = format!(
                "use {path}, which was not given to its owner within {NODE_WAIT:?}: install the udev rules \
                 of bvecd's daemon/udev (a device that stays behind only root can remove)"
            );
            return Err(Error::system(what)(errno.into()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
