//! Errors of what backs a device, counted, and told as events: every one at first, then so few that a
//! backing which fails every request does not push everything else out of the log.

use crate::stats::Count;

/// How many errors a queue tells of in [`WINDOW_NS`]; all of them are counted.
const MOST_TOLD: u64 = 16;

/// One second.
const WINDOW_NS: u64 = 1_000_000_000;

/// What one queue has met. Its thread is the only writer.
#[derive(Debug, Default)]
pub struct BackingErrors {
    /// Requests that failed because the backing did.
    pub total: Count,
    window_begin_ns: Count,
    told: Count,
}

impl BackingErrors {
    /// Counts an error at `now_ns`, and says whether it is to be told.
    pub(crate) fn count(&self, now_ns: u64) -> bool {
        self.total.add(1);
        if now_ns.saturating_sub(self.window_begin_ns.get()) >= WINDOW_NS {
            self.window_begin_ns.set(now_ns);
            self.told.set(0);
        }
        let tell = self.told.get() < MOST_TOLD;
        if tell {
            self.told.add(1);
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_counted_whole_and_told_in_part() {
        let errors = BackingErrors::default();
        let begin = 5 * WINDOW_NS;
        let told = (0..1000).filter(|_| errors.count(begin)).count();
        assert_eq!((told as u64, errors.total.get()), (MOST_TOLD, 1000));
        assert!(!errors.count(begin + WINDOW_NS - 1));
        assert!(
            errors.count(begin + WINDOW_NS),
            "the next second tells again"
        );
    }
}
