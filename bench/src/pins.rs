//! How pins are counted, and whose they are.
//!
//! The kernel counts pins for the whole machine ([`pages::vmstat`]), so that a job is measured as
//! the difference between before and after; nothing else on the machine should pin meanwhile.
//!
//! # Once and per I/O
//!
//! Registered buffers are pinned when fio registers them, not per request
//! (`io_sqe_buffers_register`). A job with fixed buffers is therefore run twice, once for a single
//! request: the slope between the two runs is what a request costs, the rest is what starting
//! costs.
//!
//! # Client and daemon
//!
//! The counters do not tell who pinned.
//!
//! * With a backing that the daemon does not open with `O_DIRECT` (buffered file, ram, null) the
//!   daemon does not pin: it reads and writes through the page cache or its own memory, and the
//!   ublk driver copies with `FOLL_GET` or through `iov_iter`. All pins are the client's, and
//!   [`PinShare::client_per_io`] is a measurement.
//! * With an `O_DIRECT` backing both may pin. The client's share is then the kernel's rule, one pin
//!   a page of the request in either direction since 6.5 (`iov_iter_extract_user_pages`) and none
//!   for fixed buffers, which the same job measures on a buffered backing; the daemon's share is
//!   what was measured beyond it.
//!
//! # Requests that are split
//!
//! io_uring first submits without waiting, and a request that the block layer would have to split
//! is then refused with `EAGAIN` (`bio_submit_split` in `block/blk-merge.c`); a worker submits it
//! again. Its pages are pinned at both attempts: 128 pins for 256 KiB on a device that takes 127
//! KiB at once, measured on 6.12 and 7.3, and 64 with synchronous reads.

use api::TargetConfig;
use pages::PAGE_SIZE_BYTES;
use serde::{Deserialize, Serialize};

use crate::Job;

/// Whether the daemon's own I/O can pin pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backing {
    /// A buffered file, ram or null: it cannot.
    Buffered,
    /// A file that the daemon opens with `O_DIRECT`: it can, unless it uses the client's pages
    /// (zero copy) or registered buffers.
    Direct,
}

impl Backing {
    /// That of a device of bvecd.
    #[must_use]
    pub fn of(target: &TargetConfig) -> Self {
        match target {
            TargetConfig::Loop { direct: true, .. } => Self::Direct,
            TargetConfig::Loop { direct: false, .. }
            | TargetConfig::Ram { .. }
            | TargetConfig::Null { .. } => Self::Buffered,
        }
    }
}

/// Pins taken during a run of fio, and the requests it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Pins taken by everybody.
    pub pins: u64,
    /// Requests completed.
    pub ios: u64,
}

/// Whose pins they were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PinShare {
    /// Pins a request of the client takes.
    pub client_per_io: f64,
    /// Pins that the daemon takes for it.
    pub daemon_per_io: f64,
    /// Pins taken by starting the job, whatever its length.
    pub once: u64,
}

/// Pins that the kernel's rule gives a request of the job's client on a device that takes requests
/// of at most `max_io_bytes`. Through the page cache the pages are the kernel's own, which it locks
/// and does not pin.
#[must_use]
pub fn rule_per_io(job: &Job, max_io_bytes: u64) -> u64 {
    if job.fixed_buffers || !job.direct {
        return 0;
    }
    let attempts = if job.block_size_bytes > max_io_bytes {
        2
    } else {
        1
    };
    attempts * job.block_size_bytes.div_ceil(PAGE_SIZE_BYTES)
}

/// Shares out the pins of a run; `rule_per_io` is [`rule_per_io`], `short` a much shorter run of the
/// same job.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of one run are far below 2^52, and once is rounded from a value made positive"
)]
pub fn share(rule_per_io: u64, backing: Backing, run: Counted, short: Option<Counted>) -> PinShare {
    let start = short.unwrap_or(Counted { pins: 0, ios: 0 });
    let ios = run.ios.saturating_sub(start.ios).max(1);
    let per_io = (run.pins as f64 - start.pins as f64) / ios as f64;
    let once = start.pins as f64 - per_io * start.ios as f64;
    let (client_per_io, daemon_per_io) = match backing {
        Backing::Buffered => (per_io, 0.0),
        Backing::Direct => {
            let client = rule_per_io as f64;
            (client, per_io - client)
        }
    };
    PinShare {
        client_per_io,
        daemon_per_io,
        once: once.round().max(0.0) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Job {
        Job::load(name).unwrap()
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn the_rule_is_a_pin_a_page_and_none_for_fixed_buffers() {
        const MAX: u64 = 512 << 10;
        assert_eq!(rule_per_io(&job("rand-source-4k-qd1"), MAX), 1);
        assert_eq!(rule_per_io(&job("seq-destination-256k-qd1"), MAX), 64);
        assert_eq!(rule_per_io(&job("fixed-source-4k-qd32"), MAX), 0);
        assert_eq!(rule_per_io(&job("buffered-source-64k"), MAX), 0);
    }

    #[test]
    fn a_request_that_is_split_is_pinned_twice() {
        let job = job("seq-destination-256k-qd1");
        assert_eq!(rule_per_io(&job, 127 << 10), 128);
        assert_eq!(rule_per_io(&job, 256 << 10), 64);
    }

    #[test]
    fn only_a_direct_file_may_pin() {
        let target = |direct| TargetConfig::Loop {
            file: "/disk".into(),
            direct,
        };
        assert_eq!(Backing::of(&target(true)), Backing::Direct);
        assert_eq!(Backing::of(&target(false)), Backing::Buffered);
        let ram = TargetConfig::Ram { size_bytes: 4096 };
        assert_eq!(Backing::of(&ram), Backing::Buffered);
    }

    #[test]
    fn with_a_buffered_backing_all_pins_are_measured_as_the_clients() {
        let run = Counted {
            pins: 1003,
            ios: 1000,
        };
        let share = share(1, Backing::Buffered, run, None);
        assert!(close(share.client_per_io, 1.003) && close(share.daemon_per_io, 0.0));
        assert_eq!(share.once, 0);
    }

    #[test]
    fn registration_counts_once() {
        let short = Counted { pins: 32, ios: 1 };
        let run = Counted {
            pins: 32,
            ios: 341_288,
        };
        let share = share(0, Backing::Buffered, run, Some(short));
        assert!(close(share.client_per_io, 0.0));
        assert_eq!(share.once, 32);
    }

    #[test]
    fn the_daemons_pins_are_what_the_rule_leaves() {
        let run = Counted {
            pins: 2000,
            ios: 1000,
        };
        let plain = share(1, Backing::Direct, run, None);
        assert!(close(plain.client_per_io, 1.0) && close(plain.daemon_per_io, 1.0));
        // Fixed buffers of the client, a pin a request of the daemon: 32 at start and 1 each.
        let short = Counted { pins: 33, ios: 1 };
        let run = Counted {
            pins: 1032,
            ios: 1000,
        };
        let fixed = share(0, Backing::Direct, run, Some(short));
        assert!(close(fixed.client_per_io, 0.0) && close(fixed.daemon_per_io, 1.0));
        assert_eq!(fixed.once, 32);
    }
}
