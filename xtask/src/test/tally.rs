//! What came of tests: counts, and the names of what did not pass.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What came of tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    not_applicable: usize,
    /// What failed, with its program, as far as it has a name.
    failures: Vec<String>,
    /// What was skipped, and what is missing.
    skips: Vec<String>,
    /// Why tests do not apply, and which.
    inapplicable: BTreeMap<String, Vec<String>>,
}

impl Tally {
    /// One test that passed.
    pub(super) fn one_passed() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// Adds what a test program counted.
    pub(super) fn count(&mut self, passed: usize, failed: usize, skipped: usize) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    /// Names a test that was counted as failed.
    pub(super) fn name_failure(&mut self, name: String) {
        self.failures.push(name);
    }

    /// Names a test that was counted as skipped, and why.
    pub(super) fn name_skip(&mut self, name_and_reason: String) {
        self.skips.push(name_and_reason);
    }

    /// Counts a test that this kernel cannot have.
    pub(super) fn inapplicable(&mut self, name: &str, why: &str) {
        self.not_applicable += 1;
        let names = self.inapplicable.entry(why.to_owned()).or_default();
        names.push(name.to_owned());
    }

    /// Adds a failure that no test program has counted.
    pub(super) fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Says whether no test was met, not even one that does not apply.
    pub(super) fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped + self.not_applicable == 0
    }

    /// The line that people and programs read.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }

    /// The lines above the summary: what did not pass, by name.
    pub(super) fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (why, names) in &self.inapplicable {
            lines.push(format!("not applicable: {why}"));
            lines.extend(names.iter().map(|name| format!("    {name}")));
        }
        lines.push(format!("not applicable: {}", self.not_applicable));
        lines.extend(self.skips.iter().map(|skip| format!("skipped: {skip}")));
        lines.extend(self.failures.iter().map(|name| format!("failed: {name}")));
        lines
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.not_applicable += other.not_applicable;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
        for (why, names) in other.inapplicable {
            self.inapplicable.entry(why).or_default().extend(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(why: &str, name: &str, counts: [usize; 3]) -> Tally {
        let mut tally = Tally {
            passed: counts[0],
            failed: counts[1],
            skipped: counts[2],
            ..Tally::default()
        };
        tally.inapplicable(name, why);
        tally
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = tally("x", "a", [1, 0, 2]);
        sum += tally("x", "b", [3, 4, 0]);
        sum.fail("the guest");
        assert_eq!(sum.summary(), "4 passed, 5 failed, 2 skipped");
        assert_eq!(
            sum.details(),
            [
                "not applicable: x",
                "    a",
                "    b",
                "not applicable: 2",
                "failed: the guest"
            ]
        );
    }

    #[test]
    fn what_does_not_apply_is_not_nothing() {
        assert!(Tally::default().is_empty());
        assert!(!tally("x", "a", [0, 0, 0]).is_empty());
    }
}
