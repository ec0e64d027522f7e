//! The commands of shared memory: REG_BUF and UNREG_BUF (Linux 7.1).
//!
//! Both stop the device's queue and wait, uninterruptibly and with the device's mutex held, until every
//! request in flight has been answered (`ublk_lock_buf_tree`, ublk_drv.c). So nothing may be held when
//! they are sent, and the device must have its server.

use libublk::sys;

use super::raw::submit;
use crate::error::Error;

/// Pins `len_bytes` of this process's memory from `start` on, for as long as they are registered, and
/// makes the driver recognise their pages in requests (`ublk_ctrl_reg_buf`). Returns the number that the
/// driver gave them. With `read_only`, source requests alone are recognised.
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `EEXIST` if a page is registered already, `EFAULT` if
/// one cannot be pinned.
pub(crate) fn register(
    device: u32,
    start: *const u8,
    len_bytes: u64,
    read_only: bool,
) -> Result<u16, Error> {
    let mut registration = sys::ublk_shmem_buf_reg {
        addr: start as u64,
        len: len_bytes,
        flags: if read_only {
            sys::UBLK_SHMEM_BUF_READ_ONLY
        } else {
            0
        },
        reserved: 0,
    };
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: device,
        queue_id: u16::MAX,
        addr: (&raw mut registration) as u64,
        len: u16::try_from(size_of_val(&registration)).unwrap_or(u16::MAX),
        ..Default::default()
    };
    let number = submit("REG_BUF", sys::UBLK_U_CMD_REG_BUF, header, None)?;
    // The driver numbers from 0 to 65535.
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}

/// Makes the driver forget a registration and its pins. When it returns without an error, or with
/// `ENOENT`, no request that was recognised by this number is in flight.
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `ENOENT` if there is no such registration.
pub(crate) fn unregister(device: u32, number: u16) -> Result<(), Error> {
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: device,
        queue_id: u16::MAX,
        data: [u64::from(number)],
        ..Default::default()
    };
    submit("UNREG_BUF", sys::UBLK_U_CMD_UNREG_BUF, header, None).map(drop)
}
