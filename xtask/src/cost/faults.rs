//! `cargo xtask cost --faults`: what rules cost requests that none of them selects, and what the stability
//! watch costs source requests, each against the same bvecd without.

use std::fmt::Write;

use super::rows::Row;
use crate::ratio::Ratio;

/// Data paths and transports on which rules are counted: that of most devices, and that with the cheapest
/// requests, where anything more is the largest share.
pub(super) const WAYS: &str = "copy/per-io auto-zero-copy/batch";
/// Those on which the watch is counted: it looks at pages in another way on each, and not at all on `copy`.
pub(super) const WATCH_WAYS: &str = "user-copy/per-io zero-copy/per-io auto-zero-copy/per-io";
/// What it watches.
pub(super) const WATCH_JOBS: &str = "rand-source-4k-qd32 seq-source-256k-qd32";
/// What runs on the first of these ways; guest/faults.sh knows how.
pub(super) const VARIANTS: &str = "no-rule no-engine again rules-1000 \
                                   swaps-other swaps swaps-dry";

/// What is held against what.
struct Question {
    variant: &'static str,
    /// The variant without.
    without: &'static str,
    /// How many percent more it may be; nothing where it is only told.
    bound: Option<f64>,
}

const QUESTIONS: &[Question] = &[
    // How far two runs of the same are apart.
    question("again", "no-rule", None),
    question("no-rule", "no-engine", Some(1.0)),
    question("rules-1000", "no-rule", Some(5.0)),
    question("swaps", "swaps-other", Some(5.0)),
    question("swaps", "swaps-dry", None),
    question("swaps-other", "no-rule", None),
    question("watch", "no-watch", None),
];

const fn question(variant: &'static str, without: &'static str, bound: Option<f64>) -> Question {
    Question {
        variant,
        without,
        bound,
    }
}

/// The answers, and whether each bound holds.
pub(super) fn table(rows: &[Row]) -> (String, bool) {
    let mut text = format!(
        "{:11} {:11} {:20} {:24} {:>6} {:>6} {:>6} {}\n",
        "with", "without", "data path", "job", "without", "with", "%", "bound"
    );
    let mut holds = true;
    for question in QUESTIONS {
        for with in rows.iter().filter(|row| row.is(question.variant)) {
            let same = |row: &&Row| row.is(question.without) && row.is_same_run(with);
            let Some(without) = rows.iter().find(same) else {
                continue;
            };
            let Some(ratio) = Ratio::of(&with.values, &without.values) else {
                continue;
            };
            let percent = (ratio.median - 1.0) * 100.0;
            let verdict = question.bound.map(|bound| (bound, percent <= bound));
            holds &= verdict.is_none_or(|(_, holds)| holds);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:11} {:11} {:20} {:24} {:6.0} {:6.0} {percent:+6.2} {}",
                question.variant,
                question.without,
                with.way(),
                with.job,
                without.median,
                with.median,
                match verdict {
                    Some((bound, true)) => format!("{bound} holds"),
                    Some((bound, false)) => format!("{bound} MISSED"),
                    None => "-".into(),
                }
            );
        }
    }
    (text, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rules: f64, engine: f64) -> Vec<Row> {
        [
            ("no-rule", 10_000.0),
            ("no-engine", engine),
            ("rules-1000", rules),
        ]
        .map(|(variant, value)| {
            let place = format!("bvecd/{variant}/null/auto-zero-copy/batch");
            Row::sample(&place, &[value, value, value])
        })
        .to_vec()
    }

    #[test]
    fn what_is_within_its_bound_holds() {
        let (text, holds) = table(&rows(10_499.0, 9_910.0));
        assert!(holds, "{text}");
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("+4.99 5 holds"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn what_is_above_its_bound_is_missed() {
        let (text, holds) = table(&rows(10_501.0, 9_910.0));
        assert!(!holds && text.contains("+5.01 5 MISSED"), "{text}");
        let (text, holds) = table(&rows(10_000.0, 9_900.0));
        assert!(!holds && text.contains("+1.01 1 MISSED"), "{text}");
    }
}
