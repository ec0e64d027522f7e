//! Outcomes for people.

use std::env;
use std::io::{IsTerminal, stdout};

use lab::{Outcome, Tally, Verdict};

use crate::output::Output;

/// Where a terminal's line ends.
const WIDTH: usize = 100;
/// Where the numbers begin.
const INDENT: usize = 40;

/// Whether there is a terminal that shows colours, and they are wanted (no-color.org).
pub(super) fn wanted(output: Output) -> bool {
    !output.is_json() && stdout().is_terminal() && env::var_os("NO_COLOR").is_none()
}

/// One outcome: verdict, experiment, time, and what was seen.
pub(super) fn outcome(outcome: &Outcome, colour: bool) -> String {
    let (word, code) = match outcome.verdict {
        Verdict::Holds => ("holds", 32),
        Verdict::Violated => ("VIOLATED", 31),
        Verdict::Changed => ("CHANGED", 33),
        Verdict::Skipped => ("skipped", 90),
    };
    let word = format!("{word:<8}");
    let word = if colour {
        format!("\x1b[{code}m{word}\x1b[0m")
    } else {
        word
    };
    // Tenths are enough for people.
    let tenths = outcome.duration_ns.saturating_add(50_000_000) / 100_000_000;
    let time = format!("{}.{}", tenths / 10, tenths % 10);
    let mut head = format!("{word} {:<24} {time:>4}", outcome.experiment);
    let items = outcome
        .observations
        .iter()
        .map(|(key, value)| format!("{key}={}", value.to_string().trim_matches('"')));
    let words: Vec<String> = match &outcome.reason {
        Some(reason) => reason.split(' ').map(str::to_owned).chain(items).collect(),
        None => items.collect(),
    };
    let mut column = INDENT - 1;
    for word in words {
        let length = word.chars().count() + 1;
        if column + length > WIDTH {
            head.push('\n');
            head.push_str(&" ".repeat(INDENT - 1));
            column = INDENT - 1;
        }
        head.push(' ');
        head.push_str(&word);
        column += length;
    }
    head
}

/// The last line.
pub(super) fn tally(tally: &Tally) -> String {
    format!(
        "{} holds, {} violated, {} changed, {} skipped ({} not applicable) on {} in {} s",
        tally.holds,
        tally.violated,
        tally.changed,
        tally.skipped,
        tally.not_applicable,
        tally.kernel,
        tally.duration().as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::Observations;

    fn example(verdict: Verdict, reason: Option<&str>) -> Outcome {
        let keys = [
            "before",
            "early",
            "in_flight",
            "after_release",
            "bytes",
            "x",
        ];
        let seen = keys.map(|key| (key.to_owned(), 12.into()));
        Outcome {
            schema: 1,
            experiment: "pin-destination".to_owned(),
            kernel: "7.3.4".to_owned(),
            driver: api::Driver::Ublk,
            verdict,
            reason: reason.map(str::to_owned),
            not_applicable: false,
            observations: Observations::from(seen),
            seed: 1,
            duration_ns: 340_000_000,
        }
    }

    #[test]
    fn lines_fit_a_terminal_and_keep_their_columns() {
        let text = outcome(&example(Verdict::Holds, None), false);
        insta::assert_snapshot!(text);
        let reason = "a long reason ".repeat(20);
        let text = outcome(&example(Verdict::Changed, Some(&reason)), false);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn colour_is_around_the_verdict_only() {
        let text = outcome(&example(Verdict::Violated, None), true);
        assert!(
            text.starts_with("\x1b[31mVIOLATED\x1b[0m pin-destination"),
            "{text:?}"
        );
        assert_eq!(text.matches('\x1b').count(), 2);
    }

    #[test]
    fn the_tally_is_one_line() {
        let mut all = Tally::new("7.3.4");
        all.add(&example(Verdict::Holds, None));
        all.add(&example(Verdict::Skipped, Some("x")));
        assert_eq!(
            tally(&all),
            "1 holds, 0 violated, 0 changed, 1 skipped (0 not applicable) on 7.3.4 in 0 s"
        );
    }
}
