//! The shape of a device: blocks, sizes of I/O, segments, alignment, discard. What a configuration may
//! say of it is checked here as far as the backing need not be known; the rest is checked by the daemon,
//! before the kernel hears of it.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device_config::DeviceConfig;
use crate::problem::Problem;

/// The longest request: `UBLK_IO_BUF_BITS` (include/uapi/linux/ublk_cmd.h) leaves 25 bits for the offset
/// within the payload of one tag.
pub const MAX_IO_BYTES: u32 = 1 << 25;

/// The longest discard or write zeroes: one page less than 2 GiB, since the result of a request is an
/// `i32` of bytes.
pub const MAX_RANGE_BYTES: u32 = (1 << 31) - PAGE_BYTES;

/// The smallest page of the kernels this runs on. A logical block may not exceed a page
/// (`ublk_validate_params`, drivers/block/ublk_drv.c), and the longest request is whole pages.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// The largest io_min and io_opt (`ublk_validate_params`, drivers/block/ublk_drv.c).
const MAX_HINT_BYTES: u32 = 1 << 28;

/// Client memory is aligned to 4 bytes at least (`ublk_ctrl_start_dev`), and to a page at most
/// (`ublk_validate_params`).
const ALIGNMENTS: RangeInclusive<u32> = 4..=PAGE_BYTES;

/// The limits that the block layer keeps for a device, as the driver was told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// The smallest I/O that costs no more than its size, in bytes.
    pub io_min_bytes: u32,
    /// The best size of an I/O in bytes.
    pub io_opt_bytes: u32,
    /// Pieces of memory in a request.
    pub max_segments: u16,
    /// The longest piece in bytes.
    pub max_segment_bytes: u32,
    /// No piece crosses a multiple of this, in bytes.
    pub segment_boundary_bytes: u64,
    /// What a client's memory must be aligned to with O_DIRECT, in bytes.
    pub dma_alignment_bytes: u32,
    /// Whether the device says of itself that it rotates.
    pub rotational: bool,
    /// Whether writes may be lost until a flush, so that flushes and FUA come.
    pub volatile_cache: bool,
    /// The unit of discard in bytes; 0 without discard.
    pub discard_granularity_bytes: u32,
    /// The longest discard in bytes; 0 without discard.
    pub max_discard_bytes: u32,
    /// The longest write zeroes in bytes; 0 if the kernel writes zeroes as data.
    pub max_write_zeroes_bytes: u32,
}

/// Checks the blocks and limits of a configuration against each other and the kernel's ranges.
pub(crate) fn check(config: &DeviceConfig) -> Result<(), Problem> {
    check_blocks(config)?;
    check_sizes(config)?;
    check_segments(config)?;
    check_ranges(config)
}

fn check_blocks(config: &DeviceConfig) -> Result<(), Problem> {
    let logical = config.logical_block_bytes;
    power("/logical_block_bytes", logical, 512..=PAGE_BYTES)?;
    let logical = logical.unwrap_or(512);
    let physical = config.physical_block_bytes;
    power("/physical_block_bytes", physical, logical..=PAGE_BYTES)?;
    // The block layer would raise io_min to the physical block, and round io_opt down to nothing,
    // silently (`blk_validate_limits`, block/blk-settings.c).
    let physical = physical.unwrap_or(logical);
    power(
        "/io_min_bytes",
        config.io_min_bytes,
        physical..=MAX_HINT_BYTES,
    )?;
    let io_min = config.io_min_bytes.unwrap_or(physical);
    power(
        "/io_opt_bytes",
        config.io_opt_bytes,
        io_min..=MAX_HINT_BYTES,
    )?;
    power(
        "/dma_alignment_bytes",
        config.dma_alignment_bytes,
        ALIGNMENTS,
    )
}

