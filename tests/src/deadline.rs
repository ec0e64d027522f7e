//! Waiting without hoping: every wait has an end and says what it waited for.

use std::time::{Duration, Instant};

/// The longest that anything takes under emulation on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Asks until the answer is there.
///
/// # Panics
/// When it is not there after [`LONG`].
pub(crate) fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_at_most(LONG, what, ask)
}

/// As [`wait_for`], with a limit of its own.
pub(crate) fn wait_at_most<T>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
