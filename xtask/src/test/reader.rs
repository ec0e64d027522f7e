//! Reads what test programs write, and counts.

use super::tally::Tally;

/// How a test program reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Rust's own harness: `test result: ok. 2 passed; 0 failed; 1 ignored; ...`.
    Harness,
    /// The programs that run in the guest: `2 passed, 0 failed, 1 skipped`.
    Suite,
}

/// Reads what test programs write, line by line.
#[derive(Debug)]
pub(crate) struct Reader {
    place: String,
    format: Format,
    /// So many programs end with a summary, at least.
    expected: usize,
    ended: usize,
    /// The last test that was reported.
    last: Option<String>,
    /// Passed, failed and skipped by the lines since the last summary, in case none follows.
    pending: [usize; 3],
    tally: Tally,
}

impl Reader {
    /// Begins; `place` says where the tests run.
    pub(crate) fn new(place: impl Into<String>, format: Format, expected: usize) -> Self {
        Self {
            place: place.into(),
            format,
            expected,
            ended: 0,
            last: None,
            pending: [0; 3],
            tally: Tally::default(),
        }
    }

    /// Takes a line and says whether it is worth showing.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        match self.format {
            Format::Harness => self.take_harness(line),
            Format::Suite => self.take_suite(line),
        }
    }

    fn take_harness(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |what| count_before(result, what);
            let counts = [count(" passed"), count(" failed"), count(" ignored")];
            let [passed, failed, ignored] = counts.map(Option::unwrap_or_default);
            self.summary([passed, failed, ignored]);
            return passed + failed + ignored > 0;
        }
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            let begins = line.starts_with("running ");
            if begins && self.pending != [0; 3] {
                self.break_off("a test program broke off");
            }
            // How many there are is said again at the end, with the result.
            return !line.is_empty() && !begins;
        };
        self.last = Some(name.to_owned());
        match result.split_once(", ").unwrap_or((result, "")) {
            ("ok", _) => {
                self.pending[PASSED] += 1;
                false
            }
            ("ignored", why) => {
                let why = if why.is_empty() { "ignored" } else { why };
                self.skip(name, why);
                true
            }
            ("FAILED", _) => {
                self.failure(name);
                true
            }
            _ => true,
        }
    }

    fn take_suite(&mut self, line: &str) -> bool {
        if let Some(counts) = suite_summary(line) {
            self.summary(counts);
            return false;
        }
        if let Some(rest) = line.strip_prefix("not applicable  ") {
            let (name, why) = name_and_reason(rest);
            self.last = Some(name.to_owned());
            let why = format!("{}: {why}", self.place);
            self.tally.inapplicable(name, &why);
        } else if let Some(rest) = line.strip_prefix("skipped  ") {
            let (name, why) = name_and_reason(rest);
            self.skip(name, why);
        } else if let Some(rest) = line.strip_prefix("FAILED  ") {
            self.failure(first_word(rest));
        } else if let Some(rest) = line.strip_prefix("ok  ") {
            self.last = Some(first_word(rest).to_owned());
            self.pending[PASSED] += 1;
        }
        // The program's own count, which is said again at the end for all of them.
        !line.starts_with("not applicable: ")
    }

    fn summary(&mut self, [passed, failed, skipped]: [usize; 3]) {
        self.ended += 1;
        self.pending = [0; 3];
        self.tally.count(passed, failed, skipped);
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.last = Some(name.to_owned());
        self.pending[SKIPPED] += 1;
        let place = &self.place;
        self.tally.name_skip(format!("{name} ({place}): {why}"));
    }

    fn failure(&mut self, name: &str) {
        self.last = Some(name.to_owned());
        self.pending[FAILED] += 1;
        let place = &self.place;
        self.tally.name_failure(format!("{name} ({place})"));
    }

    /// Counts what was reported without a summary, and a failure for that.
    fn break_off(&mut self, why: &str) {
        let [passed, failed, skipped] = std::mem::take(&mut self.pending);
        self.tally.count(passed, failed, skipped);
        let after = match &self.last {
            Some(name) => format!("after {name}"),
            None => "before the first test".into(),
        };
        self.tally.fail(format!("{why} ({}, {after})", self.place));
    }

    /// Counts; each program that ended without a summary is a failure.
    pub(crate) fn finish(mut self) -> Tally {
        for _ in self.ended..self.expected {
            self.break_off("a test program ended without its summary");
        }
        self.tally
    }

    /// Counts, when something has gone wrong that no program could tell: one failure, whatever else
    /// is missing for it.
    pub(crate) fn finish_with(mut self, why: &str) -> Tally {
        self.break_off(why);
        self.tally
    }
}

/// Places in the counts of a summary.
const PASSED: usize = 0;
const FAILED: usize = 1;
const SKIPPED: usize = 2;

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Reads `area::name: why`.
fn name_and_reason(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(": ").unwrap_or((text, ""))
}

