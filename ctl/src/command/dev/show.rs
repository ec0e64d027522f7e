//! `bvecctl dev show`: one device, whole.

use api::{Device, Driver, Limits, Recovery};

use super::{target_text, word};
use crate::output::{counted, fields};
use crate::units::Size;

/// Everything about a device, a line each.
pub(super) fn text(device: &Device) -> String {
    let mode = if device.read_only {
        "read only"
    } else {
        "read and write"
    };
    fields([
        ("path", device.path.clone()),
        ("driver", driver_text(device.driver).to_owned()),
        ("state", word(&device.state)),
        ("target", target_text(&device.target)),
        (
            "size",
            format!("{} ({} bytes)", Size(device.size_bytes), device.size_bytes),
        ),
        ("access", mode.to_owned()),
        ("without bvecd", without_daemon(device.recovery).to_owned()),
        ("data path", device.data_path.to_string()),
        ("integrity", device.integrity.to_string()),
        ("transport", device.transport.to_string()),
        (
            "queues",
            format!("{} x {} requests", device.queues, device.depth),
        ),
        (
            "blocks",
            format!(
                "{} logical, {} physical, in bytes",
                device.logical_block_bytes, device.physical_block_bytes
            ),
        ),
        (
            "longest request",
            Size(device.max_io_bytes.into()).to_string(),
        ),
        ("I/O sizes", sizes_text(&device.limits)),
        ("memory", memory_text(&device.limits)),
        ("medium", medium_text(&device.limits)),
        (
            "rules",
            format!(
                "{} (generation {}, seed {})",
                device.rules, device.generation, device.seed
            ),
        ),
        ("held", counted(device.held, "request")),
        ("driver flags", device.flags.join(" ")),
        ("served by", format!("process {}", device.daemon_pid)),
    ])
}

fn sizes_text(limits: &Limits) -> String {
    let size = |bytes: u32| Size(bytes.into());
    format!(
        "{} smallest, {} best",
        size(limits.io_min_bytes),
        size(limits.io_opt_bytes)
    )
}

fn memory_text(limits: &Limits) -> String {
    let longest = match limits.max_segment_bytes {
        u32::MAX => "any length".to_owned(),
        bytes => format!("up to {}", Size(bytes.into())),
    };
    format!(
        "aligned to {} bytes; at most {} of {longest}, none across {}",
        limits.dma_alignment_bytes,
        counted(limits.max_segments, "segment"),
        Size(limits.segment_boundary_bytes),
    )
}

fn medium_text(limits: &Limits) -> String {
    let cache = if limits.volatile_cache {
        "volatile cache"
    } else {
        "no volatile cache"
    };
    let discard = match limits.max_discard_bytes {
        0 => "no discard".to_owned(),
        most => format!(
            "discard of {} up to {}",
            Size(limits.discard_granularity_bytes.into()),
            Size(most.into())
        ),
    };
    let zeroes = match limits.max_write_zeroes_bytes {
        0 => "no write zeroes".to_owned(),
        most => format!("write zeroes up to {}", Size(most.into())),
    };
    let turns = if limits.rotational { "rotates; " } else { "" };
    format!("{turns}{cache}; {discard}; {zeroes}")
}

const fn driver_text(driver: Driver) -> &'static str {
    match driver {
        Driver::Ublk => "ublk",
        Driver::Nbd => "nbd: the kernel's NBD client over a socket pair",
    }
}

/// What becomes of a device when its daemon is gone.
const fn without_daemon(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::Fail => "fail: goes, every request fails",
        Recovery::Queue => "queue: requests in flight fail, new ones wait",
        Recovery::Reissue => "reissue: requests in flight are sent again, new ones wait",
        Recovery::FailIo => "fail-io: requests in flight fail, new ones too",
    }
}
