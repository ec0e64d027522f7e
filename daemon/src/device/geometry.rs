//! The limits of a device: what was asked for, held against what the medium can do.

use api::{DeviceConfig, Integrity, Limits, MAX_RANGE_BYTES};
use ublk::params::{BlockShift, Discard, Protection, Segments};
use ublk::{DataPathKind, Params};

use super::DeviceError;
use super::plan::Medium;

/// Client memory is aligned to this at least: the driver's default (`ublk_ctrl_start_dev`).
const LEAST_ALIGNMENT_BYTES: u32 = 4;

/// The parameters for the driver.
///
/// # Errors
/// [`DeviceError::Config`] at the field that the medium, or another field, cannot go with.
pub(super) fn params(
    config: &DeviceConfig,
    medium: &Medium,
    data_path: DataPathKind,
) -> Result<Params, DeviceError> {
    let (logical, physical) = blocks(config, medium)?;
    let io_min = hint("/io_min_bytes", config.io_min_bytes, physical)?;
    let io_opt = hint("/io_opt_bytes", config.io_opt_bytes, io_min)?;
    let blocks = medium.size_bytes / u64::from(logical.bytes());
    Ok(Params {
        device_sectors: blocks * u64::from(logical.bytes() >> 9),
        logical_block: logical,
        physical_block: physical,
        io_min,
        io_opt,
        max_io_bytes: config.max_io_bytes,
        read_only: config.read_only,
        rotational: config.rotational,
        volatile_cache: medium.volatile_cache,
        discard: discard(config, medium, physical)?,
        max_write_zeroes_bytes: max_write_zeroes(config, medium, logical)?,
        segments: segments(config),
        dma_alignment_mask: alignment_mask(config, medium, data_path)?,
        protection: match config.integrity {
            Integrity::None => None,
            Integrity::T10Crc => Some(Protection::T10Crc),
        },
    })
}

/// What clients are told of the parameters.
pub(super) fn limits(params: &Params) -> Limits {
    let segments = params.segments.unwrap_or(Segments::NONE);
    let mask = params.dma_alignment_mask;
    Limits {
        io_min_bytes: params.io_min.bytes(),
        io_opt_bytes: params.io_opt.bytes(),
        max_segments: segments.max,
        max_segment_bytes: segments.max_bytes,
        segment_boundary_bytes: segments.boundary_mask.saturating_add(1),
        dma_alignment_bytes: mask.map_or(LEAST_ALIGNMENT_BYTES, |mask| mask + 1),
        rotational: params.rotational,
        volatile_cache: params.volatile_cache,
        discard_granularity_bytes: params
            .discard
            .map_or(0, |discard| discard.granularity_bytes),
        max_discard_bytes: params.discard.map_or(0, |discard| discard.max_bytes),
        max_write_zeroes_bytes: params.max_write_zeroes_bytes,
    }
}

/// The logical and the physical block.
fn blocks(config: &DeviceConfig, medium: &Medium) -> Result<(BlockShift, BlockShift), DeviceError> {
    let least = medium.logical_block_bytes;
    let asked = config.logical_block_bytes.unwrap_or(least);
    let field = "/logical_block_bytes";
    let logical = power(field, asked, least, "the block of the backing")?;
    let wish = medium.physical_block_bytes.max(logical.bytes());
    let asked = config.physical_block_bytes.unwrap_or(wish);
    let field = "/physical_block_bytes";
    let physical = power(field, asked, logical.bytes(), "the logical block")?;
    Ok((logical, physical))
}

/// A size that clients had better use: what was asked for, else the least.
fn hint(
    field: &'static str,
    asked: Option<u32>,
    least: BlockShift,
) -> Result<BlockShift, DeviceError> {
    let of = match field {
        "/io_opt_bytes" => "io_min_bytes",
        _ => "the physical block",
    };
    power(field, asked.unwrap_or(least.bytes()), least.bytes(), of)
}

fn power(field: &'static str, bytes: u32, least: u32, of: &str) -> Result<BlockShift, DeviceError> {
    BlockShift::from_bytes(bytes)
        .filter(|block| block.bytes() >= least)
        .ok_or_else(|| {
            let reason = format!("found `{bytes}`, expected a power of two from {least}, {of}");
            DeviceError::Config { field, reason }
        })
}

