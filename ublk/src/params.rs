//! The limits of a device, typed, and the structure that SET_PARAMS takes.

use libublk::sys;

/// `struct ublk_params` up to its `integrity` member.
///
/// The binding of libublk 0.4.8 ends with `zoned`, at byte 108, and is padded to 112; in the kernel
/// `dma` stands at 108, and members of later kernels follow it. So the structure is laid out here from the
/// binding's members. The driver copies `len` bytes and takes the rest as zero (`ublk_ctrl_set_params`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawParams {
    pub(crate) len: u32,
    pub(crate) types: u32,
    basic: sys::ublk_param_basic,
    discard: sys::ublk_param_discard,
    devt: sys::ublk_param_devt,
    zoned: sys::ublk_param_zoned,
    dma: DmaAlign,
    segment: Segment,
    protection: RawProtection,
}

const _: () = assert!(std::mem::offset_of!(RawParams, dma) == 108);
const _: () = assert!(std::mem::offset_of!(RawParams, segment) == 120);
const _: () = assert!(std::mem::offset_of!(RawParams, protection) == 136);

/// `UBLK_PARAM_TYPE_SEGMENT`, which the binding does not have.
pub(crate) const TYPE_SEGMENT: u32 = 1 << 5;

/// `UBLK_PARAM_TYPE_INTEGRITY`, which the binding does not have either.
const TYPE_INTEGRITY: u32 = 1 << 6;

/// Kinds of parameters that not every kernel with our commands has: the bit in `types`, what it is, and
/// the first kernel with it (from the dates of the commits). The driver clears the bits that it does not know (`ublk_ctrl_set_params`).
pub(crate) const LATER_TYPES: &[(u32, &str, &str)] = &[
    (sys::UBLK_PARAM_TYPE_DMA_ALIGN, "a DMA alignment", "6.15"),
    (TYPE_SEGMENT, "limits of segments", "6.15"),
    (TYPE_INTEGRITY, "protection information", "7.0"),
];

/// `struct ublk_param_dma_align`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DmaAlign {
    alignment: u32,
    pad: [u8; 4],
}

/// `struct ublk_param_segment`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    boundary_mask: u64,
    max_bytes: u32,
    max: u16,
    pad: [u8; 2],
}

/// `struct ublk_param_integrity`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct RawProtection {
    flags: u32,
    max_segments: u16,
    interval_shift: u8,
    metadata_bytes: u8,
    offset_bytes: u8,
    checksum: u8,
    tag_bytes: u8,
    pad: [u8; 5],
}

/// Protection information of each logical block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// T10 type 1: eight bytes, the guard being a CRC-16 (T10-DIF).
    T10Crc,
}

impl Protection {
    /// With an interval of one logical block; values of `include/uapi/linux/fs.h`.
    fn to_raw(self, block: BlockShift) -> RawProtection {
        match self {
            Self::T10Crc => RawProtection {
                // LBMD_PI_CAP_INTEGRITY and LBMD_PI_CAP_REFTAG.
                flags: 1 << 0 | 1 << 1,
                interval_shift: block.0,
                metadata_bytes: 8,
                // LBMD_PI_CSUM_CRC16_T10DIF.
                checksum: 2,
                tag_bytes: 2,
                ..RawProtection::default()
            },
        }
    }
}

/// A power of two, kept as its exponent, for block sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShift(u8);

impl BlockShift {
    /// The shift of a block of `bytes`, which must be a power of two of at least 512.
    #[must_use]
    pub fn from_bytes(bytes: u32) -> Option<Self> {
        let shift = u8::try_from(bytes.trailing_zeros()).ok()?;
        (bytes.is_power_of_two() && shift >= 9).then_some(Self(shift))
    }

    /// The block's length in bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        1 << self.0
    }
}

