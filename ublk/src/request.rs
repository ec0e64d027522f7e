//! One block request, from the moment it arrives until it is committed.

use bitflags::bitflags;
use libublk::sys;

use crate::direction::{Destination, Source};

/// What a request asks for. Directions are the pages' point of view: a read is a *destination*
/// request (its pages receive data), a write is a *source* request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `REQ_OP_READ`: the pages receive data.
    Read,
    /// `REQ_OP_WRITE`: the pages supply data.
    Write,
    /// `REQ_OP_FLUSH`: everything completed before must be durable.
    Flush,
    /// `REQ_OP_DISCARD`: the range may be forgotten.
    Discard,
    /// `REQ_OP_WRITE_ZEROES`: the range must read as zeroes.
    WriteZeroes,
    /// An operation that this server never advertised, by its number.
    Other(u8),
}

impl Op {
    fn from_op_flags(op_flags: u32) -> Self {
        match op_flags & 0xff {
            sys::UBLK_IO_OP_READ => Self::Read,
            sys::UBLK_IO_OP_WRITE => Self::Write,
            sys::UBLK_IO_OP_FLUSH => Self::Flush,
            sys::UBLK_IO_OP_DISCARD => Self::Discard,
            sys::UBLK_IO_OP_WRITE_ZEROES => Self::WriteZeroes,
            // The mask above leaves eight bits.
            other => Self::Other(u8::try_from(other).unwrap_or(u8::MAX)),
        }
    }
}

bitflags! {
    /// The flags that the driver hands on (`ublk_req_build_flags`, ublk_drv.c).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RequestFlags: u32 {
        /// Do not retry on a device error.
        const FAILFAST_DEV = 1 << 8;
        /// Do not retry on a transport error.
        const FAILFAST_TRANSPORT = 1 << 9;
        /// Do not retry on a driver error.
        const FAILFAST_DRIVER = 1 << 10;
        /// File system metadata.
        const META = 1 << 11;
        /// Durable before it completes.
        const FUA = 1 << 13;
        /// Zero, but keep the blocks allocated.
        const NOUNMAP = 1 << 15;
        /// Swap traffic.
        const SWAP = 1 << 16;
        /// Automatic registration failed: the server must register by hand.
        const NEED_REG_BUF = 1 << 17;
        /// Protection information comes with it, or is to go with it (`UBLK_IO_F_INTEGRITY`).
        const INTEGRITY = 1 << 18;
        /// The driver found the payload in a shared buffer (`UBLK_IO_F_SHMEM_ZC`).
        const SHARED = 1 << 19;
    }
}

/// A request that has arrived and is not yet committed.
///
/// It is consumed by [`Queue::commit`](crate::Queue::commit). Dropping one uncommitted would leave
/// the client waiting for ever, so that is a bug and panics in debug builds; [`Request::abandon`] is
/// the one way out, for the teardown of a queue whose driver side is gone.
#[derive(Debug)]
pub struct Request {
    tag: u16,
    op: Op,
    flags: RequestFlags,
    sector: u64,
    sectors: u32,
    address: u64,
}

impl Request {
    /// A request as the driver would describe it. The queue makes them; it is public so that whoever
    /// serves requests can be tested without a kernel.
    #[must_use]
    pub fn new(tag: u16, op: Op, flags: RequestFlags, sector: u64, sectors: u32) -> Self {
        Self {
            tag,
            op,
            flags,
            sector,
            sectors,
            address: 0,
        }
    }

    pub(crate) fn from_descriptor(tag: u16, descriptor: &sys::ublksrv_io_desc) -> Self {
        let op = Op::from_op_flags(descriptor.op_flags);
        let flags = RequestFlags::from_bits_truncate(descriptor.op_flags);
        let mut request = Self::new(
            tag,
            op,
            flags,
            descriptor.start_sector,
            descriptor.nr_sectors,
        );
        request.address = descriptor.addr;
        request
    }

    /// Which shared buffer the payload lies in and where, as the driver says it (`ublk_shmem_zc_addr`);
    /// none if it lies in none.
    pub(crate) fn shared_address(&self) -> Option<u64> {
        self.flags
            .contains(RequestFlags::SHARED)
            .then_some(self.address)
    }

    /// The block layer's tag, unique among the requests of a queue.
    #[must_use]
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// What is asked for.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// The flags that came with it.
    #[must_use]
    pub fn flags(&self) -> RequestFlags {
        self.flags
    }

    /// The first sector (512 B).
    #[must_use]
    pub fn sector(&self) -> u64 {
        self.sector
    }

    /// How many sectors (512 B); 0 for a flush.
    #[must_use]
    pub fn sectors(&self) -> u32 {
        self.sectors
    }

    /// Offset of the first byte on the device.
    #[must_use]
    pub fn offset_bytes(&self) -> u64 {
        self.sector << 9
    }

    /// Length in bytes; a read or write is at most 32 MiB (`UBLK_IO_BUF_BITS`).
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        u64::from(self.sectors) << 9
    }

    /// Makes the request be about another place, or a part of its own: a fault. Whoever answers the client puts
    /// back what it was about.
    pub fn redirect(&mut self, sector: u64, sectors: u32) {
        self.sector = sector;
        self.sectors = sectors;
    }

    /// Forgets that the client wants it durable before it completes: a fault. Returns whether it wanted.
    pub fn forget_fua(&mut self) -> bool {
        let wanted = self.flags.contains(RequestFlags::FUA);
        self.flags.remove(RequestFlags::FUA);
        wanted
    }

    /// Its pages, if they receive data.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Option<Destination<'_>> {
        (self.op == Op::Read).then(|| Destination::new(self))
    }

    /// Its pages, if they supply data.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Option<Source<'_>> {
        (self.op == Op::Write).then(|| Source::new(self))
    }

    /// Lets go of the request without an answer. Only right when the driver has taken it back, that
    /// is after the queue's commands were aborted.
    pub fn abandon(self) {
        std::mem::forget(self);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        debug_assert!(
            std::thread::panicking(),
            "request with tag {} ({:?} at sector {}) was dropped without a commit",
            self.tag,
            self.op,
            self.sector
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(op_flags: u32) -> sys::ublksrv_io_desc {
        sys::ublksrv_io_desc {
            op_flags,
            nr_sectors: 8,
            start_sector: 2048,
            addr: 0,
        }
    }

    #[test]
    fn op_and_flags_are_told_apart() {
        let request = Request::from_descriptor(3, &descriptor(sys::UBLK_IO_OP_WRITE | 1 << 13));
        assert_eq!(request.op(), Op::Write);
        assert_eq!(request.flags(), RequestFlags::FUA);
        assert_eq!(
            (request.offset_bytes(), request.len_bytes()),
            (1 << 20, 4096)
        );
        request.abandon();
    }

    #[test]
    #[should_panic(expected = "dropped without a commit")]
    fn dropping_a_request_is_a_bug() {
        drop(Request::from_descriptor(
            0,
            &descriptor(sys::UBLK_IO_OP_READ),
        ));
    }
}