fn check_sizes(config: &DeviceConfig) -> Result<(), Problem> {
    let max_io = config.max_io_bytes;
    if !max_io.is_multiple_of(PAGE_BYTES) || !(PAGE_BYTES..=MAX_IO_BYTES).contains(&max_io) {
        let expected = format!("a multiple of {PAGE_BYTES} from {PAGE_BYTES} to {MAX_IO_BYTES}");
        return Err(out_of("/max_io_bytes", max_io, expected));
    }
    Ok(())
}

/// `struct ublk_param_segment` (include/uapi/linux/ublk_cmd.h) has these limits in its comments.
fn check_segments(config: &DeviceConfig) -> Result<(), Problem> {
    if config.max_segments == Some(0) {
        let expected = format!("1 to {} segments", u16::MAX);
        return Err(out_of("/max_segments", 0, expected));
    }
    if let Some(bytes) = config.max_segment_bytes
        && (bytes < PAGE_BYTES || !bytes.is_multiple_of(512))
    {
        let expected = format!("a multiple of 512, at least {PAGE_BYTES}");
        return Err(out_of("/max_segment_bytes", bytes, expected));
    }
    if let Some(bytes) = config.segment_boundary_bytes
        && (bytes < PAGE_BYTES.into() || !bytes.is_power_of_two())
    {
        let expected = format!("a power of two, at least {PAGE_BYTES}");
        return Err(out_of("/segment_boundary_bytes", bytes, expected));
    }
    Ok(())
}

fn check_ranges(config: &DeviceConfig) -> Result<(), Problem> {
    let pointer = "/discard_granularity_bytes";
    let least = config.physical_block_bytes.unwrap_or(512);
    power(
        pointer,
        config.discard_granularity_bytes,
        least..=MAX_HINT_BYTES,
    )?;
    if config.max_discard_bytes == Some(0) && config.discard_granularity_bytes.is_some() {
        let expected = "no granularity where `max_discard_bytes` is 0".to_owned();
        return Err(out_of(
            pointer,
            config.discard_granularity_bytes.unwrap_or(0),
            expected,
        ));
    }
    let granularity = config.discard_granularity_bytes.unwrap_or(least);
    range("/max_discard_bytes", config.max_discard_bytes, granularity)?;
    let logical = config.logical_block_bytes.unwrap_or(512);
    range(
        "/max_write_zeroes_bytes",
        config.max_write_zeroes_bytes,
        logical,
    )
}

/// A power of two within a range.
fn power(pointer: &str, bytes: Option<u32>, range: RangeInclusive<u32>) -> Result<(), Problem> {
    match bytes {
        Some(bytes) if !bytes.is_power_of_two() || !range.contains(&bytes) => {
            let expected = format!("a power of two from {} to {}", range.start(), range.end());
            Err(out_of(pointer, bytes, expected))
        }
        _ => Ok(()),
    }
}

/// The length of a range: none, or whole units.
fn range(pointer: &str, bytes: Option<u32>, unit: u32) -> Result<(), Problem> {
    match bytes {
        Some(bytes) if bytes > MAX_RANGE_BYTES || !bytes.is_multiple_of(unit) => {
            let expected = format!("0 for none, or a multiple of {unit} up to {MAX_RANGE_BYTES}");
            Err(out_of(pointer, bytes, expected))
        }
        _ => Ok(()),
    }
}

/// A field whose value is outside its range.
pub(crate) fn out_of(pointer: &str, found: impl Display, expected: String) -> Problem {
    Problem::field(pointer, format!("found `{found}`"), expected)
}

#[cfg(test)]
mod tests {
    use crate::body::read_body;
    use crate::device_config::DeviceConfig;

