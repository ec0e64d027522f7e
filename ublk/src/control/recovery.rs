//! The commands that change a device's server: quiesce, and user recovery.

use std::time::{Duration, Instant};

use libublk::sys;

use super::raw::plain;
use super::{DeviceState, info};
use crate::error::Error;

/// How often the driver is asked again where it has no event to wait for.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// Lets the driver dispatch nothing more to the server, and end the commands of tags that have nothing to
/// do (`UBLK_U_CMD_QUIESCE_DEV`, since Linux 6.16). New requests wait, or fail with
/// `USER_RECOVERY_FAIL_IO`. The state changes only once the server has closed the character device.
///
/// Returns false where the driver gave up before it had ended those commands (`EBUSY`): it looks for a
/// tag without a request in each queue, for at most `patience`. New requests are kept away in either
/// case, and there is no command that lets them in again but [`start_recovery`] and [`end_recovery`], so
/// the server has to close its queues whatever the answer (`ublk_ctrl_quiesce_dev`).
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `EOPNOTSUPP` without `QUIESCE`, `ENODEV` without a block
/// device. Then nothing has changed.
pub fn quiesce(id: u32, patience: Duration) -> Result<bool, Error> {
    // 0 would mean for ever, and the device's lock is held meanwhile.
    let limit_ms = u64::try_from(patience.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    match plain(
        "QUIESCE_DEV",
        sys::UBLK_U_CMD_QUIESCE_DEV,
        id,
        limit_ms,
        None,
    ) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::EBUSY) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Announces a new server (`UBLK_U_CMD_START_USER_RECOVERY`). The driver refuses with `EBUSY` until the
/// old one's character device is closed and its requests are failed or kept back
/// (`ublk_ch_release_work_fn`), which may be a while after its process has gone; it is asked again for
/// at most `patience`.
///
/// # Errors
/// [`Error::Command`] with the driver's answer: `EBUSY` while there is a server, `EINVAL` without
/// `USER_RECOVERY`, `ENODEV` without such a device.
pub fn start_recovery(id: u32, patience: Duration) -> Result<(), Error> {
    let hint = "EBUSY: its server is there, or requests of a server that has gone are still with the backing";
    let begin = Instant::now();
    loop {
        let code = sys::UBLK_U_CMD_START_USER_RECOVERY;
        match plain("START_USER_RECOVERY", code, id, 0, Some(hint)) {
            Err(error) if error.errno() == Some(libc::EBUSY) && begin.elapsed() < patience => {
                std::thread::sleep(ASK_AGAIN);
            }
            other => return other,
        }
    }
}

/// Lets requests flow to the new server (`UBLK_U_CMD_END_USER_RECOVERY`). Waits until every tag of every
/// queue was fetched, so it must not be called before the queue threads run.
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn end_recovery(id: u32) -> Result<(), Error> {
    let pid = u64::from(std::process::id());
    plain(
        "END_USER_RECOVERY",
        sys::UBLK_U_CMD_END_USER_RECOVERY,
        id,
        pid,
        None,
    )
}

/// Waits until the driver has noticed that the server closed the character device, for at most
/// `patience`: until the device is not live any more. Returns its state then; none if there is no such
/// device.
///
/// # Errors
/// [`Error::Command`] with the driver's answer.
pub fn wait_until_closed(id: u32, patience: Duration) -> Result<Option<DeviceState>, Error> {
    let begin = Instant::now();
    loop {
        let state = info(id)?.map(|info| info.state);
        if state != Some(DeviceState::Live) || begin.elapsed() >= patience {
            return Ok(state);
        }
        std::thread::sleep(ASK_AGAIN);
    }
}