/// The number before a word, as in `2 passed; 0 failed`.
fn count_before(text: &str, word: &str) -> Option<usize> {
    let (before, _) = text.split_once(word)?;
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Reads a line of exactly the form `N passed, N failed, N skipped`.
fn suite_summary(line: &str) -> Option<[usize; 3]> {
    let mut parts = line.split(", ");
    let mut part = |word: &str| parts.next()?.strip_suffix(word)?.parse().ok();
    let counts = [part(" passed")?, part(" failed")?, part(" skipped")?];
    parts.next().is_none().then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, expected: usize, text: &str) -> (Tally, Vec<String>) {
        let mut reader = Reader::new("here", format, expected);
        let shown = text
            .lines()
            .filter(|line| reader.take(line))
            .map(str::to_owned);
        let shown = shown.collect();
        (reader.finish(), shown)
    }

    #[test]
    fn the_harness_is_read() {
        let text = "\nrunning 4 tests\n\
            test a::fits ... ok\n\
            test vm/src/lib.rs - (line 3) - compile ... ok\n\
            test a::waits ... ignored, needs a tape\n\
            test b::breaks ... FAILED\n\
            \n\
            test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n";
        let (tally, shown) = read(Format::Harness, 0, text);
        assert_eq!(tally.summary(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(
            tally.details(),
            [
                "not applicable: 0",
                "skipped: a::waits (here): needs a tape",
                "failed: b::breaks (here)"
            ]
        );
        assert_eq!(shown.len(), 3, "{shown:?}");
    }

    #[test]
    fn the_suite_is_read() {
        let text = "running 4 of 77 tests\n\
            ok              lifecycle::comes_and_goes (1.5 s)\n\
            not applicable  integrity::zero: AUTO_BUF_REG (since Linux 6.16)\n\
            skipped         trace::ring: the program `strace` is missing\n\
            FAILED          holds::order (2.0 s)\n    assertion: 3 passed, no\n\
            not applicable: 1\n\
            1 passed, 1 failed, 1 skipped\n";
        let (tally, shown) = read(Format::Suite, 1, text);
        assert!(
            !shown.contains(&"not applicable: 1".to_owned()),
            "{shown:?}"
        );
        assert_eq!(tally.summary(), "1 passed, 1 failed, 1 skipped");
        assert_eq!(
            tally.details(),
            [
                "not applicable: here: AUTO_BUF_REG (since Linux 6.16)",
                "    integrity::zero",
                "not applicable: 1",
                "skipped: trace::ring (here): the program `strace` is missing",
                "failed: holds::order (here)"
            ]
        );
    }

    #[test]
    fn a_program_that_does_not_end_as_it_should_is_a_failure() {
        let text = "ok   a::b (1 s)\n1 passed, 0 failed, 0 skipped\nok   a::c (1 s)\n";
        let (tally, _) = read(Format::Suite, 2, text);
        assert_eq!(tally.summary(), "2 passed, 1 failed, 0 skipped");
        assert!(tally.details()[1].contains("after a::c"), "{tally:?}");
        let (silent, _) = read(Format::Suite, 1, "");
        assert!(
            silent.details()[1].contains("before the first"),
            "{silent:?}"
        );
    }

    #[test]
    fn a_program_that_aborts_among_others_is_a_failure() {
        let text = "running 2 tests\ntest a ... ok\n\nrunning 1 test\ntest b ... ok\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n";
        let (tally, _) = read(Format::Harness, 1, text);
        assert_eq!(tally.summary(), "2 passed, 1 failed, 0 skipped");
        assert!(tally.details()[1].contains("broke off"), "{tally:?}");
    }

    #[test]
    fn the_death_of_a_guest_is_one_failure() {
        let mut reader = Reader::new("here", Format::Suite, 2);
        for line in ["ok   a::b (1 s)", "FAILED   a::c (1 s)"] {
            reader.take(line);
        }
        let tally = reader.finish_with("the guest died");
        assert_eq!(tally.summary(), "1 passed, 2 failed, 0 skipped");
        assert_eq!(
            tally.details()[1..],
            [
                "failed: a::c (here)",
                "failed: the guest died (here, after a::c)"
            ]
        );
    }

    #[test]
    fn only_the_exact_form_is_a_summary() {
        assert_eq!(
            suite_summary("1 passed, 22 failed, 0 skipped"),
            Some([1, 22, 0])
        );
        for line in [
            "1 passed, 2 failed",
            "    1 passed, 2 failed, 3 skipped",
            "1 passed, 2 failed, 3 skipped, 4 x",
            "",
        ] {
            assert_eq!(suite_summary(line), None, "{line}");
        }
    }
}
