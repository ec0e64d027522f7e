//! The flags of `bvecctl dev add` that shape the device: blocks, sizes, segments, alignment, discard.

use anyhow::Result;
use api::DeviceConfig;
use clap::Args;

use crate::exit::Failure;
use crate::units::Size;

/// The shape of the device. What is left out follows from the backing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Geometry")]
pub(super) struct Geometry {
    /// Logical block, 512 to 4K [default: what the backing needs].
    #[arg(long, value_name = "SIZE")]
    logical_block: Option<Size>,
    /// Physical block, up to 4K [default: the backing's, or 4K].
    #[arg(long, value_name = "SIZE")]
    physical_block: Option<Size>,
    /// Smallest I/O that costs no more than its size [default: the physical block].
    #[arg(long, value_name = "SIZE")]
    io_min: Option<Size>,
    /// Best size of an I/O [default: --io-min].
    #[arg(long, value_name = "SIZE")]
    io_opt: Option<Size>,
    /// Longest request, whole pages up to 32M [default: 512K].
    #[arg(long, value_name = "SIZE")]
    max_io: Option<Size>,
    /// Pieces of memory in a request [default: 65535].
    #[arg(long, value_name = "N")]
    max_segments: Option<u16>,
    /// Longest piece of memory, from 4K [default: any].
    #[arg(long, value_name = "SIZE")]
    max_segment: Option<Size>,
    /// No piece of memory crosses a multiple of this, from 4K [default: 4G].
    #[arg(long, value_name = "SIZE")]
    segment_boundary: Option<Size>,
    /// What client memory must be aligned to, 4 to 4K [default: what the backing needs].
    #[arg(long, value_name = "SIZE")]
    dma_alignment: Option<Size>,
    /// Refuse writes.
    #[arg(long)]
    read_only: bool,
    /// Say that the device rotates.
    #[arg(long)]
    rotational: bool,
    /// Unit of discard [default: the backing's].
    #[arg(long, value_name = "SIZE")]
    discard_granularity: Option<Size>,
    /// Longest discard; 0 for none [default: 2G less 4K, if the backing can].
    #[arg(long, value_name = "SIZE")]
    max_discard: Option<Size>,
    /// Longest write zeroes; 0 for none [default: 2G less 4K, if the backing can].
    #[arg(long, value_name = "SIZE")]
    max_write_zeroes: Option<Size>,
}

impl Geometry {
    /// Puts the flags into the configuration.
    ///
    /// # Errors
    /// A size does not fit 32 bits.
    pub(super) fn apply(self, config: DeviceConfig) -> Result<DeviceConfig> {
        let max_io_bytes = short("--max-io", self.max_io)?.unwrap_or(config.max_io_bytes);
        Ok(DeviceConfig {
            logical_block_bytes: short("--logical-block", self.logical_block)?,
            physical_block_bytes: short("--physical-block", self.physical_block)?,
            io_min_bytes: short("--io-min", self.io_min)?,
            io_opt_bytes: short("--io-opt", self.io_opt)?,
            max_io_bytes,
            max_segments: self.max_segments,
            max_segment_bytes: short("--max-segment", self.max_segment)?,
            segment_boundary_bytes: self.segment_boundary.map(|size| size.0),
            dma_alignment_bytes: short("--dma-alignment", self.dma_alignment)?,
            read_only: self.read_only,
            rotational: self.rotational,
            discard_granularity_bytes: short("--discard-granularity", self.discard_granularity)?,
            max_discard_bytes: short("--max-discard", self.max_discard)?,
            max_write_zeroes_bytes: short("--max-write-zeroes", self.max_write_zeroes)?,
            ..config
        })
    }
}

/// The flag that gives what a JSON pointer of the body names.
pub(super) fn flag(pointer: &str) -> Option<&'static str> {
    Some(match pointer {
        "/logical_block_bytes" => "--logical-block",
        "/physical_block_bytes" => "--physical-block",
        "/io_min_bytes" => "--io-min",
        "/io_opt_bytes" => "--io-opt",
        "/max_io_bytes" => "--max-io",
        "/max_segments" => "--max-segments",
        "/max_segment_bytes" => "--max-segment",
        "/segment_boundary_bytes" => "--segment-boundary",
        "/dma_alignment_bytes" => "--dma-alignment",
        "/read_only" => "--read-only",
        "/rotational" => "--rotational",
        "/discard_granularity_bytes" => "--discard-granularity",
        "/max_discard_bytes" => "--max-discard",
        "/max_write_zeroes_bytes" => "--max-write-zeroes",
        _ => return None,
    })
}

/// A size of 32 bits.
fn short(flag: &str, size: Option<Size>) -> Result<Option<u32>> {
    let read = |size: Size| {
        u32::try_from(size.0).map_err(|_| {
            Failure::Input(format!(
                "use {flag} {}: expected a size below 4 GiB",
                size.0
            ))
            .into()
        })
    };
    size.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use api::{DeviceConfig, TargetConfig};
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        geometry: Geometry,
    }

    #[test]
    fn every_flag_has_its_field_and_every_field_its_flag() {
        let line = "add --logical-block 512 --physical-block 4K --io-min 8K --io-opt 64K --max-io 1M \
                    --max-segments 16 --max-segment 64K --segment-boundary 8G --dma-alignment 512 \
                    --read-only --rotational --discard-granularity 64K --max-discard 1M \
                    --max-write-zeroes 2M";
        let plain = DeviceConfig::new(TargetConfig::Ram { size_bytes: 4096 });
        let line = Line::try_parse_from(line.split_whitespace()).unwrap();
        let made = line.geometry.apply(plain.clone()).unwrap();
        assert_eq!(made.validate(), Ok(()));
        let (plain, made) = (
            serde_json::to_value(plain).unwrap(),
            serde_json::to_value(made).unwrap(),
        );
        let changed: Vec<&String> = made
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, value)| plain.get(key) != Some(value))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(changed.len(), 14, "{changed:?}");
        for key in changed {
            assert!(flag(&format!("/{key}")).is_some(), "{key}");
        }
    }
}