/// What the driver is told about the device before it starts.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// The size in sectors (512 B); a multiple of the logical block.
    pub device_sectors: u64,
    /// The smallest unit of I/O.
    pub logical_block: BlockShift,
    /// The unit that the medium writes without reading first.
    pub physical_block: BlockShift,
    /// The smallest I/O that costs no more than its size; not below the physical block.
    pub io_min: BlockShift,
    /// The best size of an I/O; not below the physical block.
    pub io_opt: BlockShift,
    /// The longest read or write, in bytes.
    pub max_io_bytes: u32,
    /// Clients may not write.
    pub read_only: bool,
    /// The device says that it rotates.
    pub rotational: bool,
    /// A completed write may be lost until a flush: the kernel then sends flushes and FUA.
    pub volatile_cache: bool,
    /// How discard is offered, or none where it is not.
    pub discard: Option<Discard>,
    /// The longest write zeroes in bytes, at most 2 GiB less one page; 0 where it is not offered.
    pub max_write_zeroes_bytes: u32,
    /// Limits of the pieces of a request, or none for the driver's, which are as good as no limits.
    pub segments: Option<Segments>,
    /// What client memory must be aligned to, as a mask (511 for most O_DIRECT backings). Without it the
    /// driver's default is a mask of 3 (`ublk_ctrl_start_dev`).
    pub dma_alignment_mask: Option<u32>,
    /// Its protection information, or none; only with [`Features::INTEGRITY`](crate::Features::INTEGRITY).
    pub protection: Option<Protection>,
}

/// How discard is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discard {
    /// Its unit in bytes; not below the physical block, to which the block layer raises it.
    pub granularity_bytes: u32,
    /// The longest, in bytes; at most 2 GiB less one page, which keeps the result of a commit, an `i32`
    /// of bytes, positive.
    pub max_bytes: u32,
}

/// Limits of the pieces of memory of a request. The driver wants all three or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// How many.
    pub max: u16,
    /// The longest, in bytes; at least 4096.
    pub max_bytes: u32,
    /// No piece crosses a multiple of this mask plus one, a power of two of at least 4096.
    pub boundary_mask: u64,
}

impl Segments {
    /// As good as no limits: what the block layer has without any (`blk_validate_limits`).
    pub const NONE: Self = Self {
        max: u16::MAX,
        max_bytes: u32::MAX,
        boundary_mask: u32::MAX as u64,
    };
}

impl Params {
    pub(crate) fn to_raw(self) -> RawParams {
        let mut raw = RawParams {
            // The structure is 152 bytes long.
            len: u32::try_from(size_of::<RawParams>()).unwrap_or(0),
            types: sys::UBLK_PARAM_TYPE_BASIC,
            basic: self.basic(),
            discard: sys::ublk_param_discard::default(),
            devt: sys::ublk_param_devt::default(),
            zoned: sys::ublk_param_zoned::default(),
            dma: DmaAlign::default(),
            segment: Segment::default(),
            protection: RawProtection::default(),
        };
        // The driver refuses a granularity of zero once the type is set (`ublk_validate_params`), so
        // write zeroes alone still names the logical block.
        if self.discard.is_some() || self.max_write_zeroes_bytes > 0 {
            raw.types |= sys::UBLK_PARAM_TYPE_DISCARD;
            let granularity = |discard: Discard| discard.granularity_bytes;
            raw.discard = sys::ublk_param_discard {
                discard_granularity: self.discard.map_or(self.logical_block.bytes(), granularity),
                max_discard_sectors: self.discard.map_or(0, |discard| discard.max_bytes >> 9),
                max_write_zeroes_sectors: self.max_write_zeroes_bytes >> 9,
                max_discard_segments: 1,
                ..Default::default()
            };
        }
        if let Some(alignment) = self.dma_alignment_mask {
            raw.types |= sys::UBLK_PARAM_TYPE_DMA_ALIGN;
            raw.dma.alignment = alignment;
        }
        if let Some(limits) = self.segments {
            raw.types |= TYPE_SEGMENT;
            raw.segment = Segment {
                boundary_mask: limits.boundary_mask,
                max_bytes: limits.max_bytes,
                max: limits.max,
                pad: [0; 2],
            };
        }
        if let Some(protection) = self.protection {
            raw.types |= TYPE_INTEGRITY;
            raw.protection = protection.to_raw(self.logical_block);
        }
        raw
    }