fn discard(
    config: &DeviceConfig,
    medium: &Medium,
    physical: BlockShift,
) -> Result<Option<Discard>, DeviceError> {
    let asked = config.discard_granularity_bytes;
    if !medium.zeroing.can_discard() {
        let wants_some = config.max_discard_bytes.is_some_and(|bytes| bytes > 0);
        return match (asked, wants_some) {
            (Some(_), _) => Err(cannot("/discard_granularity_bytes", "discard")),
            (None, true) => Err(cannot("/max_discard_bytes", "discard")),
            (None, false) => Ok(None),
        };
    }
    if config.max_discard_bytes == Some(0) {
        return Ok(None);
    }
    let wish = medium.discard_granularity_bytes.max(physical.bytes());
    let field = "/discard_granularity_bytes";
    // The block layer raises it to the physical block, silently (`blk_validate_limits`).
    let asked = asked.unwrap_or(wish);
    let granularity = power(field, asked, physical.bytes(), "the physical block")?.bytes();
    let max_bytes = config.max_discard_bytes.unwrap_or(MAX_RANGE_BYTES) / granularity * granularity;
    if max_bytes == 0
        || config
            .max_discard_bytes
            .is_some_and(|bytes| bytes != max_bytes)
    {
        let reason = format!(
            "found `{}`, expected a multiple of {granularity}, the granularity of discard",
            config.max_discard_bytes.unwrap_or(0)
        );
        let field = "/max_discard_bytes";
        return Err(DeviceError::Config { field, reason });
    }
    Ok(Some(Discard {
        granularity_bytes: granularity,
        max_bytes,
    }))
}

fn max_write_zeroes(
    config: &DeviceConfig,
    medium: &Medium,
    logical: BlockShift,
) -> Result<u32, DeviceError> {
    let field = "/max_write_zeroes_bytes";
    match config.max_write_zeroes_bytes {
        None if medium.zeroing.can_write_zeroes() => Ok(MAX_RANGE_BYTES),
        None | Some(0) => Ok(0),
        Some(_) if !medium.zeroing.can_write_zeroes() => Err(cannot(field, "write zeroes")),
        Some(bytes) if bytes.is_multiple_of(logical.bytes()) => Ok(bytes),
        Some(bytes) => {
            let block = logical.bytes();
            let reason = format!("found `{bytes}`, expected whole logical blocks of {block}");
            Err(DeviceError::Config { field, reason })
        }
    }
}

fn cannot(field: &'static str, what: &str) -> DeviceError {
    let reason = format!("what backs the device cannot {what}; leave it out");
    DeviceError::Config { field, reason }
}

fn segments(config: &DeviceConfig) -> Option<Segments> {
    let boundary_mask = config.segment_boundary_bytes.map(|bytes| bytes - 1);
    let asked = config.max_segments.is_some()
        || config.max_segment_bytes.is_some()
        || boundary_mask.is_some();
    asked.then(|| Segments {
        max: config.max_segments.unwrap_or(Segments::NONE.max),
        max_bytes: config.max_segment_bytes.unwrap_or(Segments::NONE.max_bytes),
        boundary_mask: boundary_mask.unwrap_or(Segments::NONE.boundary_mask),
    })
}

/// The alignment of client memory. Where that memory reaches an O_DIRECT backing as it is, the backing must
/// never see what it would refuse, so clients are held to its alignment. Memory that is aligned to the
/// backing's block as well has no piece that ends inside a block: whatever the backing's own limits
/// make of the pieces, it can split the request between blocks.
fn alignment_mask(
    config: &DeviceConfig,
    medium: &Medium,
    data_path: DataPathKind,
) -> Result<Option<u32>, DeviceError> {
    let needed = medium
        .memory_alignment_bytes
        .filter(|_| data_path.reaches_client_pages())
        .map(|bytes| bytes.max(medium.logical_block_bytes));
    match (config.dma_alignment_bytes, needed) {
        (Some(asked), Some(needed)) if asked < needed => {
            let reason = format!(
                "found `{asked}`, expected at least {needed}, which the backing needs with O_DIRECT \
                 on a data path that hands it the client's memory"
            );
            let field = "/dma_alignment_bytes";
            Err(DeviceError::Config { field, reason })
        }
        (Some(bytes), _) | (None, Some(bytes)) => Ok(Some(bytes - 1)),
        (None, None) => Ok(None),
    }
}
