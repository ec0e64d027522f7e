//! The limits of a device, typed, and the structure that SET_PARAMS takes.

use libublk::sys;

/// `struct ublk_params` up to its `dma` member.
///
/// The binding of libublk 0.4.8 ends with `zoned`, at byte 108, and is padded to 112; in the kernel
/// `dma` stands at 108. So the structure is laid out here from the binding's members. The driver copies
/// `len` bytes and takes the rest as zero (`ublk_ctrl_set_params`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawParams {
    pub(crate) len: u32,
    types: u32,
    basic: sys::ublk_param_basic,
    discard: sys::ublk_param_discard,
    devt: sys::ublk_param_devt,
    zoned: sys::ublk_param_zoned,
    dma: DmaAlign,
}

const _: () = assert!(std::mem::offset_of!(RawParams, dma) == 108);

/// `struct ublk_param_dma_align`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DmaAlign {
    alignment: u32,
    pad: [u8; 4],
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
    /// The longest read or write, in bytes.
    pub max_io_bytes: u32,
    /// Clients may not write.
    pub read_only: bool,
    /// A completed write may be lost until a flush: the kernel then sends flushes and FUA.
    pub volatile_cache: bool,
    /// The unit of discard in bytes, or none where discard is not offered.
    pub discard_granularity_bytes: Option<u32>,
    /// Whether write zeroes is offered.
    pub write_zeroes: bool,
    /// What client memory must be aligned to, as a mask (511 for most O_DIRECT backings); only with
    /// zero copy, where that memory reaches the backing as it is. Without it the driver's default is
    /// a mask of 3 (`ublk_ctrl_start_dev`).
    pub dma_alignment_mask: Option<u32>,
}

/// The longest discard or write zeroes that we take, in sectors: 2 GiB less one page keeps the
/// result of a commit, which counts bytes in an `i32`, positive.
const MAX_RANGE_SECTORS: u32 = (i32::MAX as u32 >> 9) & !7;

impl Params {
    pub(crate) fn to_raw(self) -> RawParams {
        let mut raw = RawParams {
            // The structure is 120 bytes long.
            len: u32::try_from(size_of::<RawParams>()).unwrap_or(0),
            types: sys::UBLK_PARAM_TYPE_BASIC,
            basic: sys::ublk_param_basic {
                attrs: self.attributes(),
                logical_bs_shift: self.logical_block.0,
                physical_bs_shift: self.physical_block.0,
                io_min_shift: self.logical_block.0,
                io_opt_shift: self.physical_block.0,
                max_sectors: self.max_io_bytes >> 9,
                dev_sectors: self.device_sectors,
                ..Default::default()
            },
            discard: sys::ublk_param_discard::default(),
            devt: sys::ublk_param_devt::default(),
            zoned: sys::ublk_param_zoned::default(),
            dma: DmaAlign::default(),
        };
        // The driver refuses a granularity of zero once the type is set (`ublk_validate_params`), so
        // write zeroes alone still names the logical block.
        if self.discard_granularity_bytes.is_some() || self.write_zeroes {
            raw.types |= sys::UBLK_PARAM_TYPE_DISCARD;
            let discard = self.discard_granularity_bytes;
            raw.discard = sys::ublk_param_discard {
                discard_granularity: discard.unwrap_or(self.logical_block.bytes()),
                max_discard_sectors: discard.map_or(0, |_| MAX_RANGE_SECTORS),
                max_write_zeroes_sectors: if self.write_zeroes {
                    MAX_RANGE_SECTORS
                } else {
                    0
                },
                max_discard_segments: 1,
                ..Default::default()
            };
        }
        if let Some(alignment) = self.dma_alignment_mask {
            raw.types |= sys::UBLK_PARAM_TYPE_DMA_ALIGN;
            raw.dma = DmaAlign {
                alignment,
                pad: [0; 4],
            };
        }
        raw
    }

    fn attributes(self) -> u32 {
        let mut attributes = 0;
        if self.read_only {
            attributes |= sys::UBLK_ATTR_READ_ONLY;
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
            max_io_bytes: 512 << 10,
            read_only: false,
            volatile_cache: true,
            discard_granularity_bytes: None,
            write_zeroes: false,
            dma_alignment_mask: None,
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
            write_zeroes: true,
            ..params()
        }
        .to_raw();
        assert_eq!(raw.discard.discard_granularity, 512);
        assert_eq!(raw.discard.max_discard_sectors, 0);
        assert!(raw.discard.max_write_zeroes_sectors > 0);
    }
}
