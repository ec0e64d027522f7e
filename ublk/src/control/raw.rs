//! How a control command is sent: on a ring of its own with 128-byte entries.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use libublk::sys;

use super::CONTROL_DEVICE;
use super::unprivileged::{is_for_unprivileged, needs_path, with_path};
use crate::error::Error;

/// Whether the driver does not know the command.
pub(super) fn is_unknown_command(error: &Error) -> bool {
    [Some(libc::EOPNOTSUPP), Some(libc::EINVAL), Some(ENOTSUPP)].contains(&error.errno())
}

/// The kernel's own errno for a command that it does not know; user space has no name for it.
pub(super) const ENOTSUPP: i32 = 524;

/// The header of a command that is about no queue.
pub(super) fn no_queue() -> sys::ublksrv_ctrl_cmd {
    sys::ublksrv_ctrl_cmd {
        queue_id: u16::MAX,
        ..Default::default()
    }
}

/// The length of a structure, as the header wants it.
pub(super) fn struct_len<T>() -> u16 {
    // Every structure of this interface is shorter than two pages.
    u16::try_from(size_of::<T>()).unwrap_or(u16::MAX)
}

/// A command whose header says no more than the device and one number.
pub(super) fn plain(
    name: &'static str,
    code: u32,
    device: u32,
    data: u64,
    hint: Option<&'static str>,
) -> Result<(), Error> {
    let header = sys::ublksrv_ctrl_cmd {
        dev_id: device,
        data: [data],
        ..no_queue()
    };
    submit(name, code, header, hint).map(drop)
}

/// Sends a command and waits for its end. What the header points to must live until then.
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
