//! Entries for the character device: the ring's form of the driver's commands.

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use libublk::sys;

/// The character device among the ring's registered files.
pub(crate) const CHAR_DEVICE: u32 = 0;

/// What a tag's next request is given to the driver with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provision {
    /// Nothing: the server reaches the payload by itself.
    Nothing,
    /// Memory for the payload, by address (`copy`).
    Memory(u64),
    /// A slot of the ring's buffer table, for the request's own pages (`auto-zero-copy`). If they cannot
    /// be put there, the request is delivered all the same, marked `NEED_REG_BUF`.
    Slot(u16),
}

/// A command about one tag (`struct ublksrv_io_cmd`). `addr` is what the command itself takes there.
pub(crate) fn about_tag(code: u32, queue: u16, tag: u16, result: i32, addr: u64) -> Entry {
    tag_command(code, queue, tag, result, addr).build()
}

/// A FETCH or a COMMIT_AND_FETCH of one tag, with what its next request is provided with.
#[inline]
pub(crate) fn transfer_tag(
    code: u32,
    queue: u16,
    tag: u16,
    result: i32,
    provision: Provision,
) -> Entry {
    match provision {
        Provision::Nothing => tag_command(code, queue, tag, result, 0).build(),
        Provision::Memory(address) => tag_command(code, queue, tag, result, address).build(),
        Provision::Slot(index) => {
            let registration = sys::ublk_auto_buf_reg {
                index,
                // The constant is a single bit.
                flags: u8::try_from(sys::UBLK_AUTO_BUF_REG_FALLBACK).unwrap_or(0),
                ..Default::default()
            };
            let address = sys::ublk_auto_buf_reg_to_sqe_addr(&registration);
            tag_command(code, queue, tag, result, 0)
                .addr(Some(address))
                .build()
        }
    }
}

#[inline]
fn tag_command(code: u32, queue: u16, tag: u16, result: i32, addr: u64) -> opcode::UringCmd16 {
    let command = sys::ublksrv_io_cmd {
        q_id: queue,
        tag,
        result,
        addr,
    };
    // SAFETY: the structure is sixteen bytes of integers without padding.
    let bytes = unsafe { std::mem::transmute::<sys::ublksrv_io_cmd, [u8; 16]>(command) };
    opcode::UringCmd16::new(types::Fixed(CHAR_DEVICE), code).cmd(bytes)
}

/// A command about many tags (`struct ublk_batch_io`), whose elements lie at `elements`.
pub(crate) fn about_many(code: u32, header: sys::ublk_batch_io, elements: u64) -> Entry {
    // SAFETY: the structure is sixteen bytes of integers without padding.
    let bytes = unsafe { std::mem::transmute::<sys::ublk_batch_io, [u8; 16]>(header) };
    opcode::UringCmd16::new(types::Fixed(CHAR_DEVICE), code)
        .cmd(bytes)
        .addr(Some(elements))
        .build()
}

/// `IORING_URING_CMD_MULTISHOT` (include/uapi/linux/io_uring.h), which the io-uring crate does not have.
const MULTISHOT: u32 = 1 << 1;

/// Makes a command one that completes again and again, each time with a buffer of `group`.
pub(crate) fn multishot(entry: Entry, group: u16) -> Entry {
    // SAFETY: an entry is the kernel's `struct io_uring_sqe` and nothing else (`repr(C)`), 64 bytes of
    // integers.
    let mut bytes = unsafe { std::mem::transmute::<Entry, [u8; 64]>(entry) };
    // `uring_cmd_flags` stands at 28 and `buf_group` at 40 (include/uapi/linux/io_uring.h).
    bytes[28..32].copy_from_slice(&MULTISHOT.to_ne_bytes());
    bytes[40..42].copy_from_slice(&group.to_ne_bytes());
    // SAFETY: as above; every pattern of bits is an entry.
    let entry = unsafe { std::mem::transmute::<[u8; 64], Entry>(bytes) };
    entry.flags(Flags::BUFFER_SELECT)
}
