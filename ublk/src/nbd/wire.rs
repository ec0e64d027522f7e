//! What goes over the socket: requests of 28 bytes, simple replies of 16, big-endian (include/uapi/linux/nbd.h).

use crate::request::{Op, RequestFlags};

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

const READ: u32 = 0;
const WRITE: u32 = 1;
const DISCONNECT: u32 = 2;
const FLUSH: u32 = 3;
const TRIM: u32 = 4;
const WRITE_ZEROES: u32 = 6;

/// `NBD_CMD_FLAG_FUA`, above the 16 bits of the command.
const FUA: u32 = 1 << 16;
/// `NBD_CMD_FLAG_NO_HOLE`.
const NO_HOLE: u32 = 1 << 17;

/// The length of a request without its payload, in bytes.
pub(super) const REQUEST_BYTES: usize = 28;

/// The length of a reply without its payload, in bytes.
pub(super) const REPLY_BYTES: usize = 16;

/// What names a request in its reply.
pub(super) type Handle = [u8; 8];

/// What the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A request of the block layer.
    Request {
        handle: Handle,
        op: Op,
        flags: RequestFlags,
        offset_bytes: u64,
        len_bytes: u32,
    },
    /// No more will come.
    Disconnect,
}

/// Reads a request; none if it is not one, after which nothing on the socket can be made sense of.
pub(super) fn read(header: &[u8; REQUEST_BYTES]) -> Option<Asked> {
    let (magic, rest) = header.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (handle, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (len, _) = rest.split_first_chunk()?;
    if u32::from_be_bytes(*magic) != REQUEST_MAGIC {
        return None;
    }
    let kind = u32::from_be_bytes(*kind);
    let op = match kind & 0xffff {
        READ => Op::Read,
        WRITE => Op::Write,
        FLUSH => Op::Flush,
        TRIM => Op::Discard,
        WRITE_ZEROES => Op::WriteZeroes,
        DISCONNECT => return Some(Asked::Disconnect),
        // Never asked for; a number of ours that is none of the block layer's.
        other => Op::Other(u8::try_from(other).unwrap_or(u8::MAX)),
    };
    let mut flags = RequestFlags::empty();
    flags.set(RequestFlags::FUA, kind & FUA != 0);
    flags.set(
        RequestFlags::NOUNMAP,
        op == Op::WriteZeroes && kind & NO_HOLE != 0,
    );
    Some(Asked::Request {
        handle: *handle,
        op,
        flags,
        offset_bytes: u64::from_be_bytes(*offset),
        len_bytes: u32::from_be_bytes(*len),
    })
}

/// A reply: success, or an error.
pub(super) fn reply(handle: Handle, errno: Option<i32>) -> [u8; REPLY_BYTES] {
    let mut bytes = [0; REPLY_BYTES];
    bytes[..4].copy_from_slice(&REPLY_MAGIC.to_be_bytes());
    bytes[4..8].copy_from_slice(&errno.map_or(0, told).to_be_bytes());
    bytes[8..].copy_from_slice(&handle);
    bytes
}

/// The errnos that the protocol has, by numbers that are Linux's; every other one is told as `EIO`.
fn told(errno: i32) -> u32 {
    match errno {
        libc::EPERM
        | libc::ENOMEM
        | libc::EINVAL
        | libc::ENOSPC
        | libc::EOVERFLOW
        | libc::EOPNOTSUPP
        | libc::ESHUTDOWN => errno.unsigned_abs(),
        _ => libc::EIO.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write of 4096 bytes at 1 MiB with FUA, as the kernel sends it.
    fn header(kind: u32) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..4].copy_from_slice(&[0x25, 0x60, 0x95, 0x13]);
        bytes[4..8].copy_from_slice(&kind.to_be_bytes());
        bytes[8..16].copy_from_slice(b"handle00");
        bytes[16..24].copy_from_slice(&(1_u64 << 20).to_be_bytes());
        bytes[24..].copy_from_slice(&4096_u32.to_be_bytes());
        bytes
    }

    #[test]
    fn a_request_is_read_with_its_flags() {
        assert_eq!(
            read(&header(WRITE | FUA)),
            Some(Asked::Request {
                handle: *b"handle00",
                op: Op::Write,
                flags: RequestFlags::FUA,
                offset_bytes: 1 << 20,
                len_bytes: 4096,
            })
        );
        let flags = |kind| match read(&header(kind)) {
            Some(Asked::Request { flags, .. }) => flags,
            other => panic!("{other:?}"),
        };
        assert_eq!(flags(WRITE_ZEROES | NO_HOLE), RequestFlags::NOUNMAP);
        assert_eq!(flags(READ | NO_HOLE), RequestFlags::empty());
        assert_eq!(read(&header(DISCONNECT)), Some(Asked::Disconnect));
    }

    #[test]
    fn what_is_no_request_is_not_read() {
        let mut bytes = header(READ);
        bytes[0] ^= 1;
        assert_eq!(read(&bytes), None);
    }

    #[test]
    fn a_reply_names_its_request_and_a_known_error() {
        let success = reply(*b"handle00", None);
        assert_eq!(success[..8], [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0]);
        assert_eq!(success[8..], *b"handle00");
        for (errno, told) in [(libc::ENOSPC, 28), (libc::ENODATA, 5), (libc::EIO, 5)] {
            assert_eq!(reply([0; 8], Some(errno))[7], told);
        }
    }
}