    fn judge(fields: &str) -> Option<String> {
        let body = format!(r#"{{"target":{{"ram":{{"size_bytes":1048576}}}},{fields}}}"#);
        let judged = read_body::<DeviceConfig>(body.as_bytes()).and_then(|read| read.validate());
        judged
            .err()
            .map(|problem| problem.pointer.unwrap_or_default())
    }

    #[test]
    fn the_edges_of_every_range_are_accepted() {
        for fields in [
            r#""logical_block_bytes":512,"physical_block_bytes":512,"io_min_bytes":512"#,
            r#""logical_block_bytes":4096,"physical_block_bytes":4096,"io_opt_bytes":268435456"#,
            r#""io_min_bytes":268435456,"io_opt_bytes":268435456"#,
            r#""max_segments":1,"max_segment_bytes":4096,"segment_boundary_bytes":4096"#,
            r#""max_segments":65535,"segment_boundary_bytes":9223372036854775808"#,
            r#""dma_alignment_bytes":4"#,
            r#""dma_alignment_bytes":4096"#,
            r#""discard_granularity_bytes":1048576,"max_discard_bytes":2146435072"#,
            r#""max_discard_bytes":0,"max_write_zeroes_bytes":0"#,
            r#""rotational":true"#,
        ] {
            assert_eq!(judge(fields), None, "{fields}");
        }
    }

    #[test]
    fn what_does_not_fit_is_pointed_to() {
        for (fields, pointer) in [
            (r#""logical_block_bytes":256"#, "/logical_block_bytes"),
            (r#""logical_block_bytes":1000"#, "/logical_block_bytes"),
            (r#""logical_block_bytes":8192"#, "/logical_block_bytes"),
            (
                r#""logical_block_bytes":4096,"physical_block_bytes":512"#,
                "/physical_block_bytes",
            ),
            (r#""physical_block_bytes":8192"#, "/physical_block_bytes"),
            (
                r#""physical_block_bytes":4096,"io_min_bytes":512"#,
                "/io_min_bytes",
            ),
            (r#""io_min_bytes":536870912"#, "/io_min_bytes"),
            (
                r#""io_min_bytes":65536,"io_opt_bytes":4096"#,
                "/io_opt_bytes",
            ),
            (r#""io_opt_bytes":0"#, "/io_opt_bytes"),
            (r#""io_opt_bytes":100000"#, "/io_opt_bytes"),
            (r#""max_io_bytes":2048"#, "/max_io_bytes"),
            (r#""max_io_bytes":4097"#, "/max_io_bytes"),
            (r#""max_io_bytes":67108864"#, "/max_io_bytes"),
            (r#""max_segments":0"#, "/max_segments"),
            (r#""max_segments":65536"#, "/max_segments"),
            (r#""max_segment_bytes":2048"#, "/max_segment_bytes"),
            (r#""max_segment_bytes":5000"#, "/max_segment_bytes"),
            (r#""segment_boundary_bytes":512"#, "/segment_boundary_bytes"),
            (
                r#""segment_boundary_bytes":12288"#,
                "/segment_boundary_bytes",
            ),
            (r#""dma_alignment_bytes":2"#, "/dma_alignment_bytes"),
            (r#""dma_alignment_bytes":511"#, "/dma_alignment_bytes"),
            (r#""dma_alignment_bytes":8192"#, "/dma_alignment_bytes"),
            (
                r#""discard_granularity_bytes":6144"#,
                "/discard_granularity_bytes",
            ),
            (
                r#""physical_block_bytes":4096,"discard_granularity_bytes":512"#,
                "/discard_granularity_bytes",
            ),
            (
                r#""discard_granularity_bytes":4096,"max_discard_bytes":0"#,
                "/discard_granularity_bytes",
            ),
            (
                r#""discard_granularity_bytes":8192,"max_discard_bytes":4096"#,
                "/max_discard_bytes",
            ),
            (r#""max_discard_bytes":2147483648"#, "/max_discard_bytes"),
            (r#""max_write_zeroes_bytes":100"#, "/max_write_zeroes_bytes"),
            (r#""rotational":1"#, "/rotational"),
        ] {
            assert_eq!(judge(fields).as_deref(), Some(pointer), "{fields}");
        }
    }
}
