//! The clock of the data plane: `CLOCK_MONOTONIC`, the one that kernel traces can be read against.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now_ns() -> u64 {
    // Fails only for clocks that do not exist.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec()) * 1_000_000_000 + part(now.tv_nsec())
}
