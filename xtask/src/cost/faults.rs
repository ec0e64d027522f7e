//! `cargo xtask cost --faults`: what rules cost requests that none of them selects, and what the stability
//! watch costs source requests, each against the same bvecd without.

use super::rows::{Row, median};
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

/// Whose instructions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Everybody's.
    Guest,
    /// Those of the threads that carry the request: what a request pays wherever the others run.
    Threads,
}

impl Whose {
    fn of(self, row: &Row) -> &[f64] {
        match self {
            Self::Guest => &row.values,
            Self::Threads => &row.threads,
        }
    }
}

/// What is held against what.
struct Question {
    variant: &'static str,
    /// The variant without.
    without: &'static str,
    whose: Whose,
    /// How many percent more it may be; nothing where it is only told.
    bound: Option<f64>,
}

const QUESTIONS: &[Question] = &[
    // How far two runs of the same are apart.
    guest("again", "no-rule", None),
    threads("again", "no-rule", None),
    guest("no-rule", "no-engine", Some(1.0)),
    guest("rules-1000", "no-rule", Some(5.0)),
    threads("swaps", "no-rule", Some(5.0)),
    guest("swaps", "no-rule", None),
    guest("swaps", "swaps-other", None),
    guest("swaps", "swaps-dry", None),
    guest("watch", "no-watch", None),
];

const fn guest(variant: &'static str, without: &'static str, bound: Option<f64>) -> Question {
    Question {
        variant,
        without,
        whose: Whose::Guest,
        bound,
    }
}

const fn threads(variant: &'static str, without: &'static str, bound: Option<f64>) -> Question {
    Question {
        whose: Whose::Threads,
        ..guest(variant, without, bound)
    }
}

impl Question {
    /// What is asked, in a line.
    fn heading(&self) -> String {
        let bound = match self.bound {
            Some(bound) => format!(", at most {bound:+} %"),
            None => String::new(),
        };
        let whose = match self.whose {
            Whose::Guest => "",
            Whose::Threads => ", in the threads that carry the request",
        };
        format!("{} against {}{whose}{bound}", self.variant, self.without)
    }

    /// The line of a row, and whether the bound holds; nothing if it is not this question's.
    fn answer(&self, with: &Row, rows: &[Row]) -> Option<(String, bool)> {
        let same = |row: &&Row| row.is(self.without) && row.is_same_run(with);
        let without = rows.iter().find(same).filter(|_| with.is(self.variant))?;
        let (ours, theirs) = (self.whose.of(with), self.whose.of(without));
        let percent = (Ratio::of(ours, theirs)?.median - 1.0) * 100.0;
        let holds = self.bound.is_none_or(|bound| percent <= bound);
        let verdict = match self.bound {
            None => "",
            Some(_) if holds => "holds",
            Some(_) => "MISSED",
        };
        let line = format!(
            "  {:20} {:24} {:7.0} {:7.0} {percent:+7.2} % {verdict}",
            with.way(),
            with.job,
            median(theirs),
            median(ours),
        );
        Some((line, holds))
    }
}

/// The answers, and whether each bound holds.
pub(super) fn table(rows: &[Row]) -> (String, bool) {
    let mut text = String::new();
    let mut holds = true;
    for question in QUESTIONS {
        let answers = rows.iter().filter_map(|row| question.answer(row, rows));
        let answers: Vec<_> = answers.collect();
        if answers.is_empty() {
            continue;
        }
        text += &question.heading();
        text.push('\n');
        for (line, this) in answers {
            text += line.trim_end();
            text.push('\n');
            holds &= this;
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
        assert_eq!(text.lines().count(), 4);
        assert!(text.contains("+4.99 % holds"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn what_is_above_its_bound_is_missed() {
        let (text, holds) = table(&rows(10_501.0, 9_910.0));
        assert!(!holds && text.contains("+5.01 % MISSED"), "{text}");
        let (text, holds) = table(&rows(10_000.0, 9_900.0));
        assert!(!holds && text.contains("+1.01 % MISSED"), "{text}");
    }

    /// What the others run, here half of everything, is told, and the bound is not about it.
    #[test]
    fn a_swap_is_held_against_the_threads_that_carry_requests() {
        let row = |variant: &str, guest: f64, threads: f64| {
            let place = format!("bvecd/{variant}/null/auto-zero-copy/batch");
            Row::sample(&place, &[guest]).with_threads(&[threads])
        };
        let rows = |threads| {
            [
                row("no-rule", 9000.0, 8000.0),
                row("swaps", 18_000.0, threads),
            ]
        };
        let (text, holds) = table(&rows(8390.0));
        assert!(
            holds && text.contains("8000    8390   +4.88 % holds"),
            "{text}"
        );
        assert!(text.contains("+100.00 %\n"), "{text}");
        let (text, holds) = table(&rows(8410.0));
        assert!(!holds && text.contains("+5.13 % MISSED"), "{text}");
    }
}