    fn basic(self) -> sys::ublk_param_basic {
        sys::ublk_param_basic {
            attrs: self.attributes(),
            logical_bs_shift: self.logical_block.0,
            physical_bs_shift: self.physical_block.0,
            io_min_shift: self.io_min.0,
            io_opt_shift: self.io_opt.0,
            max_sectors: self.max_io_bytes >> 9,
            dev_sectors: self.device_sectors,
            ..Default::default()
        }
    }

    fn attributes(self) -> u32 {
        let mut attributes = 0;
        if self.read_only {
            attributes |= sys::UBLK_ATTR_READ_ONLY;
        }
        if self.rotational {
            attributes |= sys::UBLK_ATTR_ROTATIONAL;
        }
        if self.volatile_cache {
            attributes |= sys::UBLK_ATTR_VOLATILE_CACHE | sys::UBLK_ATTR_FUA;
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            device_sectors: 2048,
            logical_block: BlockShift::from_bytes(512).unwrap(),
            physical_block: BlockShift::from_bytes(4096).unwrap(),
            io_min: BlockShift::from_bytes(4096).unwrap(),
            io_opt: BlockShift::from_bytes(4096).unwrap(),
            max_io_bytes: 512 << 10,
            read_only: false,
            rotational: false,
            volatile_cache: true,
            discard: None,
            max_write_zeroes_bytes: 0,
            segments: None,
            dma_alignment_mask: None,
            protection: None,
        }
    }

    #[test]
    fn block_shifts_take_powers_of_two_from_512() {
        assert_eq!(BlockShift::from_bytes(4096).unwrap().bytes(), 4096);
        for bad in [0, 256, 513, 4095] {
            assert!(BlockShift::from_bytes(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_alignment_stands_where_the_kernel_looks_for_it() {
        let raw = Params {
            dma_alignment_mask: Some(511),
            ..params()
        }
        .to_raw();
        assert_ne!(raw.types & sys::UBLK_PARAM_TYPE_DMA_ALIGN, 0);
        assert_eq!(raw.dma.alignment, 511);
        assert_eq!(params().to_raw().types & sys::UBLK_PARAM_TYPE_DMA_ALIGN, 0);
    }

    #[test]
    fn write_zeroes_without_discard_names_a_granularity() {
        let raw = Params {
            max_write_zeroes_bytes: 1 << 20,
            ..params()
        }
        .to_raw();
        assert_eq!(raw.discard.discard_granularity, 512);
        assert_eq!(raw.discard.max_discard_sectors, 0);
        assert_eq!(raw.discard.max_write_zeroes_sectors, 2048);
    }

    #[test]
    fn limits_of_segments_stand_where_the_kernel_looks_for_them() {
        let raw = Params {
            segments: Some(Segments {
                max: 7,
                max_bytes: 8192,
                boundary_mask: 0xffff,
            }),
            ..params()
        }
        .to_raw();
        assert_ne!(raw.types & TYPE_SEGMENT, 0);
        let limits = (
            raw.segment.max,
            raw.segment.max_bytes,
            raw.segment.boundary_mask,
        );
        assert_eq!(limits, (7, 8192, 0xffff));
    }

    #[test]
    fn protection_stands_where_the_kernel_looks_for_it() {
        let raw = Params {
            logical_block: BlockShift::from_bytes(4096).unwrap(),
            protection: Some(Protection::T10Crc),
            ..params()
        }
        .to_raw();
        assert_ne!(raw.types & TYPE_INTEGRITY, 0);
        assert_eq!(raw.len, 152);
        let made = (raw.protection.flags, raw.protection.interval_shift);
        assert_eq!(made, (3, 12));
    }
}
